"""Reading an input behind the fence: a file that hangs or crashes its reader, or fills the memory, is an error."""

from __future__ import annotations

import faulthandler
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stemdask.errors import InputError, StemdaskError
from stemdask.fence import inside
from stemdask.fence.fence import Died, Overdue, Raised, lent
from stemdask.kernels.compiled import when_compiling
from stemdask.model import Array, ImageFrame, Kind
from stemdask.sources import opening
from stemdask.sources.atoms.source import AtomsSource
from stemdask.sources.frame_hash import frame_hash
from stemdask.sources.guard import OPENING_SECONDS, WAITING_SECONDS
from stemdask.sources.images.source import ImageSource
from stemdask.units import Length

#: Bytes that opening an input, or reading a frame to look at, may take.
OPENING_MEMORY = 2 * 2**30
_DAMAGED = "The file may be damaged; copy it again from its origin"
_KILLED = "Somebody else did that, or the system, for want of memory: look at what else runs, and try again"


def open_source(
    path: str | Path | Sequence[str | Path],
    kind: Kind | None = None,
    *,
    pixel_size: float | str | Length | None = None,
    frames: slice | str | None = None,
    elements: Mapping[str, str] | None = None,
    scale: float | str | Length | None = None,
    memory: int = OPENING_MEMORY,
) -> ImageSource | AtomsSource:
    """Do what `opening.open_source` does, where no file can do harm.

    Parameters
    ----------
    path, kind, pixel_size, frames, elements, scale
        As there.
    memory
        Bytes that opening may take.

    Raises
    ------
    InputError
        As there; or a file took its reader down, too long, or too much memory.
    """
    given = {
        "path": str(path) if isinstance(path, str | Path) else [str(item) for item in path],
        "kind": kind,
        "pixel_size": None if pixel_size is None else str(pixel_size),
        "frames": [frames.start, frames.stop, frames.step] if isinstance(frames, slice) else frames,
        "elements": None if elements is None else dict(elements),
        "scale": None if scale is None else str(scale),
        "memory": memory,
    }
    return opening.source_from(_asked("opened", given, path)[0])


def read_image(source: ImageSource, index: int, *, memory: int = OPENING_MEMORY) -> ImageFrame:
    """Read a frame where it can do no harm.

    Parameters
    ----------
    source
        Where it is one of.
    index
        Its number.
    memory
        Bytes that reading may take.

    Raises
    ------
    InputError
        It can't be read, or took its reader down, too long, or too much memory.
    """
    given = {"source": _described(source.only(index)), "memory": memory}
    _, arrays = _asked("read", given, source.file_of(index))
    return ImageFrame(
        index=index,
        pixels=np.array(arrays["pixels"]),  # that of a message is a view of it, and read-only
        pixel_size=source.pixel_size,
        offset=source.offset,
        calibrated=source.calibrated,
    )


def hashes(source: ImageSource | AtomsSource, indices: Iterable[int]) -> dict[int, int]:
    """Read frames behind the fence and return their hashes; 0 for one that can't be read."""
    described = _described(source)
    frame_bytes = math.prod(source.shape) * 8 if isinstance(source, ImageSource) else 0
    memory = max(OPENING_MEMORY, 4 * frame_bytes)  # as stored, as decoded, as numbers, and as they are hashed
    found = {}
    with lent() as fence:
        for index in indices:
            try:
                given = {"source": described, "index": index, "memory": memory}
                found[index], _ = fence.ask("stemdask.sources.fenced:hashed", given, seconds=WAITING_SECONDS)
            except (StemdaskError, Overdue, Died, Raised):
                found[index] = 0
    return found


def _asked(job: str, given: Mapping[str, Any], path: str | Path | Sequence[str | Path]) -> tuple[Any, dict[str, Array]]:
    """Have a job of this module done; whatever becomes of its process is an error of the file."""
    if inside.is_here():
        return _done_here(job, given, path)
    try:
        return _once_more(f"{__name__}:{job}", given)
    except Overdue as error:
        raise InputError(
            f"reading it takes more than {OPENING_SECONDS:g} s", where=str(error) or _named(path), remedy=_DAMAGED
        ) from None
    except Died as death:
        what, remedy = ("was killed", _KILLED) if death.from_outside else ("crashed", _DAMAGED)
        raise InputError(f"its reader {what}: {death.cause()}", where=_named(path), remedy=remedy) from None
    except Raised as error:
        raise InputError(f"its reader failed with {error}", where=_named(path), remedy=_DAMAGED) from None


def _done_here(
    job: str, given: Mapping[str, Any], path: str | Path | Sequence[str | Path]
) -> tuple[Any, dict[str, Array]]:
    """Do a job of this module in this process, which is behind a fence: who asked for its job learns of its end."""
    faulthandler.dump_traceback_later(WAITING_SECONDS, exit=True)  # also where a reader never comes back to Python
    try:
        return (_opened if job == "opened" else _read)(given)
    except StemdaskError:
        raise
    except Exception as error:
        what = f"its reader failed with {type(error).__name__}: {error}"
        raise InputError(what, where=_named(path), remedy=_DAMAGED) from error
    finally:
        faulthandler.cancel_dump_traceback_later()


def _once_more(job: str, given: Mapping[str, Any]) -> tuple[Any, dict[str, Array]]:
    """Have a job done; once more where somebody else killed the process that does it."""
    for may_repeat in (True, False):
        try:
            with lent() as fence:
                return fence.ask(job, given, seconds=WAITING_SECONDS, cpu_seconds=OPENING_SECONDS)
        except Died as death:
            if not (may_repeat and death.from_outside):
                raise
    raise AssertionError


def _described(source: ImageSource | AtomsSource) -> dict[str, Any]:
    return {"kind": source.kind, **source.model_dump(mode="json")}


def opened(given: Mapping[str, Any], arrays: Mapping[str, Array]) -> tuple[dict[str, Any], dict[str, Array]]:
    """Open an input, behind the fence."""
    when_compiling(lambda _: inside.beat())
    inside.limit_memory(given["memory"])
    return _opened(given)


def _opened(given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Array]]:
    frames = slice(*given["frames"]) if isinstance(given["frames"], list) else given["frames"]
    options = {key: given[key] for key in ("pixel_size", "elements", "scale")}
    source = opening.open_source(given["path"], given["kind"], frames=frames, **options)
    return _described(source), {}


def read(given: Mapping[str, Any], arrays: Mapping[str, Array]) -> tuple[None, dict[str, Array]]:
    """Read the image of a source that has one, behind the fence."""
    inside.limit_memory(given["memory"])
    return _read(given)


def _read(given: Mapping[str, Any]) -> tuple[None, dict[str, Array]]:
    frame = opening.source_from(given["source"]).read(0)
    assert isinstance(frame, ImageFrame)
    return None, {"pixels": frame.pixels}


def hashed(given: Mapping[str, Any], arrays: Mapping[str, Array]) -> tuple[int, dict[str, Array]]:
    """Read one frame and return its hash, behind the fence."""
    inside.limit_memory(given["memory"])
    return frame_hash(opening.source_from(given["source"]).read(given["index"])), {}


def _named(path: str | Path | Sequence[str | Path]) -> str:
    return str(path) if isinstance(path, str | Path) else ", ".join(map(str, path[:3]))
