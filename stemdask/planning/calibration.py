"""The pixel size, or the scale of coordinates, that a known length means."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stemdask.analyses import chain, registry
from stemdask.config.keys import Calibration
from stemdask.errors import FrameError, InputError
from stemdask.model import Array, Source, Step
from stemdask.planning.looks import Looks
from stemdask.planning.trial import Trial, loaded
from stemdask.planning.tried import TRIED, spread
from stemdask.sources.atoms.source import AtomsSource
from stemdask.units import Length, parse_length


def found(source: Source, known: Calibration, steps: Sequence[Step], looked: Looks) -> dict[str, Length]:
    """Return the keys of the input that a known length gives.

    Parameters
    ----------
    source
        Images or structures.
    known
        The length.
    steps
        Of the run; `preprocess` comes before a lattice is measured.
    looked
        Looks at the frames.

    Raises
    ------
    InputError
        The length is one of the other kind of input, or can't be measured.
    """
    if source.kind == "images" and known.a is not None:
        return {"pixel_size": _fenced(source, steps, "pixel_size", known.a, looked)}
    if source.kind == "atoms" and known.nearest_neighbour is not None:
        return {"scale": _fenced(source, (), "scale", known.nearest_neighbour, looked)}
    right = {"images": "a, the lattice constant", "atoms": "nearest_neighbour, the mean distance of nearest atoms"}
    raise InputError(
        f"{source.kind} are calibrated by another length", where="input.calibrate_from", allowed=right[source.kind]
    )


def _fenced(source: Source, steps: Sequence[Step], key: str, known: Length, looked: Looks) -> Length:
    """Measure a key of the input behind the fence, from a known length."""
    first = [step for step in steps if step.name == "preprocess"]

    def look() -> str:
        with Trial(source, first) as trial:
            told, _ = trial.ask("stemdask.planning.calibration:measure", {"key": key, "known": str(known)})
        return str(told)

    return parse_length(looked.once(f"{key} that makes it {known}", source, first, look), "nm")


def measure(given: Mapping[str, Any], arrays: Mapping[str, Array]) -> tuple[str, dict[str, Array]]:
    """Measure a key of the input of the source that is loaded; returns it as text."""
    known, source = parse_length(given["known"], "nm"), loaded().source
    if isinstance(source, AtomsSource):
        return str(scale(source, known)), {}
    return str(pixel_size(source, known, loaded().steps)), {}


def scale(source: AtomsSource, distance: Length) -> Length:
    """Measure the first shell of the first frame that has one; return the unit of length that gives its distance.

    A scale that was given already is corrected.

    Parameters
    ----------
    source
        Structures.
    distance
        Mean distance of nearest neighbours, to the first minimum of g(r).

    Raises
    ------
    InputError
        No frame has a first shell.
    """
    from stemdask.kernels.atoms.mean_bond import mean_bond

    for index in spread(source.n_frames)[:TRIED]:
        with contextlib.suppress(FrameError, InputError):
            frame = source.read(index)
            if (mean := mean_bond(frame.positions, frame.cell, frame.periodic)) > 0:
                return Length(float(f"{source.scale * distance.angstrom() / mean:.6g}"), "angstrom")
    raise InputError(
        "no frame has a first shell of neighbours to calibrate from",
        where="input.calibrate_from",
        remedy="Give input.scale instead",
    )


def pixel_size(source: Source, constant: Length, before: Sequence[Step] = ()) -> Length:
    """Measure the lattice on the first frame that shows one, and return the pixel size that gives its constant.

    Parameters
    ----------
    source
        Images.
    constant
        Length of the basis vectors of the A sublattice; where the two differ, their mean is taken.
    before
        What comes before the lattice is measured.

    Raises
    ------
    InputError
        No frame shows a lattice.
    """
    steps = [*before, *(Step(name, registry.get("images", name).params()) for name in ("columns", "lattice"))]
    failure = "there are no frames"
    for index in spread(source.n_frames)[:TRIED]:
        try:
            frame = source.read(index)
            found = chain.analyse("images", steps, frame)
        except (FrameError, InputError) as error:
            failure = str(error)
            continue
        lengths = [float(np.hypot(found[f"lattice/{v}_y"], found[f"lattice/{v}_x"])) for v in "ab"]
        pixels = float(np.mean(lengths)) / frame.pixel_size[0]  # type: ignore[union-attr]
        return Length(float(f"{constant.nm() / pixels:.6g}"), "nm")
    raise InputError(
        "no lattice to calibrate from",
        where="input.calibrate_from",
        value=failure,
        remedy="Give input.pixel_size instead",
    )
