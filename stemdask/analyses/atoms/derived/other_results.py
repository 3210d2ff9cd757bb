"""What other analyses return, for those that make new numbers of any of it: its name in words, and its absence."""

from __future__ import annotations

from collections.abc import Iterable

from stemdask.analyses.atoms.shape import positions
from stemdask.errors import ConfigError


def of_atoms(name: str) -> str:
    """Return the path of a property of the atoms by its name."""
    return f"{positions.X.group}/{name}"


def in_words(name: str) -> str:
    """Return the name of a result as words of which a mean can be said: "bond length" for ``mean_bond_length``."""
    words = name.removeprefix("mean_").replace("_", " ")
    return f"number of {words.removeprefix('n ')}" if words.startswith("n ") else words


def not_given(what: str, key: str, value: str, known: Iterable[str]) -> ConfigError:
    """Return the error of a config that names what no analysis of its run gives."""
    return ConfigError(
        f"no analysis of this run gives that {what}",
        where=key,
        value=value,
        allowed=", ".join(sorted(known)),
        remedy="Add the analysis that gives it, or leave it out",
    )
