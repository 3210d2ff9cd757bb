"""Write the pages of reference from the declarations: ``python docs/make_reference.py``."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import typer.main
from pydantic import BaseModel

from stemdask.analyses import chain, registry
from stemdask.cli.main import app
from stemdask.config import clusters
from stemdask.config.keys import Config, Input, LimitsSection
from stemdask.config.meanings import meanings
from stemdask.export import EXPORTS
from stemdask.kernels import atoms, images
from stemdask.model import Analysis, Kind, Step, Variable
from stemdask.planning.starter import default_text
from stemdask.sources.compressed import SUFFIXES
from stemdask.sources.formats import ATOMS, IMAGES

MADE = "This page is generated from the source by `python docs/make_reference.py`; a test keeps it up to date."

ANALYSES = f"""\
# Analyses

Every analysis, with its config keys and the variables that it writes.
{MADE}

Variables have a `frame` dimension unless they are constants of the run; `column`, `cell`, `atom` and `bond` are padded
with NaN or -1 to the largest frame. Some are there only where a key asks for them: `columns/edit_*` and `n_edits` with
`edits`, `lattice/structure_*` and `scale` with `structure`, `displacement/polarisation_*` with `born_charge`,
`embedding/*` with `embedding`.
"""

CONFIG = f"""\
# Config

Every key of a config except those of the analyses, which have [their own page](analyses.md).
{MADE}

`stemdask schema` writes the same as a JSON schema, which editors use to complete and check a config.
"""

COMMANDS = f"""\
# Command line

Every verb with its options. [The first page](../README.md) lists the exit codes.
{MADE}

Every verb has `-h` or `--help`; `stemdask -v VERB ...` shows the traceback of an error.
"""

FUNCTIONS = f"""\
# Functions

What the analyses do, as functions on numpy arrays, for a notebook:
`from stemdask.kernels.atoms import find_neighbours`. `help(find_neighbours)` gives arguments and results, with an
example that a test runs.
{MADE}
"""

KINDS = (clusters.Auto, *get_args(clusters.Named))


#: Keys with which an analysis writes more variables than with its defaults.
OPTIONS: dict[str, dict[str, Any]] = {
    "columns": {"edits": "edits.csv"},
    "lattice": {"structure": "BaTiO3.cif"},
    "displacement": {"born_charge": 1.0},
    "domains": {"embedding": "tsne"},
}


def analyses() -> str:
    """Return the page of the analyses."""
    parts = [ANALYSES]
    titles: dict[Kind, str] = {"images": "Images", "atoms": "Atoms"}
    for kind, title in titles.items():
        parts.append(f"## {title}\n")
        steps = [Step(one.name, one.params(**OPTIONS.get(one.name, {}))) for one in registry.of_kind(kind)]
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


def config() -> str:
    """Return the page of the config."""
    parts = [CONFIG, "## The whole config\n", _keys(Config), "## `input`\n", _keys(Input)]
    parts += ["## `limits`\n", _keys(LimitsSection), "## `cluster`\n"]
    for model in KINDS:
        kinds = [f"`{kind}`" for kind in get_args(model.model_fields["kind"].annotation)]
        parts += [f"### {', '.join(kinds)}\n", f"{model.__doc__}\n"]
        if keys := _keys(model):
            parts.append(keys)
    return "\n".join(parts)


def command_line() -> str:
    """Return the page of the command line."""
    parts = [COMMANDS]
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        example = str(command.epilog).removeprefix("Example: ")
        parts += [f"## `{name}`\n", f"{command.help}\n", f"```sh\n{example}\n```\n"]
        rows = [f"| {_usage(one)} | {_cell(one.help or '')} |" for one in command.params if one.name != "help"]
        if rows:
            parts += ["| argument or option | meaning |\n|---|---|\n" + "\n".join(rows) + "\n"]
    return "\n".join(parts)


def _usage(parameter: Any) -> str:
    """Return how a parameter is written on the command line."""
    if parameter.param_type_name == "argument":
        return f"`{_cell(parameter.metavar)}`"
    return ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))


def _keys(model: type[BaseModel]) -> str:
    """Return the keys of a section as a table; those that choose it are in its heading."""
    fields = {name: field for name, field in model.model_fields.items() if name != "kind" or name in meanings(model)}
    if not fields:
        return ""
    return "\n".join(["| key | default | meaning |", "|---|---|---|", *(_key(model, name) for name in fields), ""])


def _key(model: type[BaseModel], name: str) -> str:
    field = model.model_fields[name]
    default = "required" if field.is_required() else f"`{default_text(field)}`"
    return f"| `{name}` | {default} | {_cell(meanings(model).get(name, ''))} |"


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
            lines.append(f"| `{name}` | `{default_text(field)}` | {_cell(meanings(analysis.params)[name])} |")
        lines.append("")
    lines += ["| variable | dimensions | units | meaning |", "|---|---|---|---|"]
    for variable in (variable for variable in declared if variable.stored):
        dims = ", ".join(variable.dims)
        lines.append(f"| `{variable.path}` | {dims} | {variable.units} | {_cell(variable.long_name)} |")
    return "\n".join(lines) + "\n"


def _cell(words: str) -> str:
    return " ".join(words.split()).replace("|", "\\|")


#: What makes the text of a page, by the name of its file.
PAGES: dict[str, Callable[[], str]] = {
    "analyses.md": analyses,
    "functions.md": functions,
    "config.md": config,
    "cli.md": command_line,
}

if __name__ == "__main__":
    for page, text in PAGES.items():
        Path(__file__).with_name(page).write_text(text(), encoding="utf-8")
