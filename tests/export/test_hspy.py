from __future__ import annotations

import resource
from pathlib import Path

import numpy as np
import pytest
from exported import tree

import stemdask as sd
from stemdask import export
from stemdask.errors import StorageError


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


def test_a_file_that_can_not_be_written_whole_is_refused_without_harm(images_store: Path, tmp_path: Path) -> None:
    """HDF5's library crashes as it comes back to a write that was refused."""
    export.write(images_store, "hspy", tmp_path / "whole")
    whole = {path.name: path.stat().st_size for path in (tmp_path / "whole").glob("*.hspy")}
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    for size in (100, 3000, max(whole.values()) - 100):
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
            with pytest.raises(StorageError, match="can't be written: File too large"):
                export.write(images_store, "hspy", tmp_path / "cut")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert not list((tmp_path / "cut").glob(".partial*"))
    export.write(images_store, "hspy", tmp_path / "cut")
    assert {path.name: path.stat().st_size for path in (tmp_path / "cut").glob("*.hspy")} == whole


@pytest.mark.long
def test_hyperspy_opens_averages_and_maps_where_they_lie(every_image_analysis: Path, tmp_path: Path) -> None:
    import hyperspy.api as hs

    export.write(every_image_analysis, "hspy", tmp_path)
    store = sd.open_results(every_image_analysis)
    average = hs.load(tmp_path / "registration_average.hspy")
    np.testing.assert_array_equal(average.data, store["registration/average"])
    x, y = average.axes_manager.signal_axes
    assert (x.name, x.units, y.units) == ("x", "nm", "nm")
    np.testing.assert_allclose(x.axis, store["registration"].x)
    np.testing.assert_allclose(y.axis, store["registration"].y)
    maps = hs.load(tmp_path / "displacement_u.hspy")
    one = store.stemdask.select(4, 5)
    i, j = maps.axes_manager.signal_axes
    np.testing.assert_allclose(maps.data[:, j.value2index(5), i.value2index(4)], one["u"], rtol=1e-6)
