"""How images were taken, as far as their file says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stemdask.planning import plan_file
from stemdask.sources.images.acquisition import Acquisition
from stemdask.sources.opening import open_source


def test_what_the_metadata_of_any_format_say() -> None:
    metadata = {"Acquisition_instrument": {"TEM": {"beam_energy": 200.0, "dwell_time": 4e-6}}}
    assert Acquisition.of({"metadata": metadata}) == Acquisition(200.0, 4e-6)
    assert Acquisition(200.0, 4e-6).describe() == {"acceleration voltage": "200 kV", "dwell time": "4 µs per pixel"}


def test_what_a_reader_maps_from_the_words_of_its_format() -> None:
    tags = {"ImageTags": {"Microscope Info": {"Voltage": 80_000}, "DigiScan": {"Sample Time": 12.5}}}
    mapping = {
        "ImageTags.Microscope Info.Voltage": ("Acquisition_instrument.TEM.beam_energy", lambda volt: volt / 1e3),
        "ImageTags.DigiScan.Sample Time": ("Acquisition_instrument.TEM.dwell_time", lambda us: us / 1e6),
    }
    found = Acquisition.of({"metadata": {}, "original_metadata": tags, "mapping": mapping})
    assert found == (80.0, pytest.approx(12.5e-6))


def test_velox_keeps_the_dwell_time_in_its_own_words() -> None:
    assert Acquisition.of({"original_metadata": {"Scan": {"DwellTime": "2e-06"}}}) == (None, 2e-6)


@pytest.mark.parametrize("stated", [None, 0, -1.0, float("nan"), "unknown", {"nested": 1}])
def test_what_is_no_voltage_is_not_known(stated: object) -> None:
    found = Acquisition.of({"metadata": {"Acquisition_instrument": {"TEM": {"beam_energy": stated}}}})
    assert found == Acquisition()
    assert found.describe() == {}


def test_a_file_tells_it_and_a_plan_carries_it(tmp_path: Path) -> None:
    import hyperspy.api as hs

    signal = hs.signals.Signal2D(np.random.default_rng(0).random((2, 32, 32)))
    signal.metadata.set_item("Acquisition_instrument.TEM.beam_energy", 300.0)
    signal.save(tmp_path / "a.hspy", chunks=(1, 32, 32))
    source = open_source(tmp_path / "a.hspy")
    assert source.describe()["acceleration voltage"] == "300 kV"
    assert "dwell time" not in source.describe()
    again, _ = plan_file.unpack(plan_file.pack(source, ()))
    assert again == source
