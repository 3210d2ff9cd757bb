"""What a store holds of a block, checked against the checksums that were noted when it was written."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from stemdask.model import Array, Block
from stemdask.store import checksums, layout


def sums_of(root: layout.Opened, block: Block) -> dict[str, int] | None:
    """Return what was noted of each variable of a block, by path; 0 where nothing was. None where that is damaged."""
    if layout.CHECKSUMS not in root:
        return {}
    array = root[layout.CHECKSUMS]
    try:
        noted = np.asarray(array[block.index]).tolist()
    except Exception:  # noqa: BLE001 - damage has many types, and is mended by doing the block again
        return None
    return dict(zip(array.attrs["paths"], noted, strict=True))


def read(root: layout.Opened, path: str, block: Block, sums: Mapping[str, int]) -> Array | None:
    """Return a variable of a block; None where it is damaged, or another one than was noted."""
    try:
        values = np.asarray(root[path][block.start : block.stop])
    except Exception:  # noqa: BLE001 - damage has many types, and is mended by doing the block again
        return None
    noted = sums.get(path)
    return values if not noted or noted == checksums.of_block(path, block.index, values) else None
