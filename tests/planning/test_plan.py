from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemdask import simulate
from stemdask.config.document import Document
from stemdask.errors import ConfigError, InputError
from stemdask.model import Block, Kind, Limits, Plan
from stemdask.planning import plan as plans
from stemdask.planning import plan_file
from stemdask.planning.resolve import resolve
from stemdask.planning.survey import survey


class Frames:
    """A source of so many frames and nothing else."""

    kind = "atoms"

    def __init__(self, n_frames: int) -> None:
        self.n_frames = n_frames


def write_atoms(path: Path, n_frames: int) -> Path:
    trajectory = simulate.trajectory(simulate.nanocrystal(12.0), n_frames, sigma=0.05, seed=1)
    with path.open("w") as handle:
        for frame in map(trajectory.read, range(n_frames)):
            handle.write(f"{len(frame.positions)}\n\n")
            handle.writelines(f"Pt {x:.4f} {y:.4f} {z:.4f}\n" for x, y, z in frame.positions)
    return path


@given(st.integers(1, 10_000), st.integers(1, 700))
def test_blocks_partition_the_frames(n_frames: int, per_block: int) -> None:
    limits = Limits(seconds=1.0, memory=1, isolate=True, max_failed=0.5)
    plan = Plan(Frames(n_frames), (), {}, per_block, "s", limits, "f", "c")  # type: ignore[arg-type]
    blocks = plans.blocks(plan)
    assert [block.index for block in blocks] == list(range(len(blocks)))
    assert [k for block in blocks for k in range(block.start, block.stop)] == list(range(n_frames))
    assert all(block.stop - block.start == per_block for block in blocks[:-1])
    assert all(block != Block(0, 0, 0) for block in blocks)


@pytest.mark.parametrize(
    ("kind", "n_frames", "cost", "expected"),
    [
        ("images", 10, 1 << 20, 1),  # shared by workers
        ("images", 1_000, 1 << 20, 3),
        ("images", 10_000, 1 << 20, 10),
        ("images", 1_000_000, 1 << 20, 34),  # held by one of them
        ("images", 4, 1 << 24, 1),
        ("atoms", 3_000, 400, 188),
        ("atoms", 100_000, 4_000, 100),
        ("atoms", 10_000_000, 1_000, 1_000),
    ],
)
def test_blocks_are_shared_by_workers_and_grow_with_the_run_as_far_as_one_can_hold_them(
    kind: Kind, n_frames: int, cost: int, expected: int
) -> None:
    assert plans.frames_of_block(kind, n_frames, cost) == expected


def test_a_plan_written_and_read_is_the_same(tmp_path: Path) -> None:
    data = {"input": {"path": str(write_atoms(tmp_path / "a.xyz", 5))}, "output": str(tmp_path / "o.zarr")}
    resolved = resolve(Document(data))
    plan = plans.draw(resolved, survey(resolved), tmp_path / "o.zarr")
    plan_file.save(plan, tmp_path / "plan.json")
    again = plan_file.load(tmp_path / "plan.json")
    assert again == plan


def test_the_same_frames_and_config_give_the_same_plan_and_others_another_fingerprint(tmp_path: Path) -> None:
    path = write_atoms(tmp_path / "a.xyz", 20)
    data = {"input": {"path": str(path)}, "output": str(tmp_path / "o.zarr")}
    one, two = (resolve(Document(data)) for _ in range(2))
    assert one.fingerprint == two.fingerprint
    changed = resolve(Document(data | {"analyses": {"rdf": {"bin_width": "0.03 angstrom"}}}))
    assert changed.fingerprint != one.fingerprint
    path.write_text(path.read_text().replace("Pt", "Au", 1))
    assert resolve(Document(data)).fingerprint != one.fingerprint


def test_workers_and_output_do_not_change_the_fingerprint(tmp_path: Path) -> None:
    data = {"input": {"path": str(write_atoms(tmp_path / "a.xyz", 3))}, "output": "a.zarr"}
    one = resolve(Document(data))
    two = resolve(Document(data | {"output": "b.zarr", "cluster": {"kind": "threads", "workers": 7}}))
    assert one.fingerprint == two.fingerprint


def test_problems_of_the_config_and_of_its_input_are_said_together(tmp_path: Path) -> None:
    data = {"input": {"path": str(tmp_path / "none.xyz"), "paths": 3}, "output": "o.zarr", "analyses": {"rdff": {}}}
    with pytest.raises(ConfigError) as caught:
        resolve(Document(data))
    assert len(caught.value.problems) == 3
    with pytest.raises(InputError):
        resolve(Document({"input": {"path": str(tmp_path / "none.xyz")}, "output": "o.zarr"}))


def test_a_known_lattice_constant_gives_the_pixel_size(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", simulate.perovskite((200, 200), 13.5, seed=1)[0])
    section = {"path": str(tmp_path / "a.npy"), "calibrate_from": {"a": "4.01 angstrom"}}
    resolved = resolve(Document({"input": section, "output": str(tmp_path / "o.zarr")}))
    frame = resolved.source.read(0)
    assert frame.pixel_size[0] == pytest.approx(0.401 / 13.5, rel=1e-3)  # type: ignore[union-attr]
    assert "calibrate_from" not in resolved.text
    assert "pixel_size" in resolved.text


def test_a_calibration_without_a_lattice_is_refused_in_words(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.random.default_rng(0).poisson(5.0, (128, 128)).astype(np.float32))
    section = {"path": str(tmp_path / "a.npy"), "calibrate_from": {"a": "4.01 angstrom"}}
    with pytest.raises(InputError, match="no lattice to calibrate from"):
        resolve(Document({"input": section, "output": str(tmp_path / "o.zarr")}))
