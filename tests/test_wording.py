"""What a user reads is plain English: phrases that have crept in before stay out."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

#: What one of something has, or what there is for each of it.
_EACH = r"(?:A column|analysis|atom|block|cell|column|core|frame|half|image|job|key|pixel|row|run|table|task|worker)"
_COUNTED = (
    "atoms|blocks|bytes|cells|columns|counts|electrons|files|frames|line|minutes|number|one|pixels|row|seconds|sentence"
    "|workers|GB|GiB|MB|ms|ns|s"
)

#: What a native scientist stumbles over, and what they would write instead.
PHRASES = {
    rf"\b(?:{_COUNTED}) an? {_EACH}\b|\bone (?!that)\w+ an? {_EACH}\b": "per",
    r"\bhand(?:s|ed|ing)? (?:\w+ )?(?:\w+ )?in\b": "submit",
    r"\bbeg[aiu]n(?:s|ning)? anew\b": "start over",
    r"\b(?:do|does|did|done) (?:it |them )?again\b": "process again, repeat",
    r"\bgo(?:es)? on where\b|\brun that was cut\b": "resume",
    r"\bfor ever\b": "indefinitely",
    r"\bmend(?:s|ed|ing)?\b": "fix, repair",
    r"\bconfig is right\b": "valid",
    r"\b(?:what|was|were|found/) ?put in\b": "injected",
    r"\bshaken\b|\bshaking \w": "vibrating, displaced",
    r"\broom (?:a|per) frame\b": "capacity per frame",
    r"\bturn(?:s|ed|ing)? (?:the contrast |it )?round\b": "invert",
    r"\blaid? (?:\w+ )?over (?:it|them|the usual)\b": "override",
    r"\bheld against\b": "compare with, check against",
    r"\bat the (?:most|least)\b": "at most, at least",
    r"\bin truth\b": "truly",
    r"\bnothing is known of\b": "about",
    r"\b(?:jobs?|workers?) that (?:is|are) over\b": "finished",
    r"\bgives? no sign\b": "not respond",
    r"\bdirt\b": "contamination",
    r"\b(?:one|two|three|four|eight|frames|classes) at least\b": "at least two",
    r"\bcomes? twice\b": "is listed twice",
    r"\bright to (?:within|about)\b": "accurate to",
    r"\bthis \w+ is (?:no|none)\b": "is not a",
    r"\bknown as far as\b": "limited by",
    r"\bobeyed\b": "applied",
    r"\b(?:hands?|handed) (?:it|them) over unchanged\b": "pass on",
    r"\bno (?:database|trajectory) of [A-Z]": "not an ASE database",
    r"\bwhile (?:it|they) goe?s? on\b": "in progress",
    r"\bwhat speaks for\b": "the evidence for",
    r"\bfound by their lattice\b": "located from the lattice",
    r"\bbonds of s6\b": "bonds have s6 above",
    r"\bthe errors being those of\b": "errors from",
}
PATTERNS = {re.compile(pattern, re.IGNORECASE): instead for pattern, instead in PHRASES.items()}

FILES = sorted(
    {
        *ROOT.glob("*.md"),
        *(path for path in (ROOT / "docs").rglob("*.md") if "adr" not in path.parts),
        *(ROOT / "docs" / "gallery").glob("*.py"),
        *(ROOT / "configs").glob("*.yaml"),
        *(ROOT / "jobs").glob("*.sbatch"),
        ROOT / "benchmarks" / "README.md",
        *(path for path in (ROOT / "stemdask").rglob("*.py") if "kernels" not in path.parts),
        *(ROOT / "stemdask" / "report" / "templates").glob("*.html"),
    }
)


def _texts(path: Path) -> Iterator[tuple[int, str]]:
    """Yield what a reader sees, with its line: whole pages, and the strings of a module."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        yield from enumerate(text.splitlines(), 1)
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, " ".join(node.value.split())


def stumbles(path: Path) -> list[str]:
    """Return each phrase of the list that a file has, with its line and what to write instead."""
    return [
        f"{path.relative_to(ROOT)}:{line}: {found[0]!r}; write: {instead}"
        for line, text in _texts(path)
        for pattern, instead in PATTERNS.items()
        for found in pattern.finditer(text)
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_phrase_of_the_list_is_read_by_a_user(path: Path) -> None:
    assert stumbles(path) == []
