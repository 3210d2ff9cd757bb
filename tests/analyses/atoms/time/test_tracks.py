import numpy as np
import pytest

from stemdask.analyses.atoms.time.tracks import (
    EMPTY,
    FOREIGN,
    LINKED,
    LOST,
    OPEN,
    STAYED,
    TracksParams,
    finish,
    outputs,
    prepare,
)
from stemdask.errors import ConfigError
from stemdask.model import AtomsFrame
from stemdask.simulate import nanocrystal, trajectory


class Memory:
    """A store in memory: frames padded to one length, in blocks."""

    def __init__(self, frames, block=4):
        n = max(len(frame.positions) for frame in frames)
        self.n_frames = len(frames)
        self.blocks = [slice(k, min(k + block, len(frames))) for k in range(0, len(frames), block)]
        self.arrays = {f"atoms/{axis}": np.full((len(frames), n), np.nan) for axis in "xyz"}
        self.arrays["atoms/element"] = np.zeros((len(frames), n), np.uint8)
        for k, frame in enumerate(frames):
            for axis, values in zip("xyz", frame.positions.T, strict=True):
                self.arrays[f"atoms/{axis}"][k, : len(values)] = values
            self.arrays["atoms/element"][k, : len(frame.numbers)] = frame.numbers
        self.written = {}

    def read(self, path, frames=slice(None)):
        return self.arrays[path][frames]

    def has(self, path):
        return path in self.arrays

    def write(self, path, values, frames=None):
        if frames is None:
            self.written[path] = values
        else:
            assert frames in self.blocks
            self.written.setdefault(path, {})[frames.start] = values

    def set_attributes(self, group, attributes):
        self.attributes = {group: attributes}

    def result(self, path):
        values = self.written[path]
        return np.concatenate([values[start] for start in sorted(values)]) if isinstance(values, dict) else values


def analysed(frames, **params):
    stack = Memory(frames)
    finish(stack, TracksParams(**params))
    return stack


def test_tracks_displacements_and_lifetimes_are_those_put_in():
    motion = trajectory(nanocrystal(18), 30, sigma=0.08, rotation=4, translation=0.5, n_exchanged=20, shuffle=True)
    stack = analysed([motion[i] for i in range(30)])
    track = stack.result("atoms/track")
    for i in range(30):
        n = len(motion[i].positions)
        assert (track[i, :n] >= 0).all()
        assert (track[i, n:] == -1).all()
    assert len(stack.result("tracks/element")) == len(motion.sites)
    assert (stack.result("tracks/flag") == LINKED).all()
    assert stack.result("tracks/n_frames").sum() == (track >= 0).sum()
    msd = stack.result("tracks/msd")
    assert msd[0] == 0
    assert msd[1:].mean() == pytest.approx(6 * 0.08**2, rel=0.1)
    assert stack.result("tracks/fluctuation").mean() == pytest.approx(0.08 * np.sqrt(3), rel=0.1)
    assert stack.attributes["tracks"]["max_displacement_angstrom"] == pytest.approx(3.92 / np.sqrt(8), abs=0.15)
    moved = np.stack([stack.result(f"atoms/displacement_{axis}") for axis in "xyz"], axis=-1)
    assert np.sqrt(np.nanmean((moved[1:] ** 2).sum(axis=-1))) == pytest.approx(0.08 * np.sqrt(6), rel=0.1)


def vanishing(n_frames, gone):
    """Frames of a particle that loses atoms after given frames: {frame: how many}."""
    motion = trajectory(nanocrystal(21.2), n_frames, sigma=0.05)
    frames, left = [], np.arange(len(motion.sites))
    for k in range(n_frames):
        frame = motion[k]
        frames.append(AtomsFrame(k, frame.positions[left], frame.numbers[left]))
        left = left[gone.get(k, 0) :]
    return frames


def test_losses_are_booked_in_the_frame_in_which_an_atom_was_seen_last():
    frames = vanishing(10, {1: 5, 4: 3, 8: 2})
    stack = analysed(frames, memory=3)
    lost, open_ = stack.result("tracks/n_lost"), stack.result("tracks/n_lost_open")
    assert lost.tolist() == [0, 5, 0, 0, 3, 0, 0, 0, 2, 0]
    assert open_.tolist() == [0, 0, 0, 0, 0, 0, 0, 0, 2, 0]
    assert [(stack.result("tracks/end") == end).sum() for end in (STAYED, LOST, OPEN)] == [
        len(frames[-1].positions),
        8,
        2,
    ]


def test_the_numbers_of_atoms_are_those_born_less_those_lost():
    stack = analysed(vanishing(4, {0: 12, 1: 8, 2: 5}))
    sizes = np.isfinite(stack.arrays["atoms/x"]).sum(axis=1)
    change = stack.result("tracks/n_born")[1:] - stack.result("tracks/n_lost")[:-1]
    np.testing.assert_array_equal(np.diff(sizes), change)


def test_each_track_keeps_its_coordination_and_depth_where_it_was_seen_first_and_last():
    frames = vanishing(6, {2: 4})
    stack = Memory(frames)
    n = stack.arrays["atoms/x"].shape[1]
    stack.arrays["atoms/coordination"] = np.arange(6)[:, None] * 100 + np.zeros((6, n), int)
    stack.arrays["atoms/depth"] = np.full((6, n), np.nan)
    finish(stack, TracksParams())
    first, last = (stack.result(f"tracks/{when}_coordination") for when in ("first", "last"))
    assert set(first) == {0}
    np.testing.assert_array_equal(last, 100 * stack.result("tracks/last_frame"))
    assert np.isnan(stack.result("tracks/first_depth")).all()


def test_atoms_that_are_lost_keep_the_facet_on_which_they_lay():
    frames = vanishing(6, {2: 4})
    stack = Memory(frames)
    n = stack.arrays["atoms/x"].shape[1]
    stack.arrays["atoms/facet"] = np.where(np.arange(n) < 4, 2, -1) + np.zeros((6, n), int)
    finish(stack, TracksParams())
    lost = stack.result("tracks/last_frame") == 2
    assert set(stack.result("tracks/last_facet")[lost]) == {2}


@pytest.mark.golden
def test_between_the_published_stages_the_losses_are_the_difference_of_the_counts(reference):
    from ase.io import read

    paths = [reference / "data" / f"stage{stage}_docked_ATMS.pdb" for stage in (1, 2)]
    read_in = [read(path) for path in paths]
    frames = [AtomsFrame(k, a.positions, a.numbers.astype(np.uint8)) for k, a in enumerate(read_in)]
    stack = analysed(frames)
    born, lost = stack.result("tracks/n_born"), stack.result("tracks/n_lost")
    assert [len(frame.positions) for frame in frames] == [314, 264]
    assert 314 - lost[0] + born[1] == 264
    assert lost[1] == 0
    assert stack.result("tracks/n_lost_open")[0] == lost[0]  # two frames can't tell that an atom is gone for good


def test_the_lindemann_index_grows_with_the_shaking():
    index = [
        float(analysed([trajectory(nanocrystal(15), 20, sigma=sigma)[i] for i in range(20)]).result("tracks/lindemann"))
        for sigma in (0.05, 0.1)
    ]
    assert index[1] == pytest.approx(2 * index[0], rel=0.1)


def test_blocks_of_any_length_give_the_same():
    motion = trajectory(nanocrystal(15), 12, sigma=0.1, n_exchanged=10, shuffle=True)
    frames = [motion[i] for i in range(12)]
    results = []
    for block in (1, 5, 12):
        stack = Memory(frames, block)
        finish(stack, TracksParams())
        results.append(stack)
    for path in results[0].written:
        for other in results[1:]:
            np.testing.assert_array_equal(results[0].result(path), other.result(path))


def test_empty_and_foreign_frames_are_flagged_and_passed_over():
    motion = trajectory(nanocrystal(21.2), 6, sigma=0.1)
    frames = [motion[i] for i in range(6)]
    frames[2] = AtomsFrame(2, np.empty((0, 3)), np.empty(0, np.uint8))
    gas = np.random.default_rng(0).uniform(-10, 10, (314, 3))
    frames[4] = AtomsFrame(4, gas, np.full(314, 78, np.uint8))
    stack = analysed(frames)
    assert list(stack.result("tracks/flag")) == [LINKED, LINKED, EMPTY, LINKED, FOREIGN, LINKED]
    assert len(stack.result("tracks/element")) == 314


def test_a_trajectory_without_any_atoms_has_no_tracks():
    stack = analysed([AtomsFrame(0, np.empty((0, 3)), np.empty(0, np.uint8))] * 3)
    assert len(stack.result("tracks/element")) == 0
    assert np.isnan(stack.result("tracks/lindemann"))


def test_it_writes_what_it_declares():
    motion = trajectory(nanocrystal(12), 3)
    declared = {variable.path: variable for variable in outputs(TracksParams(), {})}
    stack = analysed([motion[i] for i in range(3)])
    assert set(stack.written) == set(declared)
    for path, variable in declared.items():
        assert stack.result(path).dtype == variable.dtype, path
        assert stack.result(path).ndim == len(variable.dims), path


def test_periodic_boxes_are_refused_before_the_run():
    frame = AtomsFrame(0, np.zeros((2, 3)), np.full(2, 78, np.uint8), 10 * np.eye(3), (True, True, True))
    with pytest.raises(ConfigError, match="isolated particles only"):
        prepare([frame], TracksParams())


def test_a_run_leaves_the_tracks_in_its_store(tmp_path):
    import zarr
    from ase import Atoms
    from ase.io import write

    from stemdask.engine.run import run

    motion = trajectory(nanocrystal(14), 20, sigma=0.05, rotation=3, n_exchanged=6, shuffle=True)
    frames = [Atoms(numbers=motion[i].numbers, positions=motion[i].positions) for i in range(20)]
    write(tmp_path / "motion.xyz", frames, format="xyz")
    config = {
        "input": {"path": str(tmp_path / "motion.xyz")},
        "output": str(tmp_path / "motion.zarr"),
        "analyses": {"tracks": {}},
        "cluster": {"kind": "inline"},
        "limits": {"isolate": False},
        "block_frames": 6,
    }
    store = zarr.open_group(run(config), mode="r")
    track = store["atoms/track"][...]
    assert store["tracks/element"].shape == (len(motion.sites),)
    for i in range(20):
        seen = track[i][track[i] >= 0]
        assert len(seen) == len(motion[i].positions) == len(set(seen))
    assert (store["tracks/n_frames"][...] == np.bincount(track[track >= 0])).all()
    assert 0 < store["tracks/lindemann"][()] < 0.05
