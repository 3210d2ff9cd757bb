"""Write docs/reliability.md from its rows and what the tests measured: ``python docs/make_reliability.py RESULTS.xml``.

Results are those that ``pytest --junitxml`` writes, any number of them. Figures of tests that weren't run are kept.
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping
from pathlib import Path

DOCS = Path(__file__).parent
TESTS = DOCS.parent / "tests"
FIGURES = DOCS / "reliability.json"
TITLES = {"run": "A run and its store", "input": "An input", "security": "Security"}
HEAD = """\
# Reliability

What holds when something goes wrong, and by which tests it is held. This page is made by
`python docs/make_reliability.py` from `docs/reliability.toml` and from what the tests told when they were run last
(`nox -s reliability`): seconds and megabytes are of a busy machine with two cores. [SECURITY.md](../SECURITY.md) says
what is promised.
"""
#: What the figures of a test add up to: its name, where the numbers stand in them, and what they count.
SUMS = {
    "a_verb_that_is_killed_at_random_is_ended_by_the_same_command": (r"^(\d+) kills", "kills"),
    "mutants_are_answered_and_lose_nothing_in_silence": (r"[a-z] (\d+)", "mutants"),
}
#: What a test of a fault says of how its run ended (`tests/toys/told.py`).
FAULT = re.compile(r"exit code (.*); bytes equal; jobs left (\d+); frames done twice (.*)")
#: What a test says of a run whose bytes were those of one inline.
SAME = re.compile(r"(.*): (\d+) files, bytes equal to those of a run inline")
TAIL = """\
## What isn't held

* A file made in order to make a library run code: the fence limits time and memory, not rights (`SECURITY.md`).
* A trajectory that is cut between two frames, and a single structure cut between two lines whose format states no
  number of atoms.
* An HDF5 file in which a bit flipped can keep its library busy forever: it is given up after ten seconds of a core, in
  a sentence. Such files are counted as `stopped` above; more than 2 of 1,000 fail the test, as does any that isn't
  answered, and any of another format.
* Pixels or digits that changed in a format without checksums: nobody can see that.
* A `preview` that is killed leaves the store of its one frame in the temporary directory until the next preview, and a
  viewer that is killed as it opens a browser a file with its address, which leads nowhere then.
* Metadata of the root that are lost together with the run directory.
* Two faults at once in the same metadata.
"""


def rows() -> dict[str, list[list[str | list[str]]]]:
    """Return the rows of each table."""
    return tomllib.loads((DOCS / "reliability.toml").read_text(encoding="utf-8"))


def homes() -> dict[str, list[str]]:
    """Return the files in which each test stands."""
    found: dict[str, list[str]] = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        for name in re.findall(r"^def test_(\w+)\(", path.read_text(encoding="utf-8"), re.MULTILINE):
            found.setdefault(name, []).append(path.relative_to(TESTS).as_posix())
    return found


def read_figures(paths: Iterable[Path]) -> dict[str, dict[str, str]]:
    """Return what the tests of results measured, by test and case; raise where one of them failed."""
    found: dict[str, dict[str, str]] = {}
    for path in paths:
        for case in ET.parse(path).iter("testcase"):
            if case.find("failure") is not None or case.find("error") is not None:
                raise SystemExit(f"{path}: {case.get('name')} failed")
            name, _, which = case.get("name", "").removeprefix("test_").rstrip("]").partition("[")
            for one in case.iter("property"):
                if one.get("name") == "figure":
                    found.setdefault(name, {})[which] = one.get("value", "")
    return found


def text(figures: Mapping[str, Mapping[str, str]]) -> str:
    """Return the page."""
    where = homes()
    parts = [HEAD]
    for table, title in TITLES.items():
        parts += [f"## {title}\n", "| | what happens | what holds | test |", "|---|---|---|---|"]
        parts += ["| " + " | ".join([*map(str, row[:3]), _held(row[3], where)]) + " |" for row in rows()[table]]
        parts.append("")
    parts += _faults(figures, where)
    parts += _same(figures, where)
    parts.append("## Figures\n")
    for name, cases in sorted(figures.items()):
        if any(FAULT.fullmatch(figure) or SAME.fullmatch(figure) for figure in cases.values()):
            continue
        parts.append(f"* **{name.replace('_', ' ')}** (`{where[name][0]}`){_sum(name, cases.values())}")
        parts += [f"    * {which + ': ' if which else ''}{figure}" for which, figure in sorted(cases.items())]
    return "\n".join([*parts, "", TAIL])


def _faults(figures: Mapping[str, Mapping[str, str]], where: Mapping[str, list[str]]) -> list[str]:
    """Return the table of faults that a run on a cluster met."""
    rows = [
        f"| {name.replace('_', ' ')} | {' | '.join(told.groups())} | `{where[name][0]}` |"
        for name, cases in sorted(figures.items())
        for figure in cases.values()
        if (told := FAULT.fullmatch(figure))
    ]
    if not rows:
        return []
    head = [
        "## Faults of a cluster\n",
        "A run with workers in jobs of a real SLURM meets each of these while it is at work, and ends with the bytes",
        "of an undisturbed run. A driver that was stopped is started again with the same command: its codes are those",
        "of both. A block has four frames.\n",
        "| what happens | exit code | jobs left | frames done twice | test |",
        "|---|---|---|---|---|",
    ]
    return [*head, *rows, ""]


def _same(figures: Mapping[str, Mapping[str, str]], where: Mapping[str, list[str]]) -> list[str]:
    """Return the table of the places in which a run gave the bytes of one inline."""
    rows = [
        (told[1], f"| {told[1]} | {told[2]} | {', '.join(f'`{file}`' for file in where[name])} |")
        for name, cases in figures.items()
        for figure in cases.values()
        if (told := SAME.fullmatch(figure))
    ]
    if not rows:
        return []
    head = [
        "## The same bytes everywhere\n",
        "Runs whose files were compared, byte by byte, with those of a run inline: without jobs, in one process. Only",
        "what says when and where a frame was done is left out.\n",
        "| a run in | files | test |",
        "|---|---|---|",
    ]
    return [*head, *(row for _, row in sorted(rows)), ""]


def _sum(name: str, figures: Iterable[str]) -> str:
    """Return what the figures of a test add up to; nothing where they count nothing."""
    if name not in SUMS:
        return ""
    number, noun = SUMS[name]
    return f": {sum(int(n) for figure in figures for n in re.findall(number, figure)):,} {noun}"


def _held(tests: str | list[str], where: Mapping[str, list[str]]) -> str:
    """Name the tests with their files, or say why there is none."""
    if isinstance(tests, str):
        return f"none: {tests}"
    return "; ".join(f"{name.replace('_', ' ')} (`{', '.join(where[name])}`)" for name in tests)


def main() -> None:
    """Take new figures and write the page."""
    figures = json.loads(FIGURES.read_text(encoding="utf-8")) if FIGURES.exists() else {}
    for name, cases in read_figures(map(Path, sys.argv[1:])).items():
        figures[name] = {**figures.get(name, {}), **cases}
    FIGURES.write_text(json.dumps(figures, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    (DOCS / "reliability.md").write_text(text(figures), encoding="utf-8")


if __name__ == "__main__":
    main()
