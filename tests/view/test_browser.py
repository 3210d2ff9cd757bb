"""The viewer in a browser: frames, images, columns and particles, as a person uses it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import toy
from browser import OBJECTIONS, axe_core, needs_axe
from looking import Opened, serving

import stemdask as sd

pytestmark = [pytest.mark.long, pytest.mark.processes]


@pytest.fixture(scope="module")
def of_images(browser: object, images: Path) -> Iterator[str]:
    with serving(images) as url:
        yield url


@pytest.fixture(scope="module")
def of_atoms(browser: object, atoms: Path) -> Iterator[str]:
    with serving(atoms) as url:
        yield url


def test_the_slider_changes_the_image_and_says_what_became_of_the_frame(of_images: str, opened: Callable[..., Opened]):
    seen = opened(of_images)
    first = seen.sees()
    seen.go(1)
    assert seen.sees() != first
    seen.go(2)
    assert "failed" in seen.text()
    assert "doesn't show the area of the series" in seen.text()
    seen.go(0)
    assert seen.sees() == first


def test_arrow_keys_change_the_frame_wherever_the_focus_is(of_images: str, opened: Callable[..., Opened]):
    seen = opened(of_images)
    seen.page.keyboard.press("ArrowRight")
    seen.wait_for(lambda: seen.drawn() == 1)
    seen.page.keyboard.press("End")
    seen.wait_for(lambda: seen.drawn() == 4)
    seen.page.keyboard.press("ArrowLeft")
    seen.wait_for(lambda: seen.drawn() == 3)


def test_a_column_that_is_clicked_shows_the_values_of_the_store(
    of_images: str, images: Path, opened: Callable[..., Opened]
):
    seen = opened(of_images)
    found = sd.open_results(images)["columns"].to_dataset().isel(frame=1)
    k = int(np.flatnonzero(np.isfinite(found.y) & (found.sublattice == 1))[7])
    seen.go(1)
    seen.click_map(float(found.y[k]), float(found.x[k]))
    seen.wait_for(lambda: f"Column {k} of frame 1" in seen.text())
    told = seen.values()
    assert told["columns/sublattice"] == "B"
    assert told["columns/reduced_chi2"] == f"{float(found.reduced_chi2[k]):.4g}"
    value, error = re.fullmatch(r"([\d.]+) ± ([\d.]+) nm", told["columns/y"]).groups()  # type: ignore[union-attr]
    assert float(value) == pytest.approx(float(found.y[k]), abs=float(error))
    assert float(error) == pytest.approx(float(found.y_err[k]), rel=0.06)
    cells = sd.open_results(images)["displacement"].to_dataset().isel(frame=1)
    assert float(told["displacement/magnitude"].split()[0]) == pytest.approx(
        float(cells.magnitude[cells.column == k][0]), rel=1e-3
    )


def test_a_column_stays_chosen_while_the_specimen_drifts(of_images: str, images: Path, opened: Callable[..., Opened]):
    seen = opened(of_images)
    found = sd.open_results(images)["columns"].to_dataset()
    k = int(np.flatnonzero(np.isfinite(found.y.values[[0, 1, 3, 4]]).all(axis=0))[40])
    seen.click_map(float(found.y[0, k]), float(found.x[0, k]))
    seen.wait_for(lambda: f"Column {k} of frame 0" in seen.text())
    seen.go(4)
    assert f"Column {k} of frame 4" in seen.text()
    seen.go(2)
    assert "is not seen in this frame" in seen.text()


def test_a_range_of_the_histogram_chooses_columns_of_the_map(
    of_images: str, images: Path, opened: Callable[..., Opened]
):
    seen = opened(of_images)
    seen.page.get_by_label("Colour").select_option("amplitude")
    seen.wait_for(lambda: "height of the fitted" in seen.histogram_of())
    whole = seen.sees()
    amplitude = sd.open_results(images)["columns/amplitude"].values[0]
    low, high = np.nanpercentile(amplitude, (40, 60))
    seen.brush(low, high)
    seen.wait_for(lambda: "columns chosen" in seen.text())
    chosen = int(re.search(r"(\d+) of \d+ columns chosen", seen.text())[1])  # type: ignore[index]
    assert chosen == pytest.approx(np.sum((amplitude >= low) & (amplitude <= high)), abs=4)
    assert seen.sees() != whole


def test_a_particle_turns_is_cut_and_tells_of_an_atom(of_atoms: str, atoms: Path, opened: Callable[..., Opened]):
    seen = opened(of_atoms)
    particle = seen.page.locator(".particle canvas")
    seen.wait_for(lambda: particle.get_attribute("data-atoms"))
    before, turned, n = seen.sees(), particle.get_attribute("data-turned"), particle.get_attribute("data-atoms")
    assert int(n or 0) == int(sd.open_results(atoms)["frames/n_atoms"][0])
    seen.drag(particle, 120, 40)
    assert particle.get_attribute("data-turned") != turned
    assert seen.sees() != before
    rows = np.array((particle.get_attribute("data-turned") or "").split(), float).reshape(3, 3)
    assert np.allclose(rows @ rows.T, np.eye(3), atol=2e-3)
    seen.page.get_by_label("cut from the front").fill("0.5")
    seen.wait_for(lambda: int(particle.get_attribute("data-atoms") or 0) < 0.8 * int(n or 0))
    particle.click()
    seen.wait_for(lambda: re.search(r"Atom \d+ of frame 0", seen.text()))
    told = seen.values()
    k = int(re.search(r"Atom (\d+) of", seen.text())[1])  # type: ignore[index]
    assert float(told["atoms/q6_avg"]) == pytest.approx(float(sd.open_results(atoms)["atoms/q6_avg"][0, k]), rel=1e-3)
    track = int(sd.open_results(atoms)["atoms/track"][0, k])
    seen.go(1)
    there = np.flatnonzero(sd.open_results(atoms)["atoms/track"].values[1] == track)
    assert f"Atom {there[0]} of frame 1" in seen.text() if there.size else "is not seen" in seen.text()


@pytest.mark.parametrize("width", [800, 1600])
def test_the_page_fits_its_window(width: int, of_images: str, opened: Callable[..., Opened]):
    seen = opened(of_images, width)
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
    assert seen.page.locator(".frames input").first.bounding_box()["width"] > 0.3 * width


@needs_axe
def test_axe_core_objects_to_nothing(of_images: str, opened: Callable[..., Opened]):
    seen = opened(of_images)
    seen.page.evaluate(axe_core())
    assert seen.page.evaluate(OBJECTIONS) == []


def test_a_run_is_followed_while_it_goes_on(opened: Callable[..., Opened], browser: object, toys: None, tmp_path: Path):
    store = tmp_path / "live.zarr"
    frames = toy.write_frames(tmp_path / "f.npy", 16, dict.fromkeys((1, 5, 9, 13), "raise"))
    driver = toy.drive(toy.config(frames, store, cluster="threads", params=toy.pausing(store)))
    try:
        toy.wait_until(lambda: toy.blocks_done(store) >= 2)
        with serving(store, "--watch") as url:
            seen = opened(url)
            seen.wait_for(lambda: "a bad frame" in seen.text())
            assert re.search(r"\d+ pending.*The run is running", seen.text(), re.DOTALL)
            toy.go_on(store)
            seen.wait_for(lambda: "The run is partial" in seen.text() or "The run is complete" in seen.text())
            seen.wait_for(lambda: seen.drawn() == 15)
            assert "pending" not in seen.text()
    finally:
        driver.kill()
        driver.wait()
