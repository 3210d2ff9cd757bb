from __future__ import annotations

from pathlib import Path

import ase.io
import numpy as np
import pytest
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


@pytest.mark.claims
def test_ovito_reads_every_frame_and_property_back(atoms_store: Path, tmp_path: Path) -> None:
    ovito = pytest.importorskip("ovito.io", exc_type=ImportError)
    store = tree(atoms_store)
    for fmt, name in (("extxyz", "frames.extxyz"), ("pdb", "frames.pdb")):
        export.write(atoms_store, fmt, tmp_path / fmt)
        pipeline = ovito.import_file(str(tmp_path / fmt / name), multiple_frames=True)
        assert pipeline.num_frames == 4
        for number, frame in enumerate((0, 1, 2, 4)):
            n = COUNTS[frame]
            particles = pipeline.compute(number).particles
            expected = np.stack([store["atoms"][axis].values[frame, :n] for axis in "xyz"], axis=1)
            np.testing.assert_allclose(particles.positions, expected, atol=1e-12 if fmt == "extxyz" else 5.001e-4)
            if fmt == "extxyz":
                there = {key.lower(): key for key in particles}
                for variable in ("q4", "q6", "w6_avg", "crystallinity", "coordination", "n_neighbors"):
                    values = store["atoms"][variable].values[frame, :n]
                    # OVITO's parser is right but for the last bit; ASE's, above, is exact.
                    np.testing.assert_allclose(particles[there[variable]], values, rtol=5e-16)
