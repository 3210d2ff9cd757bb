"""Labels of all cells of a block of frames: what a fitted partition says of each, alone or with its neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_dilation

from stemdask.analyses.images.maps.domain_cells import CellBlock
from stemdask.kernels.arrays import Integers
from stemdask.kernels.images.domains.domain_models import DomainModel
from stemdask.model import Array

#: Cells without a label that a wall may be wide, on each side.
_BRIDGED = 2


@dataclass(frozen=True, slots=True)
class Labels:
    """Of every grid place, (frame, row, column)."""

    label: Integers
    """-1 where there is no cell, or none that differs from zero."""
    probability: Array
    """Of the label; NaN without one."""
    bridged: Integers
    """Labels between which walls run.

    At a wall displacements pass through zero, so that its own cells may have no label; they get their more probable one
    where a labelled cell is near.
    """


def label_block(model: DomainModel, block: CellBlock, significance: float) -> Labels:
    """Label the cells whose displacement differs from zero with this confidence.

    Where the model reckons with neighbours, they have their say in whether a cell is displaced as well.
    """
    present = np.isfinite(block.vectors).all(axis=-1)
    likely, probability = np.full(present.shape, -1, dtype=np.int64), np.full(present.shape, np.nan)
    displaced = block.significant & present
    mixture = model.potts_mixture
    if mixture is None:
        likely[present], probability[present] = model.predict(block.vectors[present], block.errors[present])
    else:
        shares = mixture.beliefs(block.vectors, block.errors)[..., :-1]
        likely[present] = shares[present].argmax(axis=1)
        probability[present] = shares[present].max(axis=1)
        displaced = present & (shares @ model.arrays["displaced"] >= significance)
    label = np.where(displaced, likely, -1)
    near = binary_dilation(label >= 0, np.ones((1, 3, 3), dtype=bool), iterations=_BRIDGED)
    return Labels(label, np.where(displaced, probability, np.nan), np.where(near, likely, -1))
