"""Composition by distance to the centre and by depth, and how the surface differs from the core."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from stemdask.analyses.atoms.sample import elements, sample, species
from stemdask.analyses.atoms.shape import shape, surface
from stemdask.kernels.atoms.fractions import Fraction, fraction
from stemdask.model import Analysis, Array, AtomsFrame, Frame, Params, Variable
from stemdask.units import Length, LengthAngstrom

#: Frames looked at for the elements and the size of the particle, spread evenly.
PROBES = 32


class CompositionParams(Params):
    """Composition."""

    width: LengthAngstrom = Length(2.0, "angstrom")
    """Width of the shells of distance and of depth."""


_ELEMENT = ("species",)
_PLACE = ("frame", *_ELEMENT)
ELEMENT = Variable("composition/element", _ELEMENT, "uint8", "1", "atomic number", stage="prepare", coordinate=True)
PLACES = {
    name: Variable(
        f"composition/{name}",
        (name,),
        "float64",
        "angstrom",
        f"{text}, middle of the shell",
        stage="prepare",
        standard_name=standard,
    )
    for name, text, standard in (
        ("radius", "distance to the centre", None),
        ("depth", "depth below the surface", "depth"),
    )
}
COUNT = {
    name: Variable(f"composition/count_by_{name}", (*_PLACE, name), "int32", "1", f"atoms of the element by {name}")
    for name in PLACES
}
FRACTION = {
    name: Variable(
        f"composition/fraction_by_{name}",
        (*_PLACE, name),
        "float64",
        "1",
        f"fraction of the element by {name}",
        f"composition/fraction_by_{name}_err",
    )
    for name in PLACES
}
FRACTION_ERR = {
    name: Variable(
        f"composition/fraction_by_{name}_err",
        (*_PLACE, name),
        "float64",
        "1",
        f"standard error of the fraction of the element by {name}",
    )
    for name in PLACES
}
PARTS = {"surface": surface.SURFACE, "core": surface.CORE}
FRACTION_OF_PART = {
    name: Variable(
        f"composition/fraction_{name}",
        _PLACE,
        "float64",
        "1",
        f"fraction of the element in the {name}",
        f"composition/fraction_{name}_err",
    )
    for name in PARTS
}
FRACTION_OF_PART_ERR = {
    name: Variable(
        f"composition/fraction_{name}_err",
        _PLACE,
        "float64",
        "1",
        f"standard error of the fraction of the element in the {name}",
    )
    for name in PARTS
}


def outputs(params: CompositionParams) -> tuple[Variable, ...]:
    """Declare the composition of each shell, of the surface and of the core."""
    shells = (*COUNT.values(), *FRACTION.values(), *FRACTION_ERR.values())
    return (ELEMENT, *PLACES.values(), *shells, *FRACTION_OF_PART.values(), *FRACTION_OF_PART_ERR.values())


def prepare(frames: Sequence[Frame], params: CompositionParams) -> Mapping[str, Array]:
    """Name the elements, and choose as many shells as the largest particle needs."""
    longest, width = 0.0, params.width.angstrom()
    for frame in sample(frames, PROBES):
        placed = frame.positions[np.isfinite(frame.positions).all(axis=1)]
        if len(placed):
            longest = max(longest, float(np.linalg.norm(placed - placed.mean(axis=0), axis=1).max()))
    shells = (np.arange(max(int(np.ceil(longest / width)), 1)) + 0.5) * width
    return {ELEMENT.path: elements(frames, PROBES), **{place.path: shells for place in PLACES.values()}}


def run(frame: AtomsFrame, params: CompositionParams) -> Mapping[str, Array]:
    """Count the elements in each shell of one frame; what is farther than the last shell counts there."""
    known = frame[ELEMENT]
    of, width = species(frame.numbers, known), params.width.angstrom()
    arrays: dict[str, Array] = {}
    for name, where in (("radius", frame[shape.DISTANCE_TO_CENTER]), ("depth", frame[surface.DEPTH])):
        n_shells = len(frame[PLACES[name]])
        inside = np.isfinite(where) & (of >= 0)
        shell = np.minimum(where[inside] / width, n_shells - 1).astype(int)
        counts = _counts(of[inside], shell, (len(known), n_shells))
        found = fraction(counts, counts.sum(axis=0, keepdims=True))
        arrays |= {COUNT[name].path: counts.astype(np.int32)}
        arrays |= {FRACTION[name].path: found.value, FRACTION_ERR[name].path: found.error}
    for name, part in PARTS.items():
        found = _of_part(of[(frame[surface.AT_SURFACE] == part) & (of >= 0)], len(known))
        arrays |= {FRACTION_OF_PART[name].path: found.value, FRACTION_OF_PART_ERR[name].path: found.error}
    return arrays


def _counts(of: Array, shell: Array, lengths: tuple[int, int]) -> Array:
    counts: Array = np.bincount(of * lengths[1] + shell, minlength=lengths[0] * lengths[1]).reshape(lengths)
    return counts


def _of_part(of: Array, n_elements: int) -> Fraction:
    return fraction(np.bincount(of, minlength=n_elements), len(of))


ANALYSIS = Analysis(
    name="composition",
    kind="atoms",
    summary="Composition by distance to the centre and by depth, and of surface and core",
    params=CompositionParams,
    outputs=outputs,
    shows="stemdask.figures.atoms.composition",
    needs=("shape", "surface"),
    prepare=prepare,
    run=run,
)
