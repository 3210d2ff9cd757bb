from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fixtures import toys as toys

from stemdask import simulate
from stemdask.config.document import Document, read
from stemdask.errors import ConfigError, DoubtfulPolarity
from stemdask.fence.fence import Fence
from stemdask.planning.resolve import Resolved, resolve

BRIGHT = np.stack([simulate.perovskite((120, 130), 13.0, seed=seed)[0] for seed in range(2)])
DARK = BRIGHT.max() - BRIGHT


def settled(path: Path, images: np.ndarray, analyses: dict[str, Any] | None = None, **given: Any) -> Resolved:
    np.save(path, images.astype(np.float32))
    data = {"input": {"path": str(path), **given}, "output": "o.zarr", "analyses": analyses or {"columns": {}}}
    return resolve(Document(data))


def inverts(resolved: Resolved) -> bool:
    before = [step.params.invert for step in resolved.steps if step.name == "preprocess"]  # type: ignore[attr-defined]
    assert resolved.config.input.invert is (before == [True])
    return before == [True]


def waves() -> np.ndarray:
    """As bright as dark: nobody can tell its columns from its gaps."""
    y, x = np.indices((120, 130)) * (2 * np.pi / 13.0)
    return np.cos(y) + np.cos(x)


def test_dark_columns_are_turned_round_and_bright_ones_are_not(tmp_path: Path) -> None:
    assert inverts(settled(tmp_path / "a.npy", DARK))
    assert not inverts(settled(tmp_path / "b.npy", BRIGHT))


def test_the_resolved_config_means_the_same_run(tmp_path: Path) -> None:
    crop = {"preprocess": {"crop": ["0 px", "0 px", "110 px", "110 px"]}, "columns": {}}
    first = settled(tmp_path / "a.npy", DARK, crop)
    assert first.steps[0].params.crop is not None  # type: ignore[attr-defined]
    assert inverts(first)
    (tmp_path / "again.yaml").write_text(first.text)
    assert resolve(read(tmp_path / "again.yaml")).fingerprint == first.fingerprint


def test_what_is_looked_at_is_what_the_crop_leaves(tmp_path: Path) -> None:
    both = np.concatenate([BRIGHT[0], BRIGHT[0].max() - BRIGHT[0]])
    for top, dark in ((0, False), (120, True)):
        crop = [f"{top} px", "0 px", f"{top + 120} px", "130 px"]
        assert inverts(settled(tmp_path / "a.npy", both, {"preprocess": {"crop": crop}, "columns": {}})) is dark


@pytest.mark.parametrize("said", [True, False])
def test_what_the_user_says_is_not_asked_of_the_images(tmp_path: Path, said: bool) -> None:
    assert inverts(settled(tmp_path / "a.npy", BRIGHT, invert=said)) is said
    assert inverts(settled(tmp_path / "a.npy", DARK, {"preprocess": {"invert": said}, "columns": {}})) is said


def test_two_keys_that_contradict_each_other_are_a_problem(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"analyses.preprocess.invert: input.invert says false; keep one"):
        settled(tmp_path / "a.npy", DARK, {"preprocess": {"invert": True}, "columns": {}}, invert=False)


def test_a_doubtful_contrast_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(DoubtfulPolarity, match=r"input\.invert to true where columns are dark") as caught:
        settled(tmp_path / "a.npy", waves())
    assert np.array_equal(caught.value.pixels, waves().astype(np.float32))  # type: ignore[call-overload]
    assert not inverts(settled(tmp_path / "a.npy", waves(), invert=False))


def test_frames_of_both_contrasts_are_no_one_run(tmp_path: Path) -> None:
    with pytest.raises(DoubtfulPolarity, match="some frames show bright columns and others dark ones"):
        settled(tmp_path / "a.npy", np.stack([BRIGHT[0], BRIGHT[0].max() - BRIGHT[0]]))


def test_the_detector_settles_what_the_image_leaves_open(tmp_path: Path) -> None:
    assert not inverts(settled(tmp_path / "STO_HAADF_1.npy", waves()))
    for name in ("notadf.npy", "ABF.npy", "adf_and_abf.npy", "BF.npy"):
        with pytest.raises(DoubtfulPolarity):
            settled(tmp_path / name, waves())


def test_an_image_against_its_detector_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DoubtfulPolarity, match="dark, which they never are in ADF"):
        settled(tmp_path / "7 ADF.npy", DARK)
    with pytest.raises(DoubtfulPolarity, match="bright, which they hardly ever are in abf"):
        settled(tmp_path / "sto-abf.npy", BRIGHT)


@pytest.mark.processes
def test_a_frame_that_ends_its_process_has_no_say(toys: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    ask = Fence.ask

    def dying_at_the_first(fence: Fence, job: str, given: Any = None, *more: Any, **options: Any) -> Any:
        if job.endswith("polarity:evidence"):
            asked.append(given["index"])
            if given["index"] == 0:
                return ask(fence, "jobs:crash", given, *more, **options)
        return ask(fence, job, given, *more, **options)

    monkeypatch.setattr(Fence, "ask", dying_at_the_first)
    assert inverts(settled(tmp_path / "a.npy", DARK))
    assert asked == [0, 1]


def test_without_columns_nothing_is_asked(tmp_path: Path) -> None:
    assert not inverts(settled(tmp_path / "a.npy", DARK, {"registration": {}}))


def test_without_a_lattice_columns_are_taken_as_bright(tmp_path: Path) -> None:
    assert not inverts(settled(tmp_path / "a.npy", np.random.default_rng(0).normal(size=(64, 64))))


def test_a_known_lattice_constant_is_measured_on_columns_and_not_on_gaps(tmp_path: Path) -> None:
    resolved = settled(tmp_path / "a.npy", DARK, calibrate_from={"a": "3.9 angstrom"})
    assert inverts(resolved)
    assert resolved.config.input.pixel_size is not None
    assert resolved.config.input.pixel_size.nm() == pytest.approx(0.03, rel=2e-3)


def test_structures_have_no_contrast(tmp_path: Path) -> None:
    path = tmp_path / "a.xyz"
    path.write_text("1\n\nPt 0 0 0\n")
    resolved = resolve(Document({"input": {"path": str(path)}, "output": "o.zarr", "analyses": {"shape": {}}}))
    assert "invert" not in resolved.text
