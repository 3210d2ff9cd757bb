"""A fit looked at closely: the places are where they are said to be, and the model is the one that was fitted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from drawn import assert_drawn, title

from stemdask import simulate
from stemdask.analyses.images.columns import columns as analysis
from stemdask.figures.images.inspection import fitted, inspection, places, residual, residual_of
from stemdask.kernels.images.finding.columns import find_columns
from stemdask.kernels.images.fitting.column_fit import NO_SIGNAL
from stemdask.model import ImageFrame
from stemdask.sources.opening import open_source

UNITS = dict.fromkeys(("y", "x", "sigma_major", "sigma_minor"), "nm") | {"rotation": "degree"}


def stored(frame: ImageFrame) -> xr.Dataset:
    """What a run stores of the columns of a frame."""
    arrays = analysis.run(frame, analysis.ColumnsParams())
    names = ("y", "x", "amplitude", "sigma_major", "sigma_minor", "rotation", "background", "reduced_chi2", "flag")
    shape = {
        variable.name: ((), arrays[variable.path]) for variable in (*analysis.SHAPE, analysis.HALO, *analysis.ASYMMETRY)
    }
    return xr.Dataset({n: ("column", arrays[f"columns/{n}"], {"units": UNITS.get(n, "1")}) for n in names} | shape)


@pytest.fixture(scope="module")
def crystal() -> tuple[ImageFrame, xr.Dataset]:
    pixels, _ = simulate.perovskite((150, 330), 14.0, sigma_a=2.6, sigma_b=2.3, gradient=0.3, seed=2)
    frame = ImageFrame(0, pixels, (0.03, 0.03), (1.0, 2.0))
    return frame, stored(frame)


@pytest.mark.long
def test_of_gaussians_noise_alone_is_left_over(crystal: tuple[ImageFrame, xr.Dataset]) -> None:
    frame, found = crystal
    left_over = (frame.pixels - fitted(frame, found))[20:-20, 20:-20]
    counts = frame.pixels[20:-20, 20:-20]
    assert np.nanstd(left_over) == pytest.approx(np.sqrt(counts.mean()), rel=0.1)
    assert abs(np.nanmean(left_over)) < 0.1 * np.sqrt(counts.mean())


@pytest.mark.long
@pytest.mark.golden
def test_the_model_is_the_one_that_was_fitted_with_the_shape_that_columns_share(reference: Path) -> None:
    frame = open_source(reference / "data" / "BTO_crystal_1.dm4").read(0)
    assert isinstance(frame, ImageFrame)
    frame = replace(frame, pixels=frame.pixels[100:260, 120:300])
    fit = analysis.measure(frame.pixels, find_columns(frame.pixels), analysis.ColumnsParams())
    assert np.abs(fit.shape_terms).max() > 0.05  # Gaussians alone would leave much over
    model = fitted(frame, stored(frame))
    middle = (slice(30, -30), slice(30, -30))
    height = np.nanmedian(fit.amplitude)
    assert np.sqrt(np.mean((model - fit.model(frame.pixels.shape))[middle] ** 2)) < 0.001 * height


@pytest.mark.long
def test_the_model_has_the_halo_that_was_fitted() -> None:
    look: dict[str, Any] = {"shape": (220, 220), "spacing": 17.0, "noise": None, "margin": 40.0, "rotation": 9.0}
    look |= {"electrons_a": 4e4, "electrons_b": 1.6e4}
    core, _ = simulate.perovskite(**look, sigma_a=2.5, sigma_b=2.5)
    wide, _ = simulate.perovskite(**look, sigma_a=5.5, sigma_b=5.5)
    pixels = np.random.default_rng(2).poisson(0.8 * core + 0.2 * wide).astype(np.float32)
    frame = ImageFrame(0, pixels, (0.03, 0.03), (1.0, 2.0))
    found = stored(frame)
    assert float(found["halo"]) > 0.1
    away = (slice(35, -35), slice(35, -35))
    left_over = (pixels - fitted(frame, found))[away] / np.sqrt(pixels[away].mean())
    without = (pixels - fitted(frame, found.assign(halo=0.0)))[away] / np.sqrt(pixels[away].mean())
    assert np.std(left_over) == pytest.approx(1.0, abs=0.06)
    assert np.std(without) > 1.5


@pytest.mark.long
def test_the_worst_place_is_where_columns_could_not_be_measured(crystal: tuple[ImageFrame, xr.Dataset]) -> None:
    frame, found = crystal
    found = found.copy(deep=True)
    bad = np.hypot(found["y"] - 3.2, found["x"] - 4.4).argsort().values[:5]
    found["flag"][bad] = NO_SIGNAL
    shown = {place.name: place for place in places(frame, found)}
    assert list(shown) == ["typical", "worst", "edge"]

    def bad_inside(name: str) -> int:
        rows, columns = shown[name].rows, shown[name].columns
        y, x = ((found[axis][bad] - offset) / 0.03 for axis, offset in (("y", 1.0), ("x", 2.0)))
        return int(((y >= rows.start) & (y < rows.stop) & (x >= columns.start) & (x < columns.stop)).sum())

    assert bad_inside("worst") == 5
    assert bad_inside("typical") == 0
    assert any(0 in (s.start, n - s.stop) for s, n in zip(shown["edge"][1:], frame.pixels.shape, strict=True))


@pytest.mark.long
def test_places_are_drawn_pixel_for_pixel(crystal: tuple[ImageFrame, xr.Dataset]) -> None:
    left_over = residual_of(*crystal)
    figure = inspection(*crystal, left_over)
    assert [title(axes) for axes in figure.axes[:3]] == ["image", "columns found", "residual / % of a column's height"]
    for axes in figure.axes[:9]:
        (image,) = axes.images
        width, height = (abs(float(np.diff(limits)[0])) / 0.03 for limits in (axes.get_xlim(), axes.get_ylim()))
        assert (width, height) == (pytest.approx(89, abs=3), pytest.approx(89, abs=3))  # nine distances of 9.9 px
        assert image.get_array().shape == (pytest.approx(height), pytest.approx(width))
    assert_drawn(figure)
    assert len(inspection(*crystal, None).axes) == 6
    assert_drawn(residual(crystal[0], left_over, "nm"))


@pytest.mark.long
def test_marks_of_grains_and_gaps_are_explained_below(crystal: tuple[ImageFrame, xr.Dataset]) -> None:
    frame, found = crystal
    y, x = (found[axis].values for axis in ("y", "x"))
    there = np.isfinite(y)
    right = there & (x > np.nanmedian(x))
    marks = {
        "sublattice": np.where(there, 0, -1),
        "grain": np.where(there, right.astype(int), -1),
        "beside_gap": (there & (y < np.nanmin(y) + 0.2)).astype(int),
    }
    figure = inspection(frame, found.assign({name: ("column", values) for name, values in marks.items()}), None)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        f"A, grain 0: {(there & ~right).sum()}",
        f"A, grain 1: {right.sum()}",
        f"beside a gap: {marks['beside_gap'].sum()}",
    ]


def test_a_frame_of_one_column_has_no_place_and_no_model(crystal_of_one: xr.Dataset) -> None:
    frame = ImageFrame(0, np.ones((20, 20)), (1.0, 1.0))
    assert places(frame, crystal_of_one) == []
    assert np.isnan(fitted(frame, crystal_of_one)).all()
    inspection(frame, crystal_of_one, residual_of(frame, crystal_of_one))


@pytest.fixture
def crystal_of_one() -> xr.Dataset:
    one = {name: ("column", [5.0], {"units": "pixel"}) for name in ("y", "x", "sigma_major", "sigma_minor")}
    more = {name: ("column", [1.0]) for name in ("amplitude", "rotation", "background", "reduced_chi2")}
    more |= {variable.name: ((), 0.0) for variable in (*analysis.SHAPE, analysis.HALO, *analysis.ASYMMETRY)}
    return xr.Dataset(one | more | {"flag": ("column", np.zeros(1, np.int8))})
