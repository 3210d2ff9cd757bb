from __future__ import annotations

from pathlib import Path

import numpy as np
from exported import tree

from stemdask import export


def test_hspy_holds_maps_over_the_lattice(images_store: Path, tmp_path: Path) -> None:
    from rsciio.hspy import file_reader

    export.write(images_store, "hspy", tmp_path)
    (signal,) = file_reader(str(tmp_path / "displacement_u.hspy"))
    displacement = tree(images_store)["displacement"]
    n = int(tree(images_store)["frames"].n_cells[1])
    i, j, u = (displacement[name].values[1, :n] for name in ("i", "j", "u"))
    low_i, low_j = (np.nanmin(np.where(displacement.u.notnull(), displacement[k], 10**6)) for k in ("i", "j"))
    maps = signal["data"]
    assert signal["metadata"]["Signal"]["quantity"] == "u (pm)"
    np.testing.assert_allclose(maps[1][(j - low_j).astype(int), (i - low_i).astype(int)], u, rtol=1e-6)
    assert np.isfinite(maps[1]).sum() == np.isfinite(u).sum()
