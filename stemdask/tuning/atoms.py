"""Scores of structures: how sharply a choice tells crystalline atoms from others, and how far that can be trusted.

Each choice is checked against

* invariance: atoms of a part of the particle are what they are in the whole;
* known truth: twins, particles of the same distance of nearest neighbours, size and thermal motion, half of whose atoms
  were moved off their sites. The choice must tell which, whether they were moved little or much: one that is made for
  the disorder of one twin is worse in the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from stemdask import simulate
from stemdask.analyses.atoms.order import bond_order, rdf
from stemdask.analyses.evaluation import FrameResult
from stemdask.kernels.arrays import Array, Booleans, Floats
from stemdask.model import AtomsFrame, Step
from stemdask.planning.trial import loaded
from stemdask.tuning.frames import pack
from stemdask.tuning.scores import Measure

#: Part of the longest side that is left of a part of a particle, at either end, and how far from the cut its atoms
#: know nothing of it: q6 reaches two shells, in distances of nearest neighbours.
_PART, _KNOWS_NOTHING = 2 / 3, 3.5
#: Fewest atoms of which something is told.
_FEWEST = 8
#: Longest bond that the thermal motion is read from, in distances of nearest neighbours, and the largest particle that
#: is simulated, atoms.
_BOND, _LARGEST = 1.2, 20_000
#: How far atoms of a twin are off their sites, in distances of nearest neighbours; twins of each.
_LITTLE, _MUCH, _TWINS = 0.18, 0.32, 2
#: Standard deviation over the median of absolute deviations.
_DEVIATION = 1.4826
#: Cutoffs that are tried, in first minima of g(r).
_CUTOFFS = (0.92, 0.96, 1.04, 1.08)

BONDS = Measure("bonds", "bonds per atom", "mean number of neighbours")
CRYSTALLINE = Measure("crystalline", "crystalline / %", "atoms that are crystalline")
AGREEMENT = Measure("agreement", "unlike neighbours / %", "bonds of a crystalline atom with one that isn't")
SHIFT = Measure(
    "shift", "changed by crop / %", "atoms far from the cut that are something else in a part of the particle"
)
ERRORS = {
    moved: Measure(
        f"error_{name}",
        f"error (moved {name}) / %",
        f"atoms taken wrongly in twins of known truth, half of whose atoms are {moved:g} distances off their sites",
    )
    for name, moved in (("little", _LITTLE), ("much", _MUCH))
}
MEASURES = (BONDS, CRYSTALLINE, AGREEMENT, SHIFT, *ERRORS.values())


class Twin(NamedTuple):
    """A particle whose truth is known."""

    frame: AtomsFrame
    crystalline: Booleans
    """(n,)."""
    moved: float
    """How far its disordered atoms are off their sites, in distances of nearest neighbours."""


class Standards(NamedTuple):
    """What candidates are checked against in one structure."""

    compared: list[Array]
    """Of each part, the number that each of its atoms has in the whole; -1 for those near the cut."""
    twins: list[Twin]
    frames: list[AtomsFrame]
    """The parts, then the twins."""


def frame_of(given: Mapping[str, Any], arrays: Mapping[str, Array]) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return a structure, behind the fence."""
    return pack(loaded().source.read(given["index"]))


def parts(frame: AtomsFrame) -> Iterator[tuple[AtomsFrame, Array]]:
    """Yield both ends of a particle along its longest side, and which of its atoms to compare, by number.

    Nothing of a periodic box, which has no ends.
    """
    if any(frame.periodic) or len(frame.positions) < _FEWEST:
        return
    axis = int(np.argmax(np.ptp(frame.positions, axis=0)))
    along, near = frame.positions[:, axis], _nearest(frame.positions)
    low, high = along.min(), along.max()
    for sign, cut in ((1, low + _PART * (high - low)), (-1, high - _PART * (high - low))):
        depth = sign * (cut - along)
        kept = np.flatnonzero(depth >= 0)
        compared = np.where(depth[kept] > _KNOWS_NOTHING * near, kept, -1)
        yield AtomsFrame(0, frame.positions[kept], frame.numbers[kept]), compared


def twins(frame: AtomsFrame) -> Iterator[Twin]:
    """Yield particles that resemble another; none where none can be made: of a box, of a few atoms, or too many."""
    n = len(frame.positions)
    if any(frame.periodic) or not _FEWEST < n <= _LARGEST:
        return
    pairs = cKDTree(frame.positions).query_pairs(_BOND * _nearest(frame.positions), output_type="ndarray")
    lengths = np.linalg.norm(frame.positions[pairs[:, 0]] - frame.positions[pairs[:, 1]], axis=1)
    mean = float(np.median(lengths))
    thermal = _DEVIATION * float(np.median(np.abs(lengths - mean))) / np.sqrt(2.0)
    # A ball of n atoms at the density of an fcc crystal: each has the volume mean³/√2.
    diameter = 2.0 * (3.0 * n * mean**3 / np.sqrt(2.0) / (4.0 * np.pi)) ** (1.0 / 3.0)
    ideal = simulate.nanocrystal(diameter, "Pt", "sphere", lattice_parameter=mean * np.sqrt(2.0))
    for moved in ERRORS:
        for seed in range(_TWINS):
            made = simulate.trajectory(
                ideal,
                1,
                sigma=thermal,
                n_disordered=len(ideal.positions) // 2,
                disorder=moved * mean,
                rotation=30.0,
                seed=seed,
            )
            yield Twin(made.read(0), ~made.truth(0).disordered, moved)


def standards(frame: AtomsFrame, values: Mapping[str, Array]) -> Standards:
    """Return the parts of a structure and twins of it, and what is known of them."""
    ends, made = list(parts(frame)), list(twins(frame))
    frames = [*(part for part, _ in ends), *(twin.frame for twin in made)]
    return Standards([compared for _, compared in ends], made, frames)


def measured(whole: FrameResult, given: Standards, results: Sequence[FrameResult]) -> dict[str, float]:
    """Return the measures of a candidate in one frame.

    Parameters
    ----------
    whole
        What it found in the structure.
    given, results
        What it is checked against, and what it found there.
    """
    values = whole.values
    crystalline = _crystalline(whole)
    first, second = values[bond_order.ATOM_1.path], values[bond_order.ATOM_2.path]
    changed = [
        _crystalline(part)[compared >= 0] != crystalline[compared[compared >= 0]]
        for part, compared in zip(results, given.compared, strict=False)
        if part.is_done
    ]
    of_twins = [pair for pair in zip(given.twins, results[len(given.compared) :], strict=True) if pair[1].is_done]
    errors = {
        measure.name: _percent(
            np.concatenate(
                [np.empty(0, bool)]
                + [_crystalline(result) != twin.crystalline for twin, result in of_twins if twin.moved == moved]
            )
        )
        for moved, measure in ERRORS.items()
    }
    return {
        BONDS.name: float(values[bond_order.N_NEIGHBORS.path].mean()),
        CRYSTALLINE.name: 100.0 * float(crystalline.mean()),
        AGREEMENT.name: _percent(crystalline[first] != crystalline[second]),
        SHIFT.name: _percent(np.concatenate([np.empty(0, bool), *changed])),
    } | errors


def found_candidates(
    steps: Sequence[Step], frame: AtomsFrame, values: Mapping[str, Array]
) -> Iterator[tuple[str, str]]:
    """Yield other cutoffs around the first minimum of g(r), where neighbours go by one."""
    params = next(step.params for step in steps if step.name == "bond_order")
    assert isinstance(params, bond_order.BondOrderParams)
    found = float(values[rdf.CUTOFF.path]) if params.cutoff == "auto" else params.cutoff.angstrom()
    if params.neighbours == "cutoff" and np.isfinite(found):
        for factor in _CUTOFFS:
            yield "bond_order.cutoff", f"{factor * found:.2f} angstrom"


def _crystalline(result: FrameResult) -> Booleans:
    return np.asarray(result.values[bond_order.CRYSTALLINE.path] == 1)


def _percent(of: Array) -> float:
    return 100.0 * float(of.mean()) if of.size >= _FEWEST else float("nan")


def _nearest(positions: Floats) -> float:
    return float(np.median(cKDTree(positions).query(positions, k=2)[0][:, 1]))
