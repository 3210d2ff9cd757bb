"""What candidates are checked against in an image: parts of it, and a twin whose truth is known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from browser import AXE, BROWSER, violations
from typer.testing import CliRunner

from stemdask import simulate
from stemdask.analyses import registry
from stemdask.analyses.evaluation import FrameResult
from stemdask.cli.main import app
from stemdask.config.document import Document
from stemdask.kernels.images.fitting.drawing import draw_columns
from stemdask.kernels.images.fitting.ellipses import precision_of
from stemdask.model import FrameStatus, ImageFrame, Step
from stemdask.tuning import images
from stemdask.tuning.images import Found
from stemdask.tuning.jobs import Job, run_all
from stemdask.tuning.tune import tune

STEPS = tuple(Step(name, registry.get("images", name).params()) for name in ("columns", "lattice", "displacement"))


def analysed(*frames: ImageFrame) -> list[FrameResult]:
    jobs = [Job(STEPS, frame) for frame in frames]
    return run_all(jobs, workers=1, seconds=300.0, memory=2**31, done=lambda: None)


@pytest.fixture(scope="module")
def crystal() -> ImageFrame:
    pixels, _ = simulate.perovskite((100, 129), 14.0, sigma_a=2.4, sigma_b=2.2, displacement=(0.4, 0.2), seed=3)
    return ImageFrame(0, pixels, (0.03, 0.03), (0.0, 0.0))


def test_parts_have_the_coordinates_of_the_whole(crystal: ImageFrame) -> None:
    left, right = images.parts(crystal)
    assert left.pixels.shape == right.pixels.shape == (100, 86)
    assert left.offset == (0.0, 0.0)
    assert right.offset == (0.0, pytest.approx(43 * 0.03))
    np.testing.assert_array_equal(right.pixels, crystal.pixels[:, 43:])


def test_differences_are_those_of_the_same_cells() -> None:
    cells = np.array([[y, x] for y in range(4) for x in range(5)], float)
    moved = np.full((20, 2), 0.01)
    truth = Found(np.empty((0, 2)), cells, moved)
    other = Found(np.empty((0, 2)), cells[3:] + 0.05, moved[3:] + np.array([0.002, 0.0]))
    np.testing.assert_allclose(other.differences(truth), np.tile([0.002, 0.0], (17, 1)), atol=1e-12)


def test_without_displacements_what_all_columns_have_in_common_is_no_difference() -> None:
    places = np.array([[y, x] for y in range(4) for x in range(5)], float)
    none = np.empty((0, 2))
    moved = places + np.array([0.1, -0.05])
    moved[0] += [0.03, 0.0]
    differences = Found(moved, none, none).differences(Found(places, none, none))
    np.testing.assert_allclose(differences[1:], 0.0, atol=1e-12)
    np.testing.assert_allclose(differences[0], [0.03, 0.0], atol=1e-12)


@pytest.mark.long
@pytest.mark.processes
def test_columns_of_a_twin_are_found_to_the_noise_of_the_image(crystal: ImageFrame) -> None:
    (whole,) = analysed(crystal)
    assert whole.status is FrameStatus.OK, whole.error
    twin = images.twin(crystal, whole.values)
    assert twin.pixels.dtype == crystal.pixels.dtype
    assert np.std(twin.pixels - crystal.pixels) > 0.5 * np.sqrt(crystal.pixels.mean())  # another noise
    (again,) = analysed(twin)
    given = images.standards(crystal, whole.values)
    found = images.measured(whole, given, [whole, whole, again])
    told = np.hypot(whole.values["displacement/u_err"], whole.values["displacement/v_err"])
    assert found["error"] == pytest.approx(1e3 * 1e-3 * np.sqrt(np.mean(told**2)), rel=0.3)
    assert found["shift"] == 0.0  # the parts found the same
    assert found["columns"] == len(whole.values["columns/y"])


def test_a_candidate_that_finds_too_little_of_what_was_drawn_has_no_error() -> None:
    assert np.isnan(_error_of_part(0.5))
    assert _error_of_part(1.0) == 0.0


def _error_of_part(part: float) -> float:
    n = 64
    y, x = (0.4 * values.ravel() for values in np.mgrid[0:8, 0:8])
    zeros = np.zeros(n)
    values = {f"columns/{name}": zeros for name in ("reduced_chi2",)}
    values |= {"columns/y": y, "columns/x": x, "columns/sublattice": np.zeros(n, np.int8), "columns/grain": np.zeros(n)}
    values |= {"columns/i": np.tile(np.arange(8), 8), "columns/j": np.repeat(np.arange(8), 8)}
    values |= {f"displacement/{name}": values[f"columns/{name}"] for name in ("y", "x")}
    values |= {"displacement/u": zeros, "displacement/v": zeros, "displacement/noise_floor": np.array(0.0)}
    seen = int(part * n)
    less = {path: array[:seen] if np.ndim(array) else array for path, array in values.items()}
    given = images.Standards([], Found.of(values), True)
    whole, twin = (FrameResult(FrameStatus.OK, values=some) for some in (values, less))
    return images.measured(whole, given, [twin])["error"]


def skewed(path: Path) -> None:
    """Write an image whose columns have a coma, 3.3 widths between A and B."""
    random = np.random.default_rng(5)
    cells = np.array([[y, x] for y in range(-1, 12) for x in range(-1, 12)], float) * 12.0
    places = np.concatenate([cells, cells + 6.0 + np.array([0.3, 0.5])])
    height = np.repeat([900.0, 500.0], len(cells))
    width = np.full(len(places), 2.5)
    terms = np.array([0.0, 0.12, -0.08])
    expected = draw_columns(
        (124, 124), places, height, precision_of(width, width, 0.0 * width), 0 * height + 200.0, terms
    )
    np.save(path, random.poisson(np.maximum(expected, 0.0)).astype(np.float32))


@pytest.mark.slow
@pytest.mark.processes
def test_gaussians_are_given_up_where_columns_have_a_coma(tmp_path: Path) -> None:
    skewed(tmp_path / "skewed.npy")
    document = Document(
        {
            "input": {"path": str(tmp_path / "skewed.npy"), "pixel_size": "0.03 nm"},
            "output": str(tmp_path / "out.zarr"),
            "analyses": {"columns": {"shape": "gaussian"}, "displacement": {}},
        }
    )
    tuned = tune(document)
    assert tuned.keys.get("columns.shape") in ("auto", "empirical")
    first, chosen = tuned.scores[0].values, tuned.scores[tuned.chosen].values
    assert chosen["error"] < 0.7 * first["error"]


@pytest.mark.long
@pytest.mark.processes
def test_the_tuned_config_says_why_and_runs(
    crystal: ImageFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("stack.npy", crystal.pixels)
    words = ["tune", "stack.npy", "-o", "tuned.yaml", "--set", "input.pixel_size=0.03 nm"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert "as configured" in done.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"stack.npy", "tuned.yaml", "tuned.json", "tuned.html"}
    text = (tmp_path / "tuned.yaml").read_text()
    kept = yaml.safe_load(text)
    assert kept["analyses"]["columns"]["shape"] == "auto"
    assert kept["input"] == {"path": ["stack.npy"], "pixel_size": "0.03 nm"}
    before, key = text.split("    shape: auto\n")[0].rsplit("#", 1)
    assert "error" in before + key
    scores = json.loads((tmp_path / "tuned.json").read_text())
    names = [one["candidate"] for one in scores["candidates"]]
    assert names[0] == "as configured"
    assert {"columns.shape: gaussian", "columns.widths: free", "displacement.reference: lattice"} <= set(names)
    overlapping = next(one for one in scores["candidates"] if one["keys"] == {"columns.refinement": "gaussian"})
    assert "overlap" in overlapping["objection"]
    assert sum(one["chosen"] for one in scores["candidates"]) == 1
    if AXE is not None and BROWSER is not None:
        assert violations(tmp_path / "tuned.html", tmp_path) == []
    page = (tmp_path / "tuned.html").read_text()
    assert page.count("<img") >= 1
    assert "columns.widths: free" in page
    checked = CliRunner().invoke(app, ["check", "tuned.yaml"])
    assert checked.exit_code == 0, checked.output
    (tmp_path / "tuned.json").write_text("years of work")
    refused = CliRunner().invoke(app, words)
    assert refused.exit_code not in (0, 1)
    assert (tmp_path / "tuned.json").read_text() == "years of work"


@pytest.mark.parametrize("name", ["tuned.html", "tuned.json", "tuned"])
def test_a_name_that_is_no_config_is_refused_before_anything_is_done(name: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["tune", "nothing.npy", "-o", str(tmp_path / name)])
    assert done.exit_code == 2
    assert ".yaml" in done.output


def test_a_range_of_separations_is_gone_through() -> None:
    params = registry.get("images", "columns").params.model_validate({"separation": ["10 px", "17 px"]})
    frame = ImageFrame(0, np.zeros((9, 9)), (0.03, 0.03))
    tried = [value for _, value in images.found_candidates([Step("columns", params)], frame, {})]
    assert tried == ["10.0 px", "11.9 px", "14.2 px", "17.0 px"]
