"""Whether an input is still the one from which the frames of a store were made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from stemdask.errors import StoreError
from stemdask.model import FrameStatus, Source
from stemdask.sources import fenced
from stemdask.sources.atoms.source import AtomsSource
from stemdask.sources.file_source import FileSource
from stemdask.sources.images.source import ImageSource
from stemdask.store import layout, statuses

_NAMED = 5


def check_input(planned: Source | None, source: Source, store: Path) -> None:
    """Refuse an input of which a frame isn't what was analysed, or may not be what was planned.

    Size and time of a file are a hint; if they changed, the frames themselves are read again and compared with the
    hash of what was analysed. A frame that wasn't analysed yet can't be compared.

    Parameters
    ----------
    planned
        The input as the last run found it; None where that is lost, and all analysed frames are compared.
    source
        The input now.
    store
        With the frames done so far.

    Raises
    ------
    StoreError
        Names the frames.
    """
    if not isinstance(source, ImageSource | AtomsSource):
        return
    changed = _changed_files(planned, source)
    if not changed:
        return
    suspects = [index for index in range(source.n_frames) if changed[source.file_number(index)]]
    found = statuses.read_statuses(store)
    root = layout.open_group(store)
    if len(found) != source.n_frames or layout.INPUT_HASH not in root:
        return  # another input, which the fingerprint tells; or the store of a version that kept no hashes
    hashes = np.asarray(root[layout.INPUT_HASH][...])
    analysed = [index for index in suspects if found[index] != FrameStatus.PENDING and hashes[index]]
    now = fenced.hashes(source, analysed)
    other = [index for index in analysed if now[index] != int(hashes[index])]
    unknown = [] if planned is None else sorted(set(suspects) - set(analysed))
    if not other and not unknown:
        return
    files = [file.path for file, is_changed in zip(source.files, changed, strict=True) if is_changed]
    said = [f"{_ranges(other)} no longer what was analysed"] if other else []
    said += [f"{_ranges(unknown)} not analysed yet and can't be compared"] if unknown else []
    raise StoreError(
        f"the input was changed after this run began: {'; '.join(said)}",
        where=", ".join(files[:_NAMED]) + (f" and {len(files) - _NAMED} more" if len(files) > _NAMED else ""),
        remedy="Put the files back (a copy keeps its time with 'cp -p' or 'rsync -t'), or start over with --fresh",
    )


def _changed_files(planned: Source | None, source: FileSource) -> list[bool]:
    """Tell of each file whether it may have changed; nothing where all are the same, or the inputs are two."""
    if planned is None:
        return [True] * len(source.files)
    if not isinstance(planned, FileSource) or planned.ends != source.ends or planned.selection != source.selection:
        return []
    changed = [not now.same_as(then) for now, then in zip(source.files, planned.files, strict=True)]
    return changed if any(changed) else []


def _ranges(frames: Sequence[int]) -> str:
    """Return "frames 3, 7 to 9 are"; the first few where there are many."""
    starts = [k for k, index in enumerate(frames) if k == 0 or frames[k - 1] != index - 1]
    parts = [(frames[start], frames[stop - 1]) for start, stop in zip(starts, [*starts[1:], len(frames)], strict=True)]
    named = [str(first) if first == last else f"{first} to {last}" for first, last in parts[:_NAMED]]
    more = f" and {len(parts) - _NAMED} more ranges" if len(parts) > _NAMED else ""
    return f"{'frames' if len(frames) > 1 else 'frame'} {', '.join(named)}{more} {'are' if len(frames) > 1 else 'is'}"
