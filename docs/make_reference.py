"""Write docs/analyses.md and docs/functions.md from the declarations: ``python docs/make_reference.py``."""

from __future__ import annotations

import inspect
from pathlib import Path

from stemdask.analyses import chain, registry
from stemdask.export import EXPORTS
from stemdask.kernels import atoms, images
from stemdask.model import Analysis, Kind, Step, Variable
from stemdask.planning.starter import default_text
from stemdask.sources.compressed import SUFFIXES
from stemdask.sources.formats import ATOMS, IMAGES

HEAD = """\
# Analyses

Every analysis of the table, with its config keys and the variables that it writes. This page is made from the
declarations by `python docs/make_reference.py`; a test keeps it true. Variables have a `frame` dimension unless they
are constants of the run; `column`, `cell`, `atom` and `bond` are padded with NaN or -1 to the largest frame.
"""


FUNCTIONS = """\
# Functions

What the analyses do, as functions on numpy arrays, for a notebook:
`from stemdask.kernels.atoms import find_neighbours`. `help(find_neighbours)` says what each takes and returns, with an
example. This page is made by `python docs/make_reference.py`; a test keeps it true, and another one runs the examples.
"""


def text() -> str:
    """Return the page."""
    parts = [HEAD]
    titles: dict[Kind, str] = {"images": "Images", "atoms": "Atoms"}
    for kind, title in titles.items():
        parts.append(f"## {title}\n")
        steps = [Step(analysis.name, analysis.params()) for analysis in registry.of_kind(kind)]
        declared = chain.outputs(kind, steps)
        parts += [_analysis(*pair) for pair in zip(registry.of_kind(kind), declared, strict=True)]
    return "\n".join([*parts, _files()])


def functions() -> str:
    """Return the page of the functions on arrays."""
    parts = [FUNCTIONS]
    for module in (images, atoms):
        parts += [f"## `{module.__name__}`\n", "| function | what it does |", "|---|---|"]
        for name in module.__all__:
            if inspect.isfunction(function := getattr(module, name)):
                summary = " ".join((inspect.getdoc(function) or "").partition("\n\n")[0].split())
                parts.append(f"| `{name}` | {_cell(summary)} |")
        parts.append("")
    return "\n".join(parts)


def _files() -> str:
    """Return what is read and what is written."""
    lines = ["## Files\n", "| read | name or suffix | compressed |", "|---|---|---|"]
    for half in (IMAGES, ATOMS):
        for fmt in half.values():
            named = " ".join(f"`{name}`" for name in (*fmt.names, *fmt.suffixes))
            lines.append(f"| {fmt.noun} | {named} | {' '.join(f'`{s}`' for s in SUFFIXES) if fmt.text else ''} |")
    lines += ["", "| export | holds |", "|---|---|"]
    lines += [f"| `{export.name}` | {export.holds} |" for export in EXPORTS.values()]
    return "\n".join(lines) + "\n"


def _analysis(analysis: Analysis, declared: tuple[Variable, ...]) -> str:
    usual = ", run by default" if analysis.name in registry.DEFAULTS[analysis.kind] else ""
    lines = [f"### `{analysis.name}`{usual}\n", f"{analysis.summary}\n"]
    if analysis.needs:
        lines.append(f"Needs: {', '.join(f'`{name}`' for name in analysis.needs)}.\n")
    if analysis.after:
        lines.append(f"Uses, where they are part of the run: {', '.join(f'`{name}`' for name in analysis.after)}.\n")
    if analysis.params.model_fields:
        lines += ["| key | default | meaning |", "|---|---|---|"]
        for name, field in analysis.params.model_fields.items():
            lines.append(f"| `{name}` | `{default_text(field)}` | {_cell(field.description or '')} |")
        lines.append("")
    lines += ["| variable | dimensions | units | meaning |", "|---|---|---|---|"]
    for variable in (variable for variable in declared if variable.stored):
        dims = ", ".join(variable.dims)
        lines.append(f"| `{variable.path}` | {dims} | {variable.units} | {_cell(variable.long_name)} |")
    return "\n".join(lines) + "\n"


def _cell(words: str) -> str:
    return " ".join(words.split()).replace("|", "\\|")


if __name__ == "__main__":
    Path(__file__).with_name("analyses.md").write_text(text(), encoding="utf-8")
    Path(__file__).with_name("functions.md").write_text(functions(), encoding="utf-8")
