import numpy as np
import pytest

from stemdask.kernels.atoms.tracking import Tracker, by_track
from stemdask.simulate import nanocrystal, trajectory


def follow(frames, **options):
    tracker = Tracker(**options)
    return tracker, [tracker.add(frame.index, frame.positions, frame.numbers) for frame in frames]


def test_atoms_that_turn_drift_shake_appear_and_vanish_keep_their_identity():
    motion = trajectory(
        nanocrystal(21.2),
        200,
        sigma=0.12,
        rotation=2,
        translation=0.3,
        n_disordered=30,
        n_exchanged=40,
        shuffle=True,
        seed=1,
    )
    tracker, found = follow([motion[i] for i in range(200)])
    identity = np.full(len(tracker.tracks), -1)
    for i, linked in enumerate(found):
        truth = motion.truth(i).identity
        new = identity[linked.track] < 0
        identity[linked.track[new]] = truth[new]
        np.testing.assert_array_equal(identity[linked.track], truth)
    assert len(tracker.tracks) == len(motion.sites)
    np.testing.assert_array_equal(tracker.tracks["first"], motion.born[identity])
    np.testing.assert_array_equal(tracker.tracks["last"], motion.died[identity] - 1)
    assert (tracker.tracks["last"] < len(found) - 1).sum() == (motion.died < len(found)).sum()


def test_the_motion_of_the_particle_is_taken_out_and_thermal_motion_is_left():
    motion = trajectory(nanocrystal(21.2), 300, sigma=0.1, rotation=3, translation=1, seed=2)
    tracker, found = follow([motion[i] for i in range(300)])
    assert found[25].angle == pytest.approx(75, abs=1)
    fluctuation = np.sqrt(tracker.tracks["scatter"] / tracker.tracks["seen"])
    # The alignment takes the 6 rigid ones of the 3 n directions of motion out, a small part of 942.
    assert fluctuation.mean() == pytest.approx(0.1 * np.sqrt(3), rel=0.02)
    drift = found[-1].aligned - found[0].aligned
    assert np.linalg.norm(drift.mean(axis=0)) < 0.03
    assert np.sqrt((drift**2).sum(axis=1).mean()) == pytest.approx(0.1 * np.sqrt(6), rel=0.1)


@pytest.mark.parametrize(("memory", "tracks"), [(1, 203), (2, 202), (3, 201)])
def test_an_atom_that_comes_back_is_the_same_as_long_as_it_is_remembered(memory, tracks):
    particle = nanocrystal(16)
    assert len(particle.positions) == 201
    tracker = Tracker(memory=memory)
    for frame in range(10):
        seen = np.ones(201, dtype=bool)
        seen[3] = frame not in (2, 3, 4)  # missing for three frames
        seen[5] = frame not in (6, 7)  # for two
        tracker.add(frame, particle.positions[seen], particle.numbers[seen])
    assert len(tracker.tracks) == tracks


def test_tracks_stay_what_they_are_while_many_more_are_born():
    particle = nanocrystal(14)
    tracker, first = Tracker(), None
    for frame in range(12):
        strangers = 30.0 + 9.0 * np.arange(20)[:, None] * [1, 0, 0] + [0, 0, 5.0 * frame]  # others in every frame
        positions = np.vstack([particle.positions, strangers])
        linked = tracker.add(frame, positions, np.full(len(positions), 78, np.uint8))
        first = linked.track[: len(particle.positions)] if first is None else first
        np.testing.assert_array_equal(linked.track[: len(particle.positions)], first)
    assert len(tracker.tracks) == len(particle.positions) + 12 * 20
    assert (tracker.tracks["seen"][first] == 12).all()
    assert tracker.tracks["seen"].sum() == 12 * len(positions)


def test_a_frame_of_something_else_is_left_out_and_the_tracks_go_on():
    motion = trajectory(nanocrystal(21.2), 3, sigma=0.1)
    gas = np.random.default_rng(0).uniform(-10, 10, (314, 3))
    tracker = Tracker(memory=1)
    tracker.add(0, motion[0].positions, motion[0].numbers)
    foreign = tracker.add(1, gas, motion[0].numbers)
    assert foreign.foreign
    assert set(foreign.track) == {-1}
    after = tracker.add(2, motion[2].positions, motion[2].numbers)
    np.testing.assert_array_equal(after.track, motion.truth(2).identity)


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_frames_of_hardly_any_atoms_raise_nothing(n):
    tracker = Tracker()
    positions, numbers = 2.7 * np.eye(3)[:n], np.full(n, 78, np.uint8)
    for frame in range(3):
        linked = tracker.add(frame, positions, numbers)
        assert list(linked.track) == list(range(n))
        assert not linked.foreign


def test_coincident_atoms_raise_nothing():
    tracker = Tracker()
    for frame in range(3):
        linked = tracker.add(frame, np.zeros((6, 3)), np.full(6, 78, np.uint8))
        assert len(set(linked.track)) in (1, 6)


def test_atoms_without_a_place_have_no_track():
    positions = np.vstack([nanocrystal(12).positions, [[np.nan] * 3]])
    linked = Tracker().add(0, positions, np.full(len(positions), 78, np.uint8))
    assert linked.track[-1] == -1
    assert (linked.track[:-1] >= 0).all()


def test_a_property_becomes_a_time_series_of_each_atom():
    motion = trajectory(nanocrystal(14), 6, sigma=0.05, rotation=3, n_exchanged=6, shuffle=True)
    n = len(motion.sites)
    track, radius = np.full((6, n), -1), np.full((6, n), np.nan)
    tracker = Tracker()
    for i in range(6):
        positions = motion[i].positions
        track[i, : len(positions)] = tracker.add(i, positions, motion[i].numbers).track
        radius[i, : len(positions)] = np.linalg.norm(positions, axis=1)
    series = by_track(radius, track)
    assert series.shape == (6, n)
    assert np.isfinite(series).sum() == np.isfinite(radius).sum()
    assert np.nanmax(np.nanstd(series, axis=0)) < 0.15 < np.nanstd(series)
