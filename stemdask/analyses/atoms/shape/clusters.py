"""Crystalline clusters: crystalline atoms that hang together by crystalline bonds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import numpy as np
from pydantic import Field

from stemdask.analyses.atoms.order import bond_order
from stemdask.kernels.atoms.components import connected_parts, largest_first
from stemdask.model import Analysis, Array, AtomsFrame, Params, Variable


class ClustersParams(Params):
    """Crystalline clusters."""

    threshold: Annotated[float, Field(ge=-1, le=1)] = 0.8
    """Bonds with a larger s6 join two crystalline atoms to one cluster."""
    min_atoms: Annotated[int, Field(ge=1)] = 2
    """Smaller clusters are left out."""


_FRAME = ("frame",)
CLUSTER = Variable(
    "atoms/cluster", ("frame", "atom"), "int32", "1", "crystalline cluster of the atom, 0 is the largest"
)
N_CLUSTERS = Variable("particle/n_clusters", _FRAME, "int32", "1", "crystalline clusters")
LARGEST_CLUSTER = Variable(
    "particle/largest_cluster", _FRAME, "int32", "1", "atoms in the largest crystalline cluster", trend=True
)


def outputs(params: ClustersParams) -> tuple[Variable, ...]:
    """Declare the cluster of each atom, their number and the size of the largest."""
    return CLUSTER, N_CLUSTERS, LARGEST_CLUSTER


def run(frame: AtomsFrame, params: ClustersParams) -> Mapping[str, Array]:
    """Join the crystalline atoms of one frame."""
    crystalline = frame[bond_order.CRYSTALLINE] == 1
    i, j = frame[bond_order.ATOM_1], frame[bond_order.ATOM_2]
    joined = crystalline[i] & crystalline[j] & (frame[bond_order.S6] > params.threshold)
    parts = connected_parts(len(crystalline), i[joined], j[joined])
    label, sizes = largest_first(np.where(crystalline, parts, -1), params.min_atoms)
    return {
        CLUSTER.path: label,
        N_CLUSTERS.path: np.array(len(sizes), np.int32),
        LARGEST_CLUSTER.path: np.array(sizes.max(initial=0), np.int32),
    }


ANALYSIS = Analysis(
    name="clusters",
    kind="atoms",
    summary="Crystalline clusters: atoms connected by crystalline bonds, and their number",
    params=ClustersParams,
    outputs=outputs,
    shows="stemdask.figures.atoms.clusters",
    needs=("bond_order",),
    run=run,
)
