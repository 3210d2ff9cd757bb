"""Tables of a page that a benchmark makes: each stands between the marks `<!-- name -->` and `<!-- /name -->`."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_argument(parser: argparse.ArgumentParser) -> None:
    """Let a benchmark be told into which page its tables go."""
    parser.add_argument("--write", type=Path, help="page that holds the tables between its marks")


def put(text: str, name: str, page: Path | None) -> None:
    """Put tables between the marks of a name in a page; print them where there is none."""
    if page is None:
        print(text)
        return
    start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, found, rest = page.read_text().partition(start)
    if not found or end not in rest:
        raise SystemExit(f"{page}: has no marks {start} and {end}")
    page.write_text(f"{before}{start}\n{text}\n{end}{rest.partition(end)[2]}")
