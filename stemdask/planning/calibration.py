"""The pixel size that a known lattice constant means."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stemdask.analyses import chain, registry
from stemdask.errors import FrameError, InputError
from stemdask.model import Source, Step
from stemdask.planning.tried import TRIED, spread
from stemdask.units import Length


def pixel_size(source: Source, constant: Length, of_run: Sequence[Step]) -> Length:
    """Measure the lattice on the first frame that shows one, and return the pixel size that gives its constant.

    Parameters
    ----------
    source
        Images.
    constant
        Length of the basis vectors of the A sublattice; where the two differ, their mean is taken.
    of_run
        The steps of the run; `preprocess` comes before the lattice is measured.

    Raises
    ------
    InputError
        No frame shows a lattice.
    """
    steps = [step for step in of_run if step.name == "preprocess"]
    steps += [Step(name, registry.get("images", name).params()) for name in ("columns", "lattice")]
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
