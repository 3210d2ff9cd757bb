"""How much of a displacement is left when it is measured on denoised images: the slope of found against true shift."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from stemdask.kernels.arrays import Floats, Integers

#: Denoises a stack of images (n, y, x).
Filter = Callable[[Floats], Floats]

#: Cells along each side of a simulated image, and simulated images.
CELLS, IMAGES = 10, 12
#: The simulation is repeated until the slope is known so well, at most so often.
ENOUGH, ROUNDS = 0.02, 5
#: Width of a column over the lattice period, brightness of a B column over that of an A column.
WIDTH, BRIGHTNESS = 1 / 6, 0.5
#: Largest shift of a B column over the lattice period: 20 pm of 400 pm.
SHIFT = 0.05
#: Widths tried in the fit, over the true one: filters make columns wider.
_WIDER = np.arange(0.8, 1.65, 0.05)


class Slope(NamedTuple):
    """1 means that displacements come out right, 0 that nothing is left of them."""

    value: float
    error: float
    """Standard error."""


def finding_slope(denoise: Filter, period: float, contrast: float, noise: float) -> Slope:
    """Simulate a lattice whose B columns are shifted at random, denoise it, and compare found with true shifts.

    Every B column moves by itself, and anew in every image: this is what a denoiser that looks for what repeats takes
    for noise. The columns are fitted where they are known to be, linearly and with their neighbours; the slope is
    divided by that of images with neither noise nor denoising.

    Parameters
    ----------
    denoise
        What is tested.
    period
        Lattice period, px.
    contrast
        Standard deviation of the image without noise.
    noise
        Standard deviation of the noise in a pixel, same unit.
    """
    random = np.random.default_rng(0)  # the same images at every call
    step = max(round(period), 6)
    inner = (slice(None), slice(1, -1), slice(1, -1))
    true, found, reference = np.empty(0), np.empty(0), np.empty(0)
    for _ in range(ROUNDS):
        shifts = random.uniform(-SHIFT * step, SHIFT * step, (IMAGES, CELLS, CELLS, 2))
        images = np.stack([_lattice(step, shift) for shift in shifts])
        images *= contrast / max(float(images.std()), 1e-12)
        noisy = images + noise * random.standard_normal(images.shape)
        true = np.append(true, shifts[inner])
        found = np.append(found, _fitted_shifts(denoise(noisy), step)[inner])
        reference = np.append(reference, _fitted_shifts(images, step)[inner])
        value, error = _regress(true, found)
        if error < ENOUGH:
            break
    full, _ = _regress(true, reference)
    return Slope(value / full, error / abs(full))


def in_words(method: str, slope: Slope) -> str:
    """Say in a sentence what measuring on denoised images would do to the displacements."""
    lost = 20 * (1 - slope.value)
    said = (
        f"On images denoised by {method}, a simulation of the same lattice and dose finds {slope.value:.2f} ± "
        f"{slope.error:.2f} of the true displacement: "
    )
    if abs(1 - slope.value) <= max(0.03, 2 * slope.error):
        return said + "no change that could be told from the noise."
    return said + f"20 pm would {'lose' if lost > 0 else 'gain'} {abs(lost):.0f} pm."


def _lattice(step: int, shift: Floats) -> Floats:
    """Draw A columns at the corners of the cells, B columns near their middles."""
    size = CELLS * step
    sigma = WIDTH * step
    axis = np.arange(size)
    image = np.zeros((size, size))
    corners = np.arange(CELLS + 1) * step - 0.5
    for y in corners:
        for x in corners:
            image += np.outer(_profile(axis, y, sigma), _profile(axis, x, sigma))
    for row in range(CELLS):
        for column in range(CELLS):
            y, x = (np.array([row, column]) + 0.5) * step - 0.5 + shift[row, column]
            image += BRIGHTNESS * np.outer(_profile(axis, y, sigma), _profile(axis, x, sigma))
    return image


def _profile(axis: Integers, centre: float, sigma: float) -> Floats:
    profile: Floats = np.exp(-0.5 * ((axis - centre) / sigma) ** 2)
    return profile


def _fitted_shifts(images: Floats, step: int) -> Floats:
    """Shift of each B column, (image, row, column, 2), px, from a linear fit of it and its four A columns.

    The width that all columns share is the one that fits the mean cell best.
    """
    cells = images.reshape(len(images), CELLS, step, CELLS, step).swapaxes(2, 3).reshape(-1, step * step)
    mean = cells.mean(axis=0)
    designs = [_design(step, wider * WIDTH * step) for wider in _WIDER]
    design = min(designs, key=lambda tried: float(np.linalg.lstsq(tried, mean, rcond=None)[1].sum()))
    fitted = cells @ np.linalg.pinv(design).T
    height = float(fitted[:, 1].mean()) or 1.0
    found: Floats = (fitted[:, 2:4] / height).reshape(len(images), CELLS, CELLS, 2)
    return found


def _design(step: int, sigma: float) -> Floats:
    """Background, then height and shift along y and x of B and of the four A columns, (pixel, 16)."""
    axis = np.arange(step)
    middle, corners = (step - 1) / 2, (-0.5, step - 0.5)
    centres = [(middle, middle), *((y, x) for y in corners for x in corners)]
    columns = [np.ones((step, step))]
    for y, x in centres:
        along_y, along_x = _profile(axis, y, sigma), _profile(axis, x, sigma)
        slope_y, slope_x = along_y * (axis - y) / sigma**2, along_x * (axis - x) / sigma**2
        columns += [np.outer(along_y, along_x), np.outer(slope_y, along_x), np.outer(along_y, slope_x)]
    return np.stack([column.ravel() for column in columns], axis=1)


def _regress(true: Floats, found: Floats) -> tuple[float, float]:
    power = float(true @ true)
    value = float(true @ found) / power
    scatter = float(np.sum((found - value * true) ** 2)) / max(len(true) - 1, 1)
    return value, float(np.sqrt(scatter / power))
