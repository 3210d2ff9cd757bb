"""A first look: one frame analysed in seconds, what was found in it, a picture, and what to change if it is wrong."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import typer
from PIL import Image

from stemdask.analyses.atoms.order import rdf
from stemdask.analyses.images.columns import lattice
from stemdask.config.document import Document, override
from stemdask.engine import run as engine
from stemdask.errors import FrameError, StoreError
from stemdask.figures.atoms.positions import plot_structure
from stemdask.figures.images.columns import plot_inspection
from stemdask.figures.saved import write_picture
from stemdask.report.verdicts import judge
from stemdask.results import reader
from stemdask.results.views import Results
from stemdask.store.disk import is_gone, writer

#: What a preview says of itself, so that it may be drawn anew.
SOFTWARE = "stemdask preview"
_SCRATCH = "stemdask-preview-"
#: Seconds after which it is said why nothing is to be seen yet.
_LONG = 10.0
_COMPILES = "The first preview of images, or of structures, compiles their kernels, which takes one to two minutes."


def show(inputs: Sequence[str], frame: int, output: Path | None, settings: Sequence[str] = ()) -> int:
    """Analyse one frame, say what was found and what to change, and draw it; return 0.

    `settings` override keys of the config, such as ``input.pixel_size=0.0297 nm``.

    Raises
    ------
    FrameError
        Nothing was found in the frame; says why.
    StoreError, StorageError
        Another file is in the place of the picture; the file system refused it.
    """
    picture = output if output is not None else Path(f"{Path(inputs[0]).stem.strip('*?[]') or 'frames'}.preview.png")
    _check_free(picture)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix=f"{_SCRATCH}{writer()}-") as folder:
        _sweep(Path(folder).parent)
        data = {
            "input": {"path": list(inputs), "frames": f"{frame}:{frame + 1}"},
            "output": str(Path(folder) / "preview.zarr"),
            "cluster": {"kind": "inline"},
        }
        with _patience_asked():
            outcome = engine.execute(override(Document(data, name="preview"), settings), progress=False)
        results = Results(reader.open_results(outcome.store))
        (verdict,) = judge(results).frames
        if verdict.level == "failed":
            raise FrameError("; ".join(verdict.reasons), where=f"frame {frame}")
        for words in (*verdict.words, *(f"doubtful: {reason}" for reason in verdict.reasons)):
            typer.echo(f"  {words}")
        typer.echo("If that is wrong, set one of these with --set, or in the config:")
        for line in _keys(results):
            typer.echo(f"  {line}")
        drawn = plot_inspection(results) if results.kind == "images" else plot_structure(results)
        write_picture(drawn, picture, SOFTWARE)
    typer.echo(f"picture: {picture} ({time.perf_counter() - start:.1f} s)")
    return 0


@contextmanager
def _patience_asked() -> Iterator[None]:
    """Say why it takes long, if it does: kernels are compiled when they are first used, one half at a time.

    By an alarm: a process with a second thread isn't forked, and another interpreter costs a second of a core.
    """
    before = signal.signal(signal.SIGALRM, lambda *_: typer.echo(_COMPILES, err=True))
    signal.setitimer(signal.ITIMER_REAL, _LONG)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def _sweep(directory: Path) -> None:
    """Remove from a directory what previews of this user and machine left that were killed."""
    for left in directory.glob(f"{_SCRATCH}*"):
        if is_gone("-".join(left.name.removeprefix(_SCRATCH).split("-")[:2])) and left.lstat().st_uid == os.getuid():
            shutil.rmtree(left, ignore_errors=True)


def _keys(results: Results) -> list[str]:
    """Return the two keys on which the result depends most, with values to begin with."""
    if results.kind == "atoms":
        cutoff = float(results.read(rdf.CUTOFF, 0))
        reach, how = (f"{cutoff:.2f}", "was found") if np.isfinite(cutoff) else ("3.4", "not found in this frame")
        return [
            f"analyses.bond_order.cutoff={reach} angstrom    largest distance of neighbours ({how})",
            "input.scale=1 angstrom    length of one unit of the coordinates",
        ]
    steps = [float(np.hypot(results.read(y, 0), results.read(x, 0))) for y, x in _VECTORS]
    image = results.needed_image(0)
    distance = min(steps) / float(np.sqrt(np.prod(image.pixel_size)))
    dark = bool(results.config()["input"].get("invert"))
    return [
        f"analyses.columns.separation={distance:.1f} px    distance between columns of the same kind (was found)",
        f"input.invert={str(not dark).lower()}    if columns are {'bright' if dark else 'dark'}",
    ]


_VECTORS = ((lattice.A_Y, lattice.A_X), (lattice.B_Y, lattice.B_X))


def _check_free(picture: Path) -> None:
    if not picture.exists():
        return
    try:
        with Image.open(picture) as image:
            ours = image.info.get("Software") == SOFTWARE
    except OSError:
        ours = False
    if not ours:
        raise StoreError(
            "this file was not written by 'stemdask preview', and nothing else is overwritten",
            where=picture,
            remedy="Name another with -o",
        )
