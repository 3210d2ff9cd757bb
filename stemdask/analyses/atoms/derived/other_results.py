"""What other analyses return, for those that make new numbers of any of it: its units, its name, and its absence."""

from __future__ import annotations

from collections.abc import Iterable

from stemdask.analyses.atoms.order import bond_order, coordination, finite_rdf, rdf, structure
from stemdask.analyses.atoms.shape import clusters, lattice_fit, shape, surface
from stemdask.errors import ConfigError

_MODULES = (shape, rdf, coordination, bond_order, surface, structure, lattice_fit, finite_rdf, clusters)


def known_units() -> dict[str, str]:
    """Return the unit of each variable that the analyses of a frame declare by default, by path.

    What other parameters add, such as order parameters of other degrees, has the unit 1.
    """
    analyses = (module.ANALYSIS for module in _MODULES)
    return {variable.path: variable.units for analysis in analyses for variable in analysis.outputs(analysis.params())}


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
