"""Draw the pictures of the README from the stores of the demo: ``python docs/make_pictures.py stemdask-demo``."""

from __future__ import annotations

import sys
from pathlib import Path

import stemdask as sd

PICTURES = Path(__file__).with_name("_static")

if __name__ == "__main__":
    for half, figure in (("images", "displacement"), ("atoms", "order")):
        tree = sd.open_results(Path(sys.argv[1]) / f"{half}.zarr")
        drawn = getattr(tree.stemdask.plot, figure)(frame=0)
        drawn.savefig(PICTURES / f"{half}.png", dpi=70)
