from __future__ import annotations

from pathlib import Path

import ase.io
import numpy as np
from exported import COUNTS, tree

from stemdask import export
from stemdask.sources.opening import open_source


def test_extended_xyz_holds_everything_and_reads_back(atoms_store: Path, tmp_path: Path) -> None:
    export.write(atoms_store, "extxyz", tmp_path)
    path = tmp_path / "frames.extxyz"
    by_ase = ase.io.read(path, ":", format="extxyz")
    source = open_source(path)
    store = tree(atoms_store)
    assert [atoms.info["frame"] for atoms in by_ase] == [0, 1, 2, 4]
    for number, atoms in enumerate(by_ase):
        frame = int(atoms.info["frame"])
        n = COUNTS[frame]
        np.testing.assert_array_equal(source.read(number).positions, atoms.positions)
        assert atoms.info["diameter"] == float(store["particle"].diameter[frame])
        for name in ("q4", "q6", "w6_avg", "crystallinity", "coordination", "n_neighbors"):
            np.testing.assert_array_equal(atoms.arrays[name], store["atoms"][name].values[frame, :n])
        assert not atoms.pbc.any()
