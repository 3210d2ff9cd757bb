"""Which columns of real images are found after what images go through before they are analysed, and what is said then.

    python benchmarks/alterations.py IMAGE [IMAGE ...] [--write docs/accuracy.md]

Each image is altered in thirty ways: by how it was scanned (lines that jump, drift, little dose), by how it was cut and
turned, by what a program did to its pixels, by how a figure was made of it. Columns are expected where they are in the
image as it is, moved along, but for those that the rim of what is left may cut; *right* is an image of which 98 % are
found and 98 % of those found are expected. `--write` puts the table between the marks `<!-- alterations -->` and
`<!-- /alterations -->` of a page.
"""

from __future__ import annotations

import argparse
import io
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pages
from PIL import Image, ImageDraw
from scipy import ndimage
from scipy.spatial import cKDTree

from stemdask.analyses import chain, registry
from stemdask.analyses.evaluation import evaluate
from stemdask.analyses.images.columns.gate import DOUBTS
from stemdask.config.document import of_inputs
from stemdask.errors import StemdaskError
from stemdask.kernels.images.finding.polarity import DOUBTFUL, polarity
from stemdask.kernels.images.finding.separation import NoLatticeError
from stemdask.planning.steps import steps
from stemdask.sources.opening import open_source

ENOUGH = 0.98
#: A column is where it is expected within this part of the shortest distance; so near to the rim it may be cut.
_NEAR, _RIM = 0.35, 0.7

Alter = Callable[[np.ndarray], np.ndarray]
Move = Callable[[np.ndarray, tuple[int, ...]], np.ndarray]


class Alteration(NamedTuple):
    """What is done to an image of values from 0 to 1, and where its pixels (n, 2) then are."""

    name: str
    alter: Alter
    move: Move = lambda places, shape: places
    scale: float = 1.0

    def left(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return how far pixels are from the rim of what is left of an image, px."""
        area = self.alter(np.ones(shape)) > 0 if self.loses else np.ones(self.alter(np.ones(shape)).shape)
        return ndimage.distance_transform_edt(np.pad(area, 1))[1:-1, 1:-1]

    @property
    def loses(self) -> bool:
        """Whether a part of the image is replaced."""
        return self.name in _LOSE


def _grid(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return y and x from -0.5 to 0.5."""
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    return y / image.shape[0] - 0.5, x / image.shape[1] - 0.5


def _affine(name: str, matrix: list[list[float]]) -> Alteration:
    forward = np.array(matrix)
    back = np.linalg.inv(forward)

    def middle(shape: tuple[int, ...]) -> np.ndarray:
        return 0.5 * (np.array(shape) - 1)

    def alter(image: np.ndarray) -> np.ndarray:
        centre = middle(image.shape)
        return ndimage.affine_transform(image, back, centre - back @ centre, order=1, cval=0.0)

    return Alteration(name, alter, lambda p, shape: (p - middle(shape)) @ forward.T + middle(shape))


def _drawn(image: np.ndarray, draw: Callable[[ImageDraw.ImageDraw, int, int], None]) -> np.ndarray:
    picture = Image.fromarray((255 * image).astype(np.uint8))
    draw(ImageDraw.Draw(picture), *image.shape)
    return np.asarray(picture, float)


def _scale_bar(draw: ImageDraw.ImageDraw, h: int, w: int) -> None:
    draw.rectangle([0.05 * w, 0.9 * h, 0.3 * w, 0.93 * h], fill=255)
    draw.text((0.08 * w, 0.82 * h), "2 nm", fill=255, font_size=int(0.07 * h))


def _labels(draw: ImageDraw.ImageDraw, h: int, w: int) -> None:
    draw.rectangle([0, 0, 0.15 * w, 0.13 * h], fill=0)
    draw.text((0.03 * w, 0.01 * h), "a)", fill=255, font_size=int(0.1 * h))
    draw.rectangle([0.6 * w, 0.88 * h, w, h], fill=0)
    draw.rectangle([0.65 * w, 0.95 * h, 0.95 * w, 0.97 * h], fill=255)


def _jpeg(image: np.ndarray) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray((255 * image).astype(np.uint8)).save(file, "JPEG", quality=40)
    return np.asarray(Image.open(file), float)


def _jumps(shape: tuple[int, ...]) -> np.ndarray:
    """Return by how many px each line is moved."""
    rng = np.random.default_rng(0)
    moved = np.zeros(shape[0], int)
    for row in np.sort(rng.integers(0, shape[0], 6)):
        moved[row:] += rng.integers(-2, 3)
    return moved


def _jumping(image: np.ndarray) -> np.ndarray:
    return np.stack([np.roll(row, by) for row, by in zip(image, _jumps(image.shape), strict=True)])


def _bend(rows: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return 0.03 * shape[1] * (rows / shape[0]) ** 2


def _drifting(image: np.ndarray) -> np.ndarray:
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    return ndimage.map_coordinates(image, [y, x - _bend(y, image.shape)], order=1, cval=0.0)


def _counted(electrons: float) -> Alter:
    return lambda image: np.random.default_rng(0).poisson(electrons * image).astype(float)


def _hot(image: np.ndarray) -> np.ndarray:
    rng, n = np.random.default_rng(0), image.size // 2000
    image = image.copy()
    image[rng.integers(0, image.shape[0], n), rng.integers(0, image.shape[1], n)] = 8.0
    return image


def _dead_lines(image: np.ndarray) -> np.ndarray:
    image = image.copy()
    image[len(image) // 3], image[:, image.shape[1] // 2] = 0.0, 1.0
    return image


def _not_reached(image: np.ndarray) -> np.ndarray:
    image = image.copy()
    image[int(0.8 * len(image)) :] = 0.0
    return image


def _bragg(image: np.ndarray) -> np.ndarray:
    spectrum = np.fft.fft2(image)
    strong = np.abs(spectrum) > np.percentile(np.abs(spectrum), 99.5)
    return np.fft.ifft2(np.where(strong, spectrum, 0.0)).real


def _equalised(image: np.ndarray) -> np.ndarray:
    return (np.argsort(np.argsort(image.ravel())) / image.size).reshape(image.shape)


def _vignetted(image: np.ndarray) -> np.ndarray:
    y, x = _grid(image)
    return image * np.exp(-2.5 * (y**2 + x**2))


ALTERATIONS = (
    Alteration("upside down", lambda i: i[::-1], lambda p, shape: np.array([shape[0] - 1, 0]) + p * [-1, 1]),
    _affine("turned by 30°, zeros in the corners", [[0.866, -0.5], [0.5, 0.866]]),
    _affine("stretched 1.4 times", [[1.0, 0.0], [0.0, 1.4]]),
    _affine("sheared by 0.2", [[1.0, 0.0], [0.2, 1.0]]),
    Alteration("a quarter of it", lambda i: i[: i.shape[0] // 2, : i.shape[1] // 2]),
    Alteration("a border of zeros", lambda i: np.pad(i, ((30, 50), (40, 0))), lambda p, shape: p + np.array([30, 40])),
    Alteration("half of the pixels", lambda i: ndimage.zoom(i, 0.5, order=1), lambda p, shape: 0.5 * p - 0.25, 0.5),
    Alteration("three times the pixels", lambda i: ndimage.zoom(i, 3, order=3), lambda p, shape: 3 * p + 1, 3.0),
    Alteration(
        "lines that jump",
        _jumping,
        lambda p, shape: p + np.stack([0 * p[:, 0], _jumps(shape)[np.clip(p[:, 0].astype(int), 0, None)]], axis=1),
    ),
    Alteration(
        "drift along the lines", _drifting, lambda p, shape: p + np.stack([0 * p[:, 0], _bend(p[:, 0], shape)], 1)
    ),
    Alteration("lines that were not reached", _not_reached),
    Alteration("dead line and column", _dead_lines),
    Alteration("a hot pixel in 2,000", _hot),
    Alteration("10 electrons per pixel", _counted(10.0)),
    Alteration("2 electrons per pixel", _counted(2.0)),
    Alteration("brightness that slopes", lambda i: i + 1.5 * _grid(i)[1]),
    Alteration("darker corners", _vignetted),
    Alteration("gamma 0.5", lambda i: i**0.5),
    Alteration("gamma 2", lambda i: i**2),
    Alteration("clipped", lambda i: np.clip(i, 0.25, 0.7)),
    Alteration("equalised", _equalised),
    Alteration("16 levels", lambda i: np.round(15 * i)),
    Alteration("JPEG", _jpeg),
    Alteration("scale bar", lambda i: _drawn(i, _scale_bar)),
    Alteration("labels", lambda i: _drawn(i, _labels)),
    Alteration("median of 3 × 3", lambda i: ndimage.median_filter(i, 3)),
    Alteration("Bragg filter", _bragg),
    Alteration("unsharp mask", lambda i: 3 * i - 2 * ndimage.gaussian_filter(i, 3)),
    Alteration("without its local mean", lambda i: i - ndimage.gaussian_filter(i, 8)),
)


_LOSE = (
    "turned by 30°, zeros in the corners",
    "stretched 1.4 times",
    "sheared by 0.2",
    "a border of zeros",
    "drift along the lines",
    "lines that were not reached",
    "labels",
)


class Found(NamedTuple):
    """What a frame says of itself, and its columns, px; none of one that is refused."""

    said: str
    places: np.ndarray


def find(image: np.ndarray, folder: Path) -> Found:
    """Analyse an image as a run does without a config."""
    path = folder / "image.npy"
    try:
        evidence = polarity(image)
    except NoLatticeError:
        evidence = 0.0
    np.save(path, (-image if evidence <= -DOUBTFUL else image).astype(np.float32))
    source = open_source(path)
    chosen, _ = steps(of_inputs([str(path)]), source.kind, registry.defaults(source))
    try:
        prepared = chain.prepare(source.kind, chosen, [source.read(0)])
    except StemdaskError as error:
        return Found(str(error), np.zeros((0, 2)))
    result = evaluate(source, chosen, prepared, 0)
    if not result.is_done:
        return Found(result.error, np.zeros((0, 2)))
    values = result.values
    reasons = int(values["frames/quality_reasons"])
    return Found(
        " and ".join(text for bit, text in DOUBTS.items() if reasons > 0 and reasons & bit),
        np.stack([values["columns/y"], values["columns/x"]], axis=1),
    )


def judged(found: Found, expected: np.ndarray, left: np.ndarray, distance: float) -> str:
    """Return "right", "refused", "marked" (wrong, and the frame says so), or what is wrong."""
    if not len(found.places):
        return "refused"

    def whole(places: np.ndarray) -> np.ndarray:
        at = np.clip(np.round(places).astype(int), 0, np.array(left.shape) - 1)
        inside = ((places >= 0) & (places <= np.array(left.shape) - 1)).all(axis=1)
        return inside & (left[at[:, 0], at[:, 1]] > _RIM * distance)

    def seen(places: np.ndarray, others: np.ndarray) -> float:
        return float(np.mean(cKDTree(others).query(places[whole(places)])[0] < _NEAR * distance))

    recall, precision = seen(expected, found.places), seen(found.places, expected)
    if recall >= ENOUGH and precision >= ENOUGH:
        return "right"
    return "marked" if found.said else f"{recall:.2f} / {precision:.2f}"


def table(files: list[Path]) -> str:
    """Return a row per alteration: what became of each image."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = []
        for file in files:
            pixels = np.asarray(open_source(file).read(0).pixels, float)
            low, high = np.nanpercentile(pixels, [0.1, 99.9])
            image = np.clip((pixels - low) / (high - low), 0.0, 1.0)
            places = find(image, folder).places
            images.append((image, places, float(np.median(cKDTree(places).query(places, k=2)[0][:, 1]))))
        counts = dict.fromkeys(("right", "marked", "refused", "wrong"), 0)
        for each in ALTERATIONS:
            became = []
            for image, places, distance in images:
                expected, left = each.move(places, image.shape), each.left(image.shape)
                became.append(judged(find(each.alter(image), folder), expected, left, each.scale * distance))
                counts[became[-1] if became[-1] in counts else "wrong"] += 1
            rows.append([each.name, *became])
            print(*rows[-1], sep=" | ", flush=True)
    head = ["", *(file.stem for file in files)]
    lines = ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows)]
    total = "; ".join(f"{count} {kind}" for kind, count in counts.items())
    return "\n".join([f"{sum(counts.values())} images: {total}.", "", *lines])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, metavar="IMAGE")
    pages.add_argument(parser)
    told = parser.parse_args()
    pages.put(table(told.files), "alterations", told.write)


if __name__ == "__main__":
    main()
