"""Units of what other analyses return, for those that make new numbers of any of it."""

from __future__ import annotations

from stemdask.analyses.atoms import (
    bond_order,
    clusters,
    coordination,
    finite_rdf,
    lattice_fit,
    rdf,
    shape,
    structure,
    surface,
)

_MODULES = (shape, rdf, coordination, bond_order, surface, structure, lattice_fit, finite_rdf, clusters)


def known_units() -> dict[str, str]:
    """Return the unit of each variable that the analyses of a frame declare by default, by path.

    What other parameters add, such as order parameters of other degrees, has the unit 1.
    """
    analyses = (module.ANALYSIS for module in _MODULES)
    return {variable.path: variable.units for analysis in analyses for variable in analysis.outputs(analysis.params())}
