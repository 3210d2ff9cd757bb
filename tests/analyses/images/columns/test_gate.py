"""What is no crystal is refused in words; what is one passes, and its bad columns leave all that follows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from no_crystal import Picture, no_crystals

from stemdask import simulate
from stemdask.analyses import chain
from stemdask.analyses.images.cells.displacement import DisplacementParams
from stemdask.analyses.images.columns import columns, gate
from stemdask.analyses.images.columns.columns import ColumnsParams
from stemdask.analyses.images.columns.lattice import LatticeParams
from stemdask.analyses.images.stack.preprocess import PreprocessParams
from stemdask.errors import FrameError
from stemdask.kernels.images.finding.polarity import DOUBTFUL, polarity
from stemdask.kernels.images.finding.quality import Quality
from stemdask.kernels.images.finding.separation import NoLatticeError
from stemdask.model import Array, ImageFrame, Step
from stemdask.sources.opening import open_source

QUICK = 8
PASSES = Quality(np.ones(50, bool), 1.0, 0.25, 0.02, 0.01, 0.02, 0.0, False, 0.0, 1.0)


def analysed(image: Array, **more: object) -> dict[str, Array]:
    """Do what a run does with an image; raise FrameError where it refuses it."""
    pixels = np.asarray(image, np.float32)
    try:
        evidence = polarity(pixels)
    except NoLatticeError:
        evidence = 1.0
    if abs(evidence) < DOUBTFUL:
        raise FrameError("the polarity is doubtful")
    steps = [
        Step("preprocess", PreprocessParams(invert=evidence < 0)),
        Step("columns", ColumnsParams()),
        Step("lattice", LatticeParams()),
        Step("displacement", DisplacementParams()),
    ]
    return chain.analyse("images", steps, ImageFrame(0, pixels, **{"pixel_size": (0.02, 0.02)} | more))  # type: ignore[arg-type]


def accepted(images: list[tuple[str, Callable[[], Picture]]]) -> list[str]:
    found = []
    for name, draw in images:
        try:
            analysed(draw())
        except FrameError:
            continue
        found.append(name)
    return found


#: A fit of what aren't columns may overflow.
overflowing = pytest.mark.filterwarnings("ignore::RuntimeWarning")


@overflowing
@pytest.mark.long
def test_images_without_a_crystal_are_refused() -> None:
    every = list(no_crystals())
    assert len(every) == 200
    assert accepted(every[:: len(every) // QUICK]) == []


@overflowing
@pytest.mark.slow
def test_none_of_two_hundred_images_without_a_crystal_is_accepted() -> None:
    assert accepted(list(no_crystals())) == []


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"usable": np.arange(50) < 20}, "hardly any columns were found"),
        ({"width": 0.7}, "wider than their separation"),
        ({"misfit": 0.3}, "too large a residual"),
        ({"scatter": 0.2}, "form no lattice"),
        ({"unevenness": 0.5}, "differ in height as spots of a diffraction pattern"),
        ({"unevenness": 0.2, "inversion": 0.9}, "those opposite each other are alike"),
        ({"unevenness": 0.2, "bright_noise": 0.1}, "noise is least where it is brightest"),
    ],
)
def test_each_fault_is_said(fault: dict[str, float], words: str) -> None:
    gate.refuse(PASSES)
    with pytest.raises(FrameError, match=words):
        gate.refuse(PASSES._replace(**fault))  # type: ignore[arg-type]


def test_a_symmetric_particle_passes_whose_noise_is_that_of_counts() -> None:
    particle = PASSES._replace(unevenness=0.2, inversion=0.99)
    gate.refuse(particle._replace(bright_noise=8.0))
    with pytest.raises(FrameError, match="those opposite each other are alike"):
        gate.refuse(particle._replace(bright_noise=1.0))


def test_what_is_not_known_is_no_fault() -> None:
    gate.refuse(PASSES._replace(width=np.nan, misfit=np.nan, unevenness=np.nan, inversion=np.nan, bright_noise=np.nan))


def test_a_frame_that_passes_says_what_is_doubtful() -> None:
    frame = ImageFrame(0, np.zeros((8, 8)), (0.02, 0.02))
    assert gate.measured(PASSES, 0.4, 0.4, frame, tails=False)[gate.REASONS.path] == 0
    doubtful = PASSES._replace(usable=np.arange(50) < 40, misfit=0.17)
    found = gate.measured(doubtful, 8.0, 8.0, frame, tails=False)
    assert found[gate.QUALITY.path] == pytest.approx(0.8)
    assert gate.QUALITY_REASONS[int(found[gate.REASONS.path])] == (
        "many fits found no column and the columns are not of the fitted shape and no crystal has such a lattice vector"
    )
    scattered = gate.measured(PASSES._replace(scatter=0.1), 0.4, 0.4, frame, tails=True)[gate.REASONS.path]
    assert gate.QUALITY_REASONS[int(scattered)] == (
        "more than one in a hundred may be no column and the faintest columns may be where the tails of others meet"
    )
    several = gate.measured(PASSES._replace(unresolved=True), 0.4, 0.4, frame, tails=False)[gate.REASONS.path]
    assert gate.QUALITY_REASONS[int(several)] == "columns may be missing or several be taken for one"
    missing = gate.measured(PASSES._replace(left_out=0.05), 0.4, 0.4, frame, tails=False)[gate.REASONS.path]
    assert missing == several
    uncalibrated = replace(frame, pixel_size=(1.0, 1.0), calibrated=False)
    in_pixels = gate.measured(PASSES, 8.0, 8.0, uncalibrated, tails=False)
    assert in_pixels[gate.REASONS.path] == 0


def test_a_crystal_passes_and_one_with_too_much_noise_does_not() -> None:
    image, _ = simulate.perovskite((160, 160), 14.0, electrons_a=3000.0, electrons_b=1500.0, seed=1)
    found = analysed(image)
    assert found[gate.QUALITY.path] > 0.98
    assert found[gate.REASONS.path] == 0
    faint, _ = simulate.perovskite((320, 320), 14.0, electrons_a=16.0, electrons_b=0.0, background=0.3, seed=1)
    with pytest.raises(FrameError, match="too much noise"):
        analysed(faint)


def test_columns_that_could_not_be_measured_leave_all_that_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    image, _ = simulate.perovskite((160, 160), 14.0, seed=1)
    whole = analysed(image)
    bad = [int(k) for k in np.flatnonzero(whole["columns/sublattice"] == 1)[20:23]]
    judge = columns.assess

    def without_some(*found: object, **more: object) -> Quality:
        quality = judge(*found, **more)  # type: ignore[arg-type]
        quality.usable[bad] = False
        return quality

    monkeypatch.setattr(columns, "assess", without_some)
    found = analysed(image)
    assert np.flatnonzero(found["columns/sublattice"] < 0).tolist() == bad
    assert np.isfinite(found["columns/y"][bad]).all()
    assert not np.isin(found["displacement/column"], bad).any()
    assert set(whole["displacement/column"]) - set(found["displacement/column"]) == set(bad) & set(
        whole["displacement/column"]
    )


@pytest.mark.golden
@pytest.mark.long
@pytest.mark.parametrize(
    "name",
    [
        "STO_ADF_experimental.hspy",
        "gallery/stem_abf_data.hspy",
        "gallery/Grain_boundry_gold_512px.png",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in (
                "BTO_crystal_1.dm4",
                "gallery/Example_PtIr.npy",
                "gallery/simulated_nanoparticle.hspy",
                "gallery/03_afterimage_8nm_crp.png",
                "gallery/Si110_5nmX25us_03_none_none.png",
            )
        ),
    ],
)
def test_a_real_image_passes(name: str, reference: Path) -> None:
    found = analysed(open_source(str(reference / "data" / name)).read(0).pixels)  # type: ignore[union-attr]
    assert found[gate.QUALITY.path] > 0.95
