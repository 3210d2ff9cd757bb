"""What a sweep leaves behind: the tuned config with a reason for each key, all scores as JSON, and a page."""

from __future__ import annotations

import json
import math
import re
import textwrap
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from stemdask._version import __version__
from stemdask.analyses import registry
from stemdask.config import yaml_lines
from stemdask.errors import ConfigError, StorageError, StoreError
from stemdask.report.pictures import encode
from stemdask.report.template import check_free, rendered
from stemdask.store.disk import write_file
from stemdask.tuning.candidates import shown
from stemdask.tuning.choice import merit
from stemdask.tuning.pictures import pictures
from stemdask.tuning.scores import Measure
from stemdask.tuning.tune import Tuned

#: What a tuned config says of itself, so that it may be written anew.
_MADE = "# Tuned by stemdask"
_WIDTH = 110
#: What is said of a candidate that nothing speaks against, and that isn't better enough to be taken.
_LITTLE = "gains too little"
#: Whose errors begin with their name, which the key says already.
_ANALYSES = frozenset(registry.names("images") + registry.names("atoms"))
#: What is less in pm or px is rounding.
_ROUNDING = 1e-9
#: Where the first sentence of an error ends.
_MORE = re.compile(r" \(got |\. ")


def check(target: Path) -> None:
    """Refuse a place for the tuned config, and for what is written beside it, that holds anything else.

    Raises
    ------
    ConfigError
        The name isn't one of a config.
    StoreError
        Another file is there.
    """
    if target.suffix.lower() not in (".yaml", ".yml"):
        raise ConfigError(
            "the output must be a config", where="--output", value=str(target), allowed="a name ending in .yaml"
        )
    check_free(target.with_suffix(".html"))
    for path in (target, target.with_suffix(".json")):
        if path.is_dir() or (path.exists() and _MADE[2:] not in path.read_text(encoding="utf-8", errors="replace")):
            raise StoreError(
                "this file was not written by 'stemdask tune', and nothing else is overwritten",
                where=path,
                remedy="Name another with -o",
            )


def write(tuned: Tuned, target: Path) -> list[Path]:
    """Write the tuned config, its scores and its page; return where they are.

    Raises
    ------
    StorageError
        The file system refused.
    """
    contents = {
        target: config(tuned),
        target.with_suffix(".json"): scores(tuned),
        target.with_suffix(".html"): page(tuned, target),
    }
    for path, content in contents.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_file(path, content)
        except OSError as error:
            raise StorageError(
                f"it can't be written: {error.strerror or error}", where=path, remedy="Name another with -o"
            ) from error
    return list(contents)


def config(tuned: Tuned) -> str:
    """Return the config with the keys that were tried, each with its reason."""
    data = deepcopy(tuned.document.data)
    named = data.get("analyses") or {step.name: {} for step in tuned.resolved.steps}
    data["analyses"] = {name: dict(values or {}) for name, values in named.items()}
    reasons = _reasons(tuned)
    values = _tried(tuned) | dict(tuned.keys)
    for key, value in values.items():
        name, parameter = key.split(".")
        data["analyses"].setdefault(name, {})[parameter] = value
    text = yaml_lines.dump(data)
    _, lines = yaml_lines.load(text, "tuned")
    written = text.splitlines()
    for key in sorted(values, key=lambda key: -lines["analyses", *key.split(".")]):
        number = lines["analyses", *key.split(".")] - 1
        indent = " " * (len(written[number]) - len(written[number].lstrip()))
        written[number:number] = [f"{indent}# {line}" for line in textwrap.wrap(reasons[key], _WIDTH - len(indent))]
    return "\n".join([f"{_MADE} {__version__}: {'; '.join(sentences(tuned))}", *written, ""])


def scores(tuned: Tuned) -> str:
    """Return all scores as JSON; numbers that aren't known are null."""
    kept = [
        {
            "candidate": score.candidate.name,
            "keys": dict(score.candidate.keys),
            "scores": {name: value if math.isfinite(value) else None for name, value in score.values.items()},
            "objection": objection,
            "chosen": number == tuned.chosen,
        }
        for number, (score, objection) in enumerate(zip(tuned.scores, tuned.objections, strict=True))
    ]
    measures = {one.name: {"title": _title(tuned, one.title), "meaning": one.meaning} for one in tuned.measures}
    made = {"made": f"{_MADE[2:]} {__version__}", "frames": [*tuned.frames], "measures": measures, "candidates": kept}
    return json.dumps(made, indent=2, ensure_ascii=False) + "\n"


def table(tuned: Tuned) -> list[str]:
    """Return all scores as lines of text."""
    heads = ["candidate", *(_title(tuned, measure.title) for measure in tuned.measures)]
    rows = [[row["name"], *(_number(value) for value in row["numbers"])] for row in _rows(tuned)]
    widths = [max(len(row[k]) for row in [heads, *rows]) for k in range(len(heads))]
    lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in [heads, *rows]]
    words = ["", *(row["words"] for row in _rows(tuned))]
    return [f"{line}  {said}".rstrip() for line, said in zip(lines, words, strict=True)]


def sentences(tuned: Tuned) -> list[str]:
    """Return what was chosen, and from how much."""
    chosen = tuned.scores[tuned.chosen]
    n = len(tuned.frames)
    first = f"{len(tuned.scores)} candidates on frame{'s' * (n > 1)} {', '.join(map(str, tuned.frames))}"
    if not tuned.chosen:
        return ["the config stays as it is: no other choice is clearly better in errors and shift", first]
    before, after = merit(tuned.scores[0]), merit(chosen)
    gain = f", errors and shift together {after:.3g} after {before:.3g}" if math.isfinite(before) else ""
    return [f"chosen {chosen.candidate.name}{gain}", first]


def page(tuned: Tuned, target: Path) -> str:
    """Return the page, with pictures of what each candidate found."""
    return rendered(
        "tuned.html",
        title=target.name,
        headings=["Choice", "Scores", "Candidates", "Config"],
        sentences=[f"{text[0].upper()}{text[1:]}." for text in sentences(tuned)],
        measures=[measure._replace(title=_title(tuned, measure.title)) for measure in tuned.measures],
        rows=_rows(tuned),
        pictures=[encode(picture) for picture in pictures(tuned)],
        config=config(tuned),
        version=__version__,
    )


def _rows(tuned: Tuned) -> list[dict[str, Any]]:
    return [
        {
            "name": score.candidate.name,
            "numbers": [_of(score.values, measure) for measure in tuned.measures],
            "words": "chosen" if number == tuned.chosen else _brief(objection or (_LITTLE if number else "")),
        }
        for number, (score, objection) in enumerate(zip(tuned.scores, tuned.objections, strict=True))
    ]


def _tried(tuned: Tuned) -> dict[str, Any]:
    """Return the keys that were tried, with the values of the config."""
    params = {step.name: step.params.model_dump(mode="json") for step in tuned.resolved.steps}
    keys = dict.fromkeys(key for score in tuned.scores for key in score.candidate.keys)
    return {key: params[key.split(".")[0]][key.split(".")[1]] for key in keys}


def _reasons(tuned: Tuned) -> dict[str, str]:
    """Return why each key is what it is: what the other values did alone."""
    said: dict[str, list[str]] = {}
    for score, objection in zip(tuned.scores, tuned.objections, strict=True):
        if len(score.candidate.keys) == 1:
            ((key, value),) = score.candidate.keys.items()
            taken = tuned.keys.get(key) == value
            words = _said(tuned, score.values, objection or ("" if taken else _LITTLE))
            said.setdefault(key, []).append(f"{shown(value)}: {words}")
    first = _said(tuned, tuned.scores[0].values, tuned.scores[0].failure)
    return {
        key: f"{'chosen' if key in tuned.keys else 'kept'}. As configured: {first}; {'; '.join(others)}."
        for key, others in said.items()
    }


def _said(tuned: Tuned, values: Mapping[str, float], objection: str) -> str:
    decisive = [m for m in tuned.measures if m.name.startswith("error") or m.name == "shift"]
    known = [
        f"{title.partition(' / ')[0]} {_of(values, m):.3g} {title.partition(' / ')[2]}"
        for m in decisive
        if math.isfinite(values.get(m.name, math.nan)) and (title := _title(tuned, m.title))
    ]
    return ", ".join([*known, *([_brief(objection)] if objection else [])]) or "not known"


def _brief(objection: str) -> str:
    """Return what is wrong with a candidate; of an error without where it arose, what was found, and what to do."""
    where, _, what = objection.partition(": ")
    return _MORE.split(what if where in _ANALYSES else objection, maxsplit=1)[0]


def _title(tuned: Tuned, title: str) -> str:
    return title.format(unit="pm" if getattr(tuned.resolved.source, "calibrated", True) else "px")


def _number(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else "-"


def _of(values: Mapping[str, float], measure: Measure) -> float:
    """Return a score of a candidate; NaN where it has none."""
    value = values.get(measure.name, math.nan)
    return 0.0 if abs(value) < _ROUNDING else value
