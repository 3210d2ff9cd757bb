"""The page of example reports: six runs, their reports whole, and the reports as they look in windows of three widths.

The site makes them; ``python docs/report_examples.py FOLDER`` does so anywhere else. Pictures need playwright and a
Chromium that is installed; without them the page has its links alone. With ``STEMDASK_REFERENCE`` the first example
is a real image.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import stemdask as sd
from stemdask import report, simulate
from stemdask.model import AtomsFrame

#: Widths of windows, px, and the height of the first screen.
WIDTHS = (400, 800, 1600)
HEIGHT = 1000
#: How long a browser may take over a page, ms: machines that build sites are busy.
_PATIENCE = 300_000
PIXEL = 0.0297  # nm
_ABOUT = (
    "What `stemdask run` writes beside a store, in windows of 400, 800 and 1,600 px. Each is one file that needs no "
    "network; click on a picture to open it."
)
#: Of the wall: displacement on either side of it, px, and steps of frames in which it moves by a cell.
_SHIFT, _STEP = 0.7, 4


class Example(NamedTuple):
    """A run whose report is shown."""

    name: str
    title: str
    text: str
    make: Callable[[Path], Mapping[str, Any]]
    """Write the input into a folder, and return the config without its output."""


def one_image(folder: Path) -> Mapping[str, Any]:
    """Take a real image of BaTiO₃ where the reference data are there; else one like it."""
    reference = os.environ.get("STEMDASK_REFERENCE")
    if reference:
        return {"input": {"path": str(Path(reference) / "data" / "BTO_crystal_1.dm4")}}
    pixels, _ = simulate.perovskite((320, 360), 13.4, displacement=(0.4, 0.2), electrons_a=2e4, electrons_b=8e3)
    return _images(folder, "bto", pixels[None])


def moving_wall(folder: Path) -> Mapping[str, Any]:
    """Draw two domains, one of which grows, in a specimen that drifts."""
    drift = np.cumsum(np.random.default_rng(5).normal(0.0, 0.6, (50, 2)), axis=0)
    frames = [_with_wall(k, drift[k]) for k in range(50)]
    analyses = _with_defaults("registration", "displacement", "strain", "denoise", "domains")
    return _images(folder, "wall", np.array(frames)) | {"analyses": analyses}


def _with_wall(frame: int, drift: np.ndarray) -> np.ndarray:
    wall = 70.0 + 14.0 * (frame // _STEP)

    def displacement(places: np.ndarray) -> np.ndarray:
        up = places[:, 1] > wall
        return np.stack([np.where(up, -_SHIFT, 0.0), np.where(up, 0.0, _SHIFT)], axis=1)

    look = {"spacing": 14.0, "electrons_a": 9000.0, "electrons_b": 5000.0, "background": 20.0, "margin": 12.0}
    pixels, _ = simulate.perovskite((170, 300), displacement=displacement, shift=tuple(drift), noise_seed=frame, **look)
    return pixels


def no_pixel_size(folder: Path) -> Mapping[str, Any]:
    """Draw an image in a format that has no pixel size."""
    pixels, _ = simulate.perovskite((224, 256), 15.0, displacement=(0.0, 0.6), seed=2)
    np.save(folder / "no_pixel_size.npy", pixels)
    return {"input": {"path": str(folder / "no_pixel_size.npy")}}


def failed_frames(folder: Path) -> Mapping[str, Any]:
    """Draw a stack in which the beam was blanked, the specimen left, and the detector failed."""
    look = {"shape": (180, 200), "spacing": 14.0, "displacement": (0.5, 0.0)}
    frames, _ = simulate.stack(12, drift=0.8, row_jitter=0.1, seed=4, **look)
    frames[3] = 0.0
    frames[7] = np.random.default_rng(0).poisson(20.0, frames[7].shape)
    frames[8] = np.nan
    return _images(folder, "failed", frames) | {"analyses": {"registration": {}, "displacement": {}}}


def stages(folder: Path) -> Mapping[str, Any]:
    """Write four structures of one particle, each less ordered at its surface than the one before."""
    for number, (size, disordered) in enumerate(((26.0, 20), (25.0, 60), (23.0, 90), (21.0, 120)), 1):
        look = {"sigma": 0.08, "n_disordered": disordered, "disorder": 0.9, "seed": number}
        particle = simulate.nanocrystal(size, "Pt", "sphere")
        _structures(folder / f"stage{number}.xyz", [simulate.trajectory(particle, 1, **look).read(0)])
    analyses = _with_defaults("shape", "rdf", "coordination", "bond_order", "surface", "structure", "lattice_fit")
    return {"input": {"path": str(folder / "stage*.xyz")}, "analyses": analyses}


def melt(folder: Path) -> Mapping[str, Any]:
    """Run molecular dynamics of a platinum particle that is heated beyond its melting point on the way."""
    from ase import Atoms, units
    from ase.calculators.emt import EMT
    from ase.constraints import FixCom
    from ase.io import write
    from ase.md.langevin import Langevin

    particle, random = simulate.nanocrystal(18.0, "Pt"), np.random.default_rng(1)
    atoms = Atoms(particle.numbers, particle.positions, calculator=EMT(), constraint=FixCom())
    look = {"friction": 0.01 / units.fs, "rng": random, "fixcm": False}
    motion = Langevin(atoms, 4 * units.fs, temperature_K=600, **look)
    frames = []
    for k in range(40):
        motion.set_temperature(temperature_K=600 if k < 20 else 2600)
        motion.run(40)
        frames.append(Atoms(atoms.numbers, atoms.positions))
    write(folder / "melt.xyz", frames, format="extxyz")
    analyses = _with_defaults("shape", "rdf", "coordination", "bond_order", "structure", "tracks", "phases")
    return {"input": {"path": str(folder / "melt.xyz")}, "analyses": analyses}


def _with_defaults(*names: str) -> dict[str, dict[str, Any]]:
    return {name: {} for name in names}


def _images(folder: Path, name: str, frames: np.ndarray) -> dict[str, Any]:
    np.save(folder / f"{name}.npy", frames.astype(np.float32))
    return {"input": {"path": str(folder / f"{name}.npy"), "pixel_size": f"{PIXEL} nm"}}


def _structures(path: Path, frames: list[AtomsFrame]) -> None:
    with path.open("w", encoding="ascii") as handle:
        for frame in frames:
            handle.write(f"{len(frame.positions)}\nProperties=species:S:1:pos:R:3\n")
            handle.writelines(f"Pt {x:.6f} {y:.6f} {z:.6f}\n" for x, y, z in frame.positions)


EXAMPLES = (
    Example("bto", "One image", "An average of frames of BaTiO₃ along [001], without a config.", one_image),
    Example("wall", "A moving wall", "Fifty frames with a domain wall that moves by a cell every four.", moving_wall),
    Example("no_pixel_size", "No pixel size", "Lengths are in pixels, and the page says so.", no_pixel_size),
    Example("failed", "Failed frames", "Nine of twelve frames have results; the others have reasons.", failed_frames),
    Example("stages", "Four stages", "Four structures, side by side on shared axes.", stages),
    Example(
        "melt", "A melt", "Forty frames of molecular dynamics, hotter than the melting point from frame 20 on.", melt
    ),
)


def write(folder: Path) -> None:
    """Write the page ``index.md``, its pictures, and in ``site/reports`` those reports that aren't there yet."""
    reports, pictures = folder / "site" / "reports", folder / "pictures"
    for target in (reports, pictures):
        target.mkdir(parents=True, exist_ok=True)
    lines = ["# Reports", "", _ABOUT]
    with browser() as photograph:
        for example in EXAMPLES:
            page = reports / f"{example.name}.html"
            if not page.exists():
                make_report(example, folder / "made" / example.name, page)
            link = f"../reports/{page.name}"
            lines += ["", f"## {example.title}", "", f'{example.text} <a href="{link}">The whole report</a>', ""]
            for width in WIDTHS:
                picture = photograph(page, pictures / f"{example.name}-{width}.png", width)
                if picture.exists():
                    lines += [f"```{{image}} pictures/{picture.name}", f":alt: {example.title}, {width} px wide"]
                    lines += [f":target: {link}", ":height: 300px", "```"]
    (folder / "index.md").write_text("\n".join([*lines, ""]), encoding="utf-8")


def make_report(example: Example, made: Path, page: Path) -> None:
    """Run an example in a folder, and write its report."""
    made.mkdir(parents=True, exist_ok=True)
    store = {"output": str(made / f"{example.name}.zarr"), "cluster": {"kind": "inline"}}
    report.write(sd.run(store | dict(example.make(made)), fresh=True), page)


def listen(window: Any) -> list[str]:
    """Give the list in which a window of a browser will note its messages, its errors and its requests."""
    complaints: list[str] = []
    window.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    window.on("pageerror", lambda error: complaints.append(f"error: {error}"))

    def note(request: Any) -> None:
        if not request.url.startswith(("file:", "data:")):
            complaints.append(f"request: {request.url}")

    window.on("request", note)
    return complaints


@contextmanager
def browser() -> Iterator[Callable[[Path, Path, int], Path]]:
    """Give what takes a picture of the first screen of a page; it takes none where there is no browser.

    A page that writes to the console of the browser, or asks the network for something, ends it.
    """
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None or find_spec("playwright") is None:
        yield lambda page, picture, width: picture
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=program, args=["--no-sandbox"])

        def photograph(page: Path, picture: Path, width: int) -> Path:
            window = chromium.new_page(viewport={"width": width, "height": HEIGHT})
            window.set_default_timeout(_PATIENCE)
            complaints = listen(window)
            window.goto(page.absolute().as_uri())
            window.screenshot(path=picture)
            window.close()
            if complaints:
                raise RuntimeError(f"{page.name} in a window of {width} px: {'; '.join(complaints)}")
            return picture

        yield photograph
        chromium.close()


if __name__ == "__main__":
    write(Path(sys.argv[1]))
