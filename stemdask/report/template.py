"""One HTML file without a request to the network: a content security policy allows its own style, script and images."""

from __future__ import annotations

import base64
import hashlib
import math
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from stemdask.errors import StoreError

#: What a page says of itself, so that it may be written anew.
GENERATOR = '<meta name="generator" content="stemdask">'


def rendered(name: str, **context: Any) -> str:
    """Return a page made of the template of that name.

    Parameters
    ----------
    name
        File of the template.
    context
        What it shows; `title` and `headings` for every page.
    """
    environment = jinja2.Environment(autoescape=True, loader=jinja2.PackageLoader("stemdask.report"))
    environment.filters |= {"anchor": _anchor, "short": _short, "key": _key, "minus": _minus}
    script, style = (_template(file) for file in ("script.js", "style.css"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template(name).render(
        style=Markup(style), script=Markup(script), script_hash=f"sha256-{digest}", **context
    )


def check_free(target: Path) -> None:
    """Refuse to write a page in the place of anything else.

    Raises
    ------
    StoreError
        A folder or another file is there.
    """
    if target.is_dir():
        raise StoreError("this is a folder", where=target, remedy="Name the HTML file to write with -o")
    if target.exists():
        with target.open("rb") as handle:
            if GENERATOR.encode() not in handle.read(1000):
                raise StoreError(
                    "this file was not written by 'stemdask report', and nothing else is overwritten",
                    where=target,
                    remedy="Name another with -o",
                )


def _template(name: str) -> str:
    return files("stemdask.report").joinpath("templates", name).read_text(encoding="utf-8")


def _anchor(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _short(number: float) -> str:
    return f"{number:.4g}" if math.isfinite(number) else ""


def _minus(text: str) -> str:
    """Return numbers with the minus sign that the figures have."""
    return re.sub(r"(?<![^\s(±])-(?=\d)", "−", text)


def _key(number: float) -> str:
    return repr(number) if math.isfinite(number) else ""
