"""What the maps must show on stacks whose truth is known; each prints its figures."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from stemdask.analyses.images.maps import denoise, domains
from stemdask.analyses.images.maps.denoise_comparison import refitting
from stemdask.analyses.images.maps.displacement_maps import MapStack
from stemdask.kernels.images.denoising.map_comparison import STEPS, lost_steps
from stemdask.kernels.images.denoising.map_denoiser import METHODS, choose_rank
from stemdask.kernels.images.denoising.map_layout import by_frames

pytestmark = pytest.mark.slow


def rms(a, b):
    return float(np.sqrt(np.nanmean((a - b) ** 2)))


def on_grid(maps, stack):
    return np.stack([maps.on_grid(stack, f"denoised/{name}") for name in "uv"], axis=1)


@pytest.mark.parametrize("kind", ["180", "90", "vortex"])
@pytest.mark.parametrize(("shift", "sigma"), [(10, 10), (20, 20), (30, 15)])
def test_compare_is_within_a_tenth_of_the_best_in_hindsight(simulate, kind, shift, sigma):
    for frames in (1, 8, 48):
        maps = simulate(kind, frames, shift=shift, sigma=sigma)
        stack = maps.stack()
        denoise.finish(stack, denoise.DenoiseParams(method="compare"))
        taken, errors = stack.attributes["denoised"]["method"], {}
        for method in METHODS:
            other = maps.stack()
            denoise.finish(other, denoise.DenoiseParams(method=method))
            errors[method] = rms(on_grid(maps, other), maps.truth)
        best = min(errors, key=errors.__getitem__)
        print(
            f"{kind} {shift}/{sigma} pm, {frames} frames: "
            f"{taken} {errors[taken]:.2f}, best {best} {errors[best]:.2f} pm"
        )
        assert rms(on_grid(maps, stack), maps.truth) <= 1.1 * errors[best]


@pytest.mark.parametrize("moving", [False, True])
def test_the_gain_grows_with_the_frames(simulate, moving):
    gains = []
    for frames in (4, 16, 64, 256, 1024):
        maps = simulate("180", frames, moving=moving, size=16)
        stack = maps.stack(block=64)
        denoise.finish(stack, denoise.DenoiseParams())
        gains.append(maps.sigma / rms(on_grid(maps, stack), maps.truth))
    print("gain over the noise:", [round(gain, 1) for gain in gains])
    assert np.all(np.diff(gains) > 0)
    assert gains[-1] > 4


@pytest.mark.parametrize("method", ["pca", "svd", "nmf", "patch_pca"])
def test_the_loss_of_a_step_is_reported_as_it_is(simulate, method):
    """A real step of 20 pm, elsewhere than the injected one, is lost as the report says."""
    plain = simulate("uniform", 40, sigma=10)
    row, column = np.indices(plain.truth.shape[2:])
    beyond = row + 0.4 * column > 15
    layout = by_frames(np.full(beyond.shape, 40), 40)
    noise = np.full(plain.noisy.shape, 10.0)
    for place, frames in zip(STEPS, (slice(0, 40), slice(20, 40), slice(20, 21)), strict=True):
        truth = plain.truth.copy()
        truth[frames] += np.where(beyond, 20 / np.sqrt(2), 0)
        values = truth + plain.noisy - plain.truth
        rank = 5 if method == "patch_pca" else choose_rank((values, noise), layout, 12)[0]
        again = refitting(method, (values, noise), layout, rank, 1.0, 0)
        # The same noise with and without the step: what is left between them is the step itself.
        found = (again(values) - again(plain.noisy))[frames].sum(axis=1) / np.sqrt(2)
        real = 20 - (found[:, beyond].mean() - found[:, ~beyond].mean())
        reported = lost_steps(again, values, 20.0)[STEPS.index(place)]
        print(f"{method}, step in {place}: loses {real:.2f} pm, reported {reported:.2f} pm")
        if method == "patch_pca":  # its loss depends on the length of the wall and on what else the map holds
            assert abs(reported - real) <= 1.5
        else:
            assert abs(reported - real) <= max(0.2 * abs(real), 0.1)


def domains_of_noise(simulate, seeds, first=None):
    """Return how many stacks of noise have how many domains."""
    counted: Counter[int] = Counter()
    for seed in seeds:
        maps = simulate("noise", 1 if seed % 2 else 6, size=14, seed=seed)
        stack = maps.stack()
        if first is not None:
            denoise.finish(stack, denoise.DenoiseParams(method=first))
        domains.finish(stack, domains.DomainsParams())
        counted[stack.attributes["domains"]["n_domains"]] += 1
    print(f"denoised by {first}: {dict(counted)}")
    return counted


# Denoising changes nothing of the count, which a quick test holds: the claim needs no more than these.
@pytest.mark.claims
@pytest.mark.parametrize("first", [0, 50, 100, 150])
def test_noise_claims_no_domain_in_200_of_200_stacks(simulate, first):
    assert domains_of_noise(simulate, range(first, first + 50)) == {0: 50}


@pytest.mark.parametrize("first", ["pca", "patch_pca"])
def test_denoised_noise_claims_no_domain_in_200_stacks(simulate, first):
    assert domains_of_noise(simulate, range(200), first)[0] >= 198


@pytest.mark.parametrize("kind", ["180", "90", "closure"])
@pytest.mark.parametrize("frames", [1, 8, 64])
def test_labels_are_right(simulate, kind, frames):
    for shift, sigma in ((10, 10), (20, 10), (30, 15)):
        maps = simulate(kind, frames, shift=shift, sigma=sigma, size=28)
        stack = maps.stack()
        denoise.finish(stack, denoise.DenoiseParams(method="patch_pca" if frames < 16 else "pca"))
        domains.finish(stack, domains.DomainsParams())
        labels = maps.on_grid(stack, "domains/label")
        known = labels >= 0
        found = stack.attributes["domains"]["n_domains"]
        right = 0
        for label in np.unique(labels[known]):
            right += max(np.sum((labels == label) & (maps.domain == d)) for d in np.unique(maps.domain))
        part = right / max(known.sum(), 1)
        print(
            f"{kind} {shift}/{sigma} pm, {frames} frames: {found} domains, "
            f"{100 * part:.1f} % right of {100 * known.mean():.0f} %"
        )
        assert part * known.mean() >= 0.9


@pytest.mark.parametrize("first", [None, "patch_pca"])
def test_single_maps_as_noisy_as_they_are_displaced_are_labelled(simulate, first):
    found, parts = Counter(), []
    for kind in ("180", "90", "closure"):
        right = []
        for seed in range(8):
            maps = simulate(kind, 1, shift=10, sigma=10, size=28, seed=seed)
            stack = maps.stack()
            if first is not None:
                denoise.finish(stack, denoise.DenoiseParams(method=first))
            domains.finish(stack, domains.DomainsParams())
            labels = maps.on_grid(stack, "domains/label")
            found[kind, stack.attributes["domains"]["n_domains"]] += 1
            matched = [
                max(np.sum((labels == label) & (maps.domain == d)) for d in np.unique(maps.domain))
                for label in np.unique(labels[labels >= 0])
            ]
            right.append(sum(matched) / labels.size)
        print(f"{kind}, {first}: right of all cells {[round(100 * part, 1) for part in sorted(right)]} %")
        parts += right
    print(dict(found))
    assert np.mean(np.array(parts) >= 0.9) >= 0.9


def test_memory_does_not_grow_with_the_frames(simulate):
    reads = []
    for frames in (128, 512):
        maps = simulate("180", frames, size=8)
        stack = maps.stack(block=16)
        denoise.finish(stack, denoise.DenoiseParams())
        domains.finish(stack, domains.DomainsParams())
        reads.append(stack.largest_read)
        assert MapStack(stack).grid.size == 64
    assert reads[0] == reads[1]


@pytest.mark.golden
def test_the_real_barium_titanate_is_one_population(reference, memory_stack):
    golden = np.load(reference / "golden" / "atomap_BTO_crystal_1.npz")
    pixel = float(golden["pixel_nm"])
    x, y, u, v = golden["vectors_xyuv_px"].T.astype(float)
    i, j = (np.round((c - c.min()) / 13).astype(int) for c in (x, y))
    for _ in range(5):
        known = np.linalg.lstsq(np.column_stack([i, j, np.ones(len(i))]), np.column_stack([y, x]), rcond=None)[0]
        i, j = np.rint(np.linalg.solve(known[:2].T, (np.column_stack([y, x]) - known[2]).T)).astype(int)
    values = {"x": x * pixel, "y": y * pixel, "u": 1e3 * u * pixel, "v": 1e3 * v * pixel, "i": i, "j": j}
    for error in (1.5, 3.0):
        values |= {"u_err": np.full(len(x), error), "v_err": np.full(len(x), error)}
        for method in ("none", "pca", "compare"):
            stack = memory_stack({f"displacement/{name}": array[None] for name, array in values.items()}, 1)
            denoise.finish(stack, denoise.DenoiseParams(method=method))
            domains.finish(stack, domains.DomainsParams())
            print(stack.attributes["denoised"]["statement"], stack.attributes["domains"]["statement"])
            assert stack.attributes["domains"]["n_domains"] == 1
            assert "single population" in stack.attributes["domains"]["statement"]
