"""Crystalline clusters: crystalline atoms that hang together by crystalline bonds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import numpy as np
from pydantic import Field

from stemdask.kernels.atoms.components import connected_parts, largest_first
from stemdask.model import Analysis, Array, AtomsFrame, Params, Variable


class ClustersParams(Params):
    """Crystalline clusters."""

    threshold: Annotated[float, Field(ge=-1, le=1)] = 0.8
    """Bonds with a larger s6 join two crystalline atoms to one cluster."""
    min_atoms: Annotated[int, Field(ge=1)] = 2
    """Smaller clusters are left out."""


def outputs(params: ClustersParams) -> tuple[Variable, ...]:
    """Declare the cluster of each atom, their number and the size of the largest."""
    frame = ("frame",)
    return (
        Variable("atoms/cluster", ("frame", "atom"), "int32", "1", "crystalline cluster of the atom, 0 is the largest"),
        Variable("particle/n_clusters", frame, "int32", "1", "crystalline clusters"),
        Variable("particle/largest_cluster", frame, "int32", "1", "atoms in the largest crystalline cluster"),
    )


def run(frame: AtomsFrame, params: ClustersParams) -> Mapping[str, Array]:
    """Join the crystalline atoms of one frame."""
    crystalline = frame.results["atoms/crystalline"] == 1
    i, j = frame.results["bonds/atom_1"], frame.results["bonds/atom_2"]
    joined = crystalline[i] & crystalline[j] & (frame.results["bonds/s6"] > params.threshold)
    parts = connected_parts(len(crystalline), i[joined], j[joined])
    label, sizes = largest_first(np.where(crystalline, parts, -1), params.min_atoms)
    return {
        "atoms/cluster": label,
        "particle/n_clusters": np.array(len(sizes), np.int32),
        "particle/largest_cluster": np.array(sizes.max(initial=0), np.int32),
    }


ANALYSIS = Analysis(
    name="clusters",
    kind="atoms",
    summary="Crystalline clusters: which atoms hang together by crystalline bonds, and how many",
    params=ClustersParams,
    outputs=outputs,
    needs=("bond_order",),
    run=run,
)
