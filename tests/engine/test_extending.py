"""A run with an analysis added or changed does that and what hangs on it, from what the store holds."""

from __future__ import annotations

import dataclasses
import errno
import os
import shutil
from pathlib import Path
from typing import Any

import ase.build
import ase.io
import numpy as np
import pytest
import zarr

from stemdask import simulate
from stemdask.analyses.atoms.order import rdf
from stemdask.analyses.images.columns import columns
from stemdask.config.document import Document
from stemdask.engine import finishing
from stemdask.engine import run as engine
from stemdask.errors import FrameError, StorageError, StoreError
from stemdask.planning import plan_file, polarity
from stemdask.results import reader
from stemdask.store import extend, layout, metadata, place

USUAL: dict[str, Any] = {"columns": {}, "lattice": {}, "displacement": {}}
HERE = {"isolate": False}
VOLATILE = ("frames/seconds", "frames/worker", "blocks/checksum")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    frames = [simulate.perovskite((110, 110), seed=seed)[0] for seed in range(2)]
    path = tmp_path_factory.mktemp("input") / "stack.npy"
    np.save(path, np.array(frames, np.float32))
    return path


@pytest.fixture(scope="module")
def structures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    frames = [ase.build.bulk("Au", cubic=True) * (3, 3, 3) for _ in range(5)]
    for seed, frame in enumerate(frames):
        frame.rattle(0.1, seed=seed)
    path = tmp_path_factory.mktemp("input") / "hot.xyz"
    ase.io.write(path, frames, format="extxyz")
    return path


def run(frames: Path, store: Path, analyses: dict[str, Any], **limits: Any) -> engine.Outcome:
    calibration = {"pixel_size": "0.03 nm", "invert": False} if frames.suffix == ".npy" else {}
    data = {
        "input": {"path": str(frames)} | calibration,
        "output": str(store),
        "analyses": analyses,
        "cluster": {"kind": "inline"},
        "limits": HERE | limits,
        "block_frames": 1,
    }
    return engine.execute(Document(data))


def arrays(store: Path) -> dict[str, Any]:
    root = zarr.open_group(store, mode="r", use_consolidated=False)
    nodes = {node.path: node for _, node in root.members(max_depth=None) if isinstance(node, zarr.Array)}
    values = {path: np.asarray(node[...]) for path, node in nodes.items() if path not in VOLATILE}
    return {path: array.tolist() if array.dtype.kind in "TO" else array.tobytes() for path, array in values.items()}


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The frames whose columns are fitted."""
    found: list[int] = []

    def counted(frame: Any, params: Any) -> Any:
        found.append(frame.index)
        return columns.run(frame, params)

    monkeypatch.setattr(columns, "ANALYSIS", dataclasses.replace(columns.ANALYSIS, run=counted))
    return found


@pytest.mark.long
@pytest.mark.parametrize(
    ("before", "after", "fitted"),
    [
        (USUAL, {"strain": {}}, 0),
        (USUAL, {"intensity": {}}, 0),
        (USUAL, {"displacement": {"reference": "lattice"}}, 2),  # reads the covariance, which isn't stored
        ({"columns": {}}, {"lattice": {}}, 2),
        (USUAL, {"denoise": {}, "strain": {}}, 0),
    ],
    ids=["strain", "intensity", "changed", "unstored", "once after"],
)
def test_an_extended_store_is_that_of_a_fresh_run(
    stack: Path, tmp_path: Path, fits: list[int], before: dict[str, Any], after: dict[str, Any], fitted: int
) -> None:
    store = tmp_path / "extended.zarr"
    run(stack, store, before)
    del fits[:]
    assert run(stack, store, before | after).complete
    assert len(fits) == fitted
    run(stack, tmp_path / "fresh.zarr", before | after)
    assert arrays(store) == arrays(tmp_path / "fresh.zarr")
    assert reader.verify(store).sound
    done = metadata.attributes(store)["history"].partition("; does ")[2].splitlines()[0]
    assert after.keys() <= set(done.split(", "))


@pytest.mark.long
def test_a_result_that_was_damaged_is_made_again(stack: Path, tmp_path: Path, fits: list[int]) -> None:
    store = tmp_path / "o.zarr"
    run(stack, store, USUAL)
    (chunk,) = [path for path in (store / "columns/y/c").rglob("*") if path.is_file() and path.parent.name == "1"]
    data = bytearray(chunk.read_bytes())
    data[len(data) // 2] ^= 4
    chunk.write_bytes(data)
    del fits[:]
    run(stack, store, USUAL | {"strain": {}})
    assert fits == [1]
    run(stack, tmp_path / "fresh.zarr", USUAL | {"strain": {}})
    assert arrays(store) == arrays(tmp_path / "fresh.zarr")


@pytest.mark.long
def test_a_store_that_is_cut_while_it_is_extended_is_as_it_was(
    stack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "o.zarr"
    run(stack, store, USUAL)
    before = arrays(store)

    def cut(source: Path, target: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(extend, "_link", cut)
        with pytest.raises(KeyboardInterrupt):
            run(stack, store, USUAL | {"strain": {}})
    assert arrays(store) == before
    assert reader.verify(store).sound
    assert run(stack, store, USUAL | {"strain": {}}).complete


@pytest.mark.long
def test_where_there_are_no_links_files_are_copied_and_a_full_disk_is_said(
    structures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "o.zarr"
    run(structures, store, {"rdf": {}})

    really = os.link

    def link(source: Path, target: Path) -> None:
        if Path(source).suffix == ".partial":  # zarr's own
            return really(source, target)
        raise OSError(errno.EPERM, os.strerror(errno.EPERM), str(target))

    def copy(source: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))

    monkeypatch.setattr(os, "link", link)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfile", copy)
        with pytest.raises(StorageError, match="No space left on device"):
            run(structures, store, {"rdf": {}, "shape": {}})
    assert run(structures, store, {"rdf": {}, "shape": {}}).complete
    assert reader.verify(store).sound
    run(structures, tmp_path / "fresh.zarr", {"rdf": {}, "shape": {}})
    assert arrays(store) == arrays(tmp_path / "fresh.zarr")


@pytest.mark.long
def test_a_store_whose_extension_was_cut_before_it_took_its_place_keeps_a_copy_of_its_own_metadata(
    structures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "o.zarr"
    run(structures, store, {"rdf": {}})
    root = (store / metadata.NAME).read_bytes()

    def cut(path: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(place, "sync_file_system", cut)
        with pytest.raises(KeyboardInterrupt):
            run(structures, store, {"rdf": {}, "shape": {}})
    run(structures, store, {"rdf": {}})
    (store / metadata.NAME).write_bytes(root[: len(root) // 2])
    assert reader.verify(store, repair=True).damaged == (metadata.NAME,)
    assert (store / metadata.NAME).read_bytes() == root


@pytest.mark.long
def test_a_run_that_was_killed_right_after_an_extension_plans_for_what_the_store_became(
    structures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "o.zarr"
    before, after = {"rdf": {}, "shape": {}}, {"rdf": {"bin_width": "0.1 angstrom"}, "shape": {}}
    run(structures, store, before)

    def cut(*plan_and_path: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(plan_file, "save", cut)
        with pytest.raises(KeyboardInterrupt):
            run(structures, store, after)
    assert run(structures, store, after).complete
    plan = plan_file.load(layout.plan_file(store))
    assert plan.analysis_hashes == metadata.attributes(store)[layout.ANALYSIS_HASH]
    assert run(structures, store, before).complete
    run(structures, tmp_path / "fresh.zarr", before)
    assert arrays(store) == arrays(tmp_path / "fresh.zarr")


@pytest.mark.slow
@pytest.mark.long
def test_constants_that_were_damaged_are_made_again(stack: Path, tmp_path: Path) -> None:
    store, analyses = tmp_path / "o.zarr", {"registration": {}, "columns": {}}
    run(stack, store, analyses)
    shutil.rmtree(store / "registration/reference_image/c")
    assert run(stack, store, analyses | {"lattice": {}}).complete
    run(stack, tmp_path / "fresh.zarr", analyses | {"lattice": {}})
    assert arrays(store) == arrays(tmp_path / "fresh.zarr")


@pytest.mark.long
def test_an_analysis_that_is_left_out_is_named_and_nothing_is_lost(stack: Path, tmp_path: Path) -> None:
    store = tmp_path / "o.zarr"
    run(stack, store, USUAL | {"strain": {}})
    before = arrays(store)
    with pytest.raises(StoreError, match=r"analyses\.strain"):
        run(stack, store, USUAL)
    assert arrays(store) == before


@pytest.mark.long
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"rdf": {}, "shape": {}}, {"rdf": {"bin_width": "0.1 angstrom"}, "shape": {}}),
        ({"shape": {}, "bond_order": {}}, {"shape": {}, "bond_order": {"cutoff": "4.5 angstrom"}}),
    ],
    ids=["fewer bins", "more bonds"],
)
def test_a_changed_analysis_may_find_arrays_of_other_lengths(
    structures: Path, tmp_path: Path, before: dict[str, Any], after: dict[str, Any]
) -> None:
    for analyses in (before, after):
        outcome = run(structures, tmp_path / "o.zarr", analyses)
        assert (outcome.state, outcome.exit_code) == ("complete", 0)
    run(structures, tmp_path / "fresh.zarr", after)
    assert arrays(tmp_path / "o.zarr") == arrays(tmp_path / "fresh.zarr")
    assert reader.verify(tmp_path / "o.zarr").sound


@pytest.fixture
def finishes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The analyses that do something once after."""
    found: list[str] = []
    finish = finishing.finish

    def counted(plan: Any, step: Any, *more: Any) -> None:
        found.append(step.name)
        finish(plan, step, *more)

    monkeypatch.setattr(finishing, "finish", counted)
    return found


@pytest.mark.long
def test_an_added_analysis_with_a_dimension_of_its_own_repeats_no_other(
    structures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames: list[int] = []

    def counted(frame: Any, params: Any) -> Any:
        frames.append(frame.index)
        return rdf.run(frame, params)

    run(structures, tmp_path / "o.zarr", {"rdf": {}})
    monkeypatch.setattr(rdf, "ANALYSIS", dataclasses.replace(rdf.ANALYSIS, run=counted))
    run(structures, tmp_path / "o.zarr", {"rdf": {}, "bond_order": {}})
    assert frames == []


@pytest.mark.long
def test_what_came_once_after_stays_where_nothing_of_it_changed(
    stack: Path, tmp_path: Path, finishes: list[str]
) -> None:
    store = tmp_path / "o.zarr"
    run(stack, store, USUAL | {"denoise": {}})
    assert finishes == ["lattice", "displacement", "denoise"]
    run(stack, store, USUAL | {"denoise": {}, "strain": {}})
    assert finishes[3:] == []
    run(stack, store, USUAL | {"denoise": {"n_components": 1}, "strain": {}})
    assert finishes[3:] == ["denoise"]
    run(stack, tmp_path / "fresh.zarr", USUAL | {"denoise": {"n_components": 1}, "strain": {}})
    assert arrays(store) == arrays(tmp_path / "fresh.zarr")
    assert attributes(store) == attributes(tmp_path / "fresh.zarr")
    assert reader.verify(store).sound


@pytest.mark.slow
@pytest.mark.long
def test_what_came_once_after_is_repeated_where_it_was_damaged_or_a_frame_has_other_results(
    stack: Path, tmp_path: Path, finishes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "o.zarr"

    def fails(frame: Any, params: Any) -> Any:
        if frame.index:
            raise FrameError("no columns")
        return columns.run(frame, params)

    with monkeypatch.context() as patch:
        patch.setattr(columns, "ANALYSIS", dataclasses.replace(columns.ANALYSIS, run=fails))
        run(stack, store, USUAL | {"denoise": {}}, max_failed=1)
    run(stack, store, USUAL | {"denoise": {}, "strain": {}}, max_failed=1)  # in which the second frame doesn't fail
    assert finishes == ["lattice", "displacement", "denoise"] * 2
    chunk = next(path for path in (store / "denoised/u/c").rglob("*") if path.is_file())
    chunk.write_bytes(b"nonsense")
    run(stack, store, USUAL | {"denoise": {}, "strain": {}, "intensity": {}}, max_failed=1)
    assert finishes[6:] == ["intensity", "denoise"]
    run(stack, tmp_path / "fresh.zarr", USUAL | {"denoise": {}, "strain": {}, "intensity": {}}, max_failed=1)
    now, fresh = arrays(store), arrays(tmp_path / "fresh.zarr")  # with less room where all frames could be tried
    alike = {path for path in fresh if len(now[path]) == len(fresh[path])}
    assert alike >= {"frames/frame_status", "lattice/a_y", "components/u"}
    assert {path: now[path] for path in alike} == {path: fresh[path] for path in alike}


@pytest.mark.long
def test_an_extended_run_allows_a_frame_the_time_of_both_and_plans_for_what_is_added(
    structures: Path, tmp_path: Path
) -> None:
    store = tmp_path / "o.zarr"
    run(structures, store, {"rdf": {}})
    before = plan_file.load(layout.plan_file(store))
    run(structures, store, {"rdf": {}, "shape": {}})
    plan = plan_file.load(layout.plan_file(store))
    assert plan.limits.seconds == before.limits.seconds + max(60, 20 * plan.frame_seconds)


@pytest.mark.slow
@pytest.mark.long
def test_the_contrast_is_looked_at_once(stack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    look = polarity._look

    def counted(*asked: Any) -> bool:
        looks.append(1)
        return look(*asked)

    monkeypatch.setattr(polarity, "_look", counted)
    data = {"input": {"path": str(stack), "pixel_size": "0.03 nm"}, "output": str(tmp_path / "o.zarr")}
    data |= {"analyses": USUAL, "cluster": {"kind": "inline"}, "limits": HERE}
    engine.execute(Document(data))
    engine.execute(Document(data | {"analyses": USUAL | {"strain": {}}}))
    assert len(looks) == 1
    engine.execute(
        Document(data | {"analyses": USUAL | {"preprocess": {"crop": ["0 px", "0 px", "100 px", "100 px"]}}}),
        fresh=True,
    )
    assert len(looks) == 2
    np.save(stack, np.load(stack)[:, :100])
    engine.execute(Document(data), fresh=True)
    assert len(looks) == 3


def attributes(store: Path) -> dict[str, Any]:
    root = zarr.open_group(store, mode="r", use_consolidated=False)
    return {node.path: dict(node.attrs) for _, node in root.members(max_depth=None)}
