"""The pixel size that a known lattice constant means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from stemdask.analyses import chain, registry
from stemdask.errors import FrameError, InputError
from stemdask.model import Array, Source, Step
from stemdask.planning.trial import Trial, loaded
from stemdask.units import Length, parse_length

#: Frames tried before the calibration is given up.
TRIED = 3


def pixel_size(source: Source, constant: Length) -> Length:
    """Measure the lattice behind the fence; see `measured`."""
    trial = Trial(source, ())
    return parse_length(str(trial.ask("stemdask.planning.calibration:measure", {"constant": str(constant)})), "nm")


def measure(given: Mapping[str, Any], arrays: Mapping[str, Array]) -> tuple[str, dict[str, Array]]:
    """Do what `measured` does, behind the fence."""
    return str(measured(loaded().source, parse_length(given["constant"], "nm"))), {}


def measured(source: Source, constant: Length) -> Length:
    """Measure the lattice on the first frame that shows one, and return the pixel size that gives its constant.

    Parameters
    ----------
    source
        Images.
    constant
        Length of the basis vectors of the A sublattice; where the two differ, their mean is taken.

    Raises
    ------
    InputError
        No frame shows a lattice.
    """
    steps = [Step(name, registry.get("images", name).params()) for name in ("columns", "lattice")]
    failure = "there are no frames"
    for index in range(min(TRIED, source.n_frames)):
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
