import numpy as np
import pytest

from stemdask.kernels.images.stacks.drift import follow_drift, stitch
from stemdask.simulate import perovskite, stack

SPACING = 14.0
AREA = {"shape": (128, 128), "spacing": SPACING, "electrons_a": 300.0, "electrons_b": 75.0, "background": 0.2}


def drifting(n, seed, speed, jitter, **changes):
    """Return a low-dose stack of a perfect crystal and its drift: a random direction, and a random walk upon it."""
    rng = np.random.default_rng(seed)
    angle = rng.uniform(0, 2 * np.pi)
    steps = speed * np.array([np.sin(angle), np.cos(angle)]) + rng.normal(0, jitter, (n, 2))
    drift = np.cumsum(steps, axis=0) - steps[0]
    return stack(n, drift=drift, seed=seed, **(AREA | {"rotation": float(rng.uniform(0, 45))} | changes))[0], drift


def measured(frames, **kwargs):
    found = follow_drift(lambda k: frames[k], len(frames), **kwargs)
    return found, np.array([found.measure(k, frame)[:2] for k, frame in enumerate(frames)])


def test_the_drift_of_a_low_dose_stack_is_found_to_six_hundredths_of_a_pixel():
    frames, drift = drifting(64, seed=1, speed=0.3, jitter=0.3)
    _, found = measured(frames)
    error = found - drift
    assert np.sqrt(np.mean((error - error.mean(axis=0)) ** 2)) < 0.06


@pytest.mark.parametrize("seed", range(4))
def test_a_perfect_crystal_that_drifts_fast_makes_no_jump_by_a_cell(seed):
    frames, drift = drifting(24, seed, speed=0.25 * SPACING, jitter=0.06 * SPACING)
    _, found = measured(frames)
    assert np.abs(found - drift).max() < SPACING / 4


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_no_whole_cell_jump_in_two_hundred_stacks():
    jumps = 0
    for seed in range(200):
        speed = (0.02, 0.1, 0.2, 0.3)[seed % 4] * SPACING
        frames, drift = drifting(64, seed, speed=speed, jitter=(0.02, 0.06)[seed % 2] * SPACING)
        _, found = measured(frames)
        jumps += np.abs(found - drift).max() > SPACING / 4
    assert jumps == 0


def test_a_drift_beyond_the_field_is_followed_by_new_references():
    frames, drift = drifting(40, seed=2, speed=3.5, jitter=0.1)
    assert np.abs(drift[-1]).max() > 0.6 * AREA["shape"][0]
    found, shifts = measured(frames)
    assert len(found.references) > 1
    assert np.abs(shifts - drift).max() < 1.0


def test_a_slow_drift_over_many_frames_needs_few_readings_each_of_one_frame():
    scene, _ = perovskite((160, 160), SPACING, electrons_a=5000, noise=None)
    reads = []

    def read(k):
        reads.append(k)
        whole = k // 40
        return scene[16 - whole % 16 : 144 - whole % 16, 16:144]

    found = follow_drift(read, 640)
    assert len(reads) == len(set(reads)) < 130
    assert found.expected(639)[0] == pytest.approx(639 // 40, abs=0.1)


def test_damaged_frames_do_not_stop_it():
    frames, drift = drifting(32, seed=3, speed=0.5, jitter=0.3)
    frames[4], frames[5] = np.nan, 0.0
    frames[10:14] = np.random.default_rng(0).poisson(3.0, frames[0].shape)
    good = np.r_[0:4, 6:10, 14:32]
    _, found = measured(frames)
    assert np.isnan(found[4:6]).all()
    assert np.abs(found - drift)[good].max() < 1.0


def test_frames_that_can_not_be_read_are_left_out():
    frames, drift = drifting(16, seed=4, speed=0.5, jitter=0.3)
    found = follow_drift(lambda k: None if k in (0, 7) else frames[k], 16)
    assert 0 not in found.frames
    assert 7 not in found.frames
    assert np.abs(found.shifts - (drift - drift[1])[found.frames]).max() < 0.5


def test_a_given_reference_has_no_shift_and_frames_on_both_sides_are_followed():
    frames, drift = drifting(24, seed=5, speed=0.6, jitter=0.3)
    found, shifts = measured(frames, reference=12)
    assert found.frames[0] == 0
    assert len(found.references) == 1
    assert np.abs(shifts[12]).max() < 1e-6
    assert np.abs(shifts - (drift - drift[12])).max() < 0.5


def test_blank_stacks_have_no_drift():
    assert follow_drift(lambda k: np.zeros((32, 32)), 5) is None
    assert follow_drift(lambda k: None, 5) is None
    assert follow_drift(lambda k: np.full((32, 32), np.nan), 5, reference=2) is None


def test_one_frame_is_its_own_reference():
    frames, _ = drifting(1, seed=6, speed=0.0, jitter=0.0)
    found, shifts = measured(frames)
    assert np.abs(shifts).max() < 1e-6
    assert found.references.shape == (1, *AREA["shape"])


def test_the_average_of_a_resting_stack_is_that_of_its_references():
    frames, _ = drifting(8, seed=3, speed=0.0, jitter=0.0)
    found, _ = measured(frames)
    average, first = stitch(found)
    assert first == (0, 0)
    np.testing.assert_array_equal(average, found.references[0])


@pytest.mark.parametrize("reference", [None, 3])
def test_the_average_of_a_drifting_stack_covers_what_any_frame_shows(reference):
    drift = np.linspace(0.0, 1.0, 8)[:, None] * [-9.0, 21.0]
    drift -= drift[reference or 0]
    frames, _ = stack(8, drift=drift, rotation=8.0, **AREA)
    found, _ = measured(frames, reference=reference)
    average, first = stitch(found)
    assert first == tuple(np.rint(-drift.max(axis=0)).astype(int))
    assert average.shape == (128 + 9, 128 + 21)
    assert np.isnan(average[:6, :6]).all()  # two corners that no frame shows
    assert np.isnan(average[-6:, -6:]).all()
    assert np.isfinite(average[11:126]).all()
