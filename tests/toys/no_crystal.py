"""Two hundred images that show no crystal, in which no columns may be found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

Picture = NDArray[np.floating]
_SIDE = 320
_SKIMAGE = (
    *("astronaut.png", "brick.png", "camera.png", "cell.png", "chelsea.png", "clock_motion.png", "coffee.png"),
    *("coins.png", "color.png", "grass.png", "gravel.png", "horse.png", "hubble_deep_field.jpg", "ihc.png", "logo.png"),
    *("microaneurysms.png", "moon.png", "motorcycle_left.png", "page.png", "phantom.png", "retina.jpg", "rocket.jpg"),
    *("text.png", "chessboard_GRAY.png"),
)
_SKLEARN = ("china.jpg", "flower.jpg")


def no_crystals() -> Iterator[tuple[str, Callable[[], Picture]]]:
    """Yield the names of 200 images and what draws them, (ny, nx); the same ones every time."""
    families: dict[str, tuple[int, Callable[[int, np.random.Generator], Picture]]] = {
        "white noise": (18, white_noise),
        "pink noise": (12, pink_noise),
        "scan lines": (8, scan_lines),
        "amorphous film, phase contrast": (36, amorphous_film),
        "amorphous film, dark field": (24, dense_atoms),
        "diffraction spots": (24, spots),
        "diffraction rings": (12, rings),
        "ronchigram": (6, ronchigram),
        "text": (10, text),
        "constant": (6, constant),
        "gradient": (8, gradient),
        "fringes": (10, fringes),
    }
    for number, (name, (count, draw)) in enumerate(families.items()):
        for k in range(count):
            yield f"{name} {k}", partial(draw, k, np.random.default_rng((number, k)))
    for package, folder, names in (("skimage", "data", _SKIMAGE), ("sklearn", "datasets/images", _SKLEARN)):
        for name in names:
            yield f"photograph {name}", partial(photograph, package, folder, name)


def white_noise(k: int, rng: np.random.Generator) -> Picture:
    """Counts of few or many electrons, a camera's noise, hot pixels."""
    shape = (_SIDE, _SIDE + 8 * k)
    if k % 3 == 0:
        return rng.poisson(0.02 * 8.0 ** (k // 3), shape).astype(np.float32)
    if k % 3 == 1:
        return rng.normal(100.0, 1.0 + k, shape)
    return np.where(rng.random(shape) < 0.001 * (k + 1), 1.0, rng.normal(0.0, 0.01, shape))


def pink_noise(k: int, rng: np.random.Generator) -> Picture:
    """Noise whose power falls with a power of the frequency."""
    frequency = _frequencies()
    frequency[0, 0] = np.inf
    return _filtered(rng, frequency ** -(0.3 + 0.15 * k))


def scan_lines(k: int, rng: np.random.Generator) -> Picture:
    """Rows that differ, as of a beam whose current flickers, and the hum of the mains."""
    y, x = np.indices((_SIDE, _SIDE))
    rows = rng.normal(size=(_SIDE, 1)) * (k % 2)
    return rows + np.sin(2 * np.pi * (x + 0.37 * (k + 1) * y) / (4.0 + k)) + rng.normal(size=(_SIDE, _SIDE))


def amorphous_film(k: int, rng: np.random.Generator) -> Picture:
    """Noise through the contrast transfer function of a microscope, up to an envelope; every third one is counted."""
    f2 = _frequencies() ** 2
    reach = 0.06 + 0.012 * (k % 12)
    phase = np.pi * (60.0 + 40.0 * k) * f2 - 2e3 * f2**2
    film = _filtered(rng, np.sin(phase) * np.exp(-f2 / reach**2))
    film /= film.std()
    return rng.poisson(np.clip(20 + 4 * film, 0, None)).astype(np.float32) if k % 3 == 0 else film


def dense_atoms(k: int, rng: np.random.Generator) -> Picture:
    """Blobs as close as they can be without order, as the atoms of a thin amorphous film."""
    distance = 6.0 + 1.2 * (k % 12)
    places = np.empty((0, 2))
    for place in rng.uniform(0, _SIDE, (int(5 * (_SIDE / distance) ** 2), 2)):
        if not len(places) or np.hypot(*(places - place).T).min() > (0.82 if k < 12 else 0.6) * distance:
            places = np.concatenate([places, place[None]])
    drawn = np.zeros((_SIDE, _SIDE))
    np.add.at(drawn, tuple(places.astype(int).T), rng.uniform(0.7, 1.3, len(places)))
    drawn = ndimage.gaussian_filter(drawn, 0.2 * distance)
    return rng.poisson(3.0 + 40.0 * drawn / drawn.max()).astype(np.float32)


def spots(k: int, rng: np.random.Generator) -> Picture:
    """Zone axis patterns: spots whose intensities have to do with that of the opposite spot, not with the next one's.

    Every fourth one is tilted, so that opposite spots differ, with a beam stop; on a logarithmic scale; and saturated.
    """
    kind = k % 4
    y, x = np.indices((_SIDE, _SIDE)) - 0.5 * _SIDE
    angle, a, b = rng.uniform(0, np.pi), 14.0 + 2.0 * (k % 7), rng.uniform(1.0, 1.5)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    between = (np.pi / 2, np.pi / 3, rng.uniform(1.1, 1.5))[k % 3]
    basis = a * np.array([[1.0, 0.0], [b * np.cos(between), b * np.sin(between)]]) @ turn
    strength = rng.exponential(0.3, (29, 29))
    if kind != 1:
        strength = 0.5 * (strength + strength[::-1, ::-1]) * rng.normal(1.0, 0.05, (29, 29))
    strength[14, 14] = 1.0
    laue = np.array([20.0, 10.0]) * (kind == 1)
    pattern = 40.0 * np.exp(-np.hypot(y, x) / 40.0)
    for (h, l), of in np.ndenumerate(strength):  # noqa: E741
        at = np.array([h - 14, l - 14]) @ basis
        fall = np.exp(-((at - laue) @ (at - laue)) / (2 * (50.0 + 4.0 * k) ** 2))
        pattern += 2e3 * of * fall * np.exp(-((y - at[0]) ** 2 + (x - at[1]) ** 2) / (2 * (1.5 + 0.1 * k) ** 2))
    if kind == 1:
        pattern[np.hypot(y, x) < 12] = 0.0
    counts = rng.poisson(pattern + 1.0).astype(np.float64)
    return (counts, counts, np.log1p(counts), np.minimum(counts, 255.0))[kind]


def rings(k: int, rng: np.random.Generator) -> Picture:
    """Rings of many small crystals, spotty or smooth, or the broad ones of a glass."""
    y, x = np.indices((_SIDE, _SIDE)) - 0.5 * _SIDE
    radius = np.hypot(y, x)
    pattern = 200.0 * np.exp(-radius / 15.0)
    for n in (3, 4, 8, 11, 12, 16, 19):
        pattern += 60.0 / n * np.exp(-((radius - (18 + k) * n**0.5) ** 2) / (2 * (1.5 + k % 3 * 3.0) ** 2))
    if k % 2:
        pattern *= rng.exponential(1.0, pattern.shape)
    return rng.poisson(pattern + 0.5).astype(np.float32)


def ronchigram(k: int, rng: np.random.Generator) -> Picture:
    """A film seen by an aberrated probe: its middle is magnified."""
    y, x = (np.indices((_SIDE, _SIDE)) - 0.5 * _SIDE) / (0.5 * _SIDE)
    radius2 = y**2 + x**2
    film = ndimage.gaussian_filter(rng.normal(size=(_SIDE, _SIDE)), 1.5)
    at = np.stack([y, x]) * (0.05 + radius2 * (1.0 + 0.3 * k)) * 60.0 + 0.5 * _SIDE
    return ndimage.map_coordinates(film, at, order=1, mode="wrap") * (radius2 < 0.8) + 0.05 * rng.normal(size=y.shape)


def text(k: int, rng: np.random.Generator) -> Picture:
    """A page of letters, of words or of one sign alone."""
    page = Image.new("L", (_SIDE, _SIDE), 255)
    font = ImageFont.load_default(size=9 + k)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz    ,.")) if k % 3 else np.array(list("mnu "))
    lines = "\n".join("".join(rng.choice(letters, 80)) for _ in range(60))
    ImageDraw.Draw(page).multiline_text((4, 4), lines, fill=0, font=font)
    return np.asarray(page, np.float32)


def constant(k: int, rng: np.random.Generator) -> Picture:
    """One value everywhere, also where the numbers end, or all but one pixel."""
    image = np.full((_SIDE, _SIDE), (0.0, 1.0, -7.5, 65535.0, 1e30, np.nan)[k])
    if k == 1:
        image[100, 100] = 2.0
    return image


def gradient(k: int, rng: np.random.Generator) -> Picture:
    """A slope, a hill, a step, a wedge, with and without noise."""
    y, x = np.indices((_SIDE, _SIDE)) / _SIDE
    shape = (x, np.hypot(y - 0.5, x - 0.4), (x > 0.6).astype(float), np.exp(3 * y))[k % 4]
    return shape if k < 4 else rng.poisson(5 + 20 * shape).astype(np.float32)


def fringes(k: int, rng: np.random.Generator) -> Picture:
    """One set of lattice planes, straight or bent: no columns."""
    y, x = np.indices((_SIDE, _SIDE))
    bent = 3.0 * np.sin(y / 60.0) * (k % 2)
    angle = 0.3 * k
    wave = np.cos(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle) + bent) / (6.0 + 1.5 * k))
    return rng.poisson(30 + 20 * wave + (5 * wave**2 if k % 3 else 0)).astype(np.float32)


def photograph(package: str, folder: str, name: str) -> Picture:
    """A picture that comes with a package, grey, its middle."""
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    image = np.asarray(Image.open(Path(spec.origin).parent / folder / name).convert("L"), np.float32)
    top, left = ((side - min(side, 512)) // 2 for side in image.shape)
    return image[top : top + 512, left : left + 512]


def _frequencies() -> Picture:
    return np.hypot(np.fft.fftfreq(_SIDE)[:, None], np.fft.fftfreq(_SIDE)[None, :])


def _filtered(rng: np.random.Generator, response: Picture) -> Picture:
    return np.fft.ifft2(np.fft.fft2(rng.normal(size=response.shape)) * response).real
