"""From what a user writes (file, folder, glob or list) to files in natural order, all of one format."""

from __future__ import annotations

import errno
import glob
import os
import re
import stat
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from stemdask.errors import InputError
from stemdask.model import Kind
from stemdask.sources import formats
from stemdask.sources.compressed import is_compressed
from stemdask.sources.many import of_each


def find_files(path: str | Path | Sequence[str | Path], kind: Kind | None = None) -> tuple[Kind, str, list[str]]:
    """Find the files that `path` means.

    Parameters
    ----------
    path
        A file, a folder (its files of known format), a glob pattern, or a list of these. ``~`` is expanded.
    kind
        "images" or "atoms"; guessed from the suffixes when None.

    Returns
    -------
    kind, format, files
        Files in natural order (``frame_2`` before ``frame_10``), each once; a list keeps its own order between items.

    Raises
    ------
    InputError
        Nothing found, unknown suffix, or several formats at once.
    """
    items = [path] if isinstance(path, str | Path) else list(path)
    found = list(dict.fromkeys(chain.from_iterable(of_each(_expand, [str(item) for item in items]))))
    if not found:
        raise InputError(
            "no file found" if items else "the list of input files is empty",
            where=None if not items else ", ".join(map(str, items[:3])),
            remedy="Check the path; quote a glob so that the shell passes it on unchanged",
        )
    names = {tuple((half, fmt.name) for half, fmt in formats.claiming(file, kind)) for file in found}
    # Where the names say the same of all files, the first one tells, and the others are held against it as they are
    # opened.
    kinds = Counter(of_each(lambda file: _format_of(file, kind), found[:1] if len(names) == 1 else found))
    if len(kinds) > 1:
        listing = ", ".join(f"{count} {name} ({file_kind})" for (file_kind, name), count in kinds.most_common())
        raise InputError(
            f"files of several formats: {listing}",
            where=", ".join(map(str, items[:3])),
            remedy="Choose one format with a glob such as 'folder/*.dm4'",
        )
    (file_kind, name), _ = kinds.most_common()[0]
    named = (formats.IMAGES if file_kind == "images" else formats.ATOMS)[name]
    return file_kind, formats.of_text(found[0], file_kind, named).name, found


def natural_key(text: str) -> tuple[tuple[int, int | str], ...]:
    """Sort key by which ``frame_2`` comes before ``frame_10``."""
    parts = re.split(r"(\d+)", text)
    return tuple((0, int(part)) if part.isdecimal() else (1, part) for part in parts if part)


def _expand(item: str) -> list[str]:
    if "\0" in item:
        raise InputError("a path can't hold a NUL character", value=item)
    try:
        place = Path(item).expanduser()
        mode = _mode(place)
    except (OSError, RuntimeError) as error:  # a name that is too long, a user that isn't there
        said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        shown = item if len(item) < 100 else item[:99] + "…"
        raise InputError(f"not a path: {said}", where=shown, remedy="Check the path") from None
    if mode is not None and stat.S_ISDIR(mode) and not _is_folder_format(place):
        inside = _of_known_format([str(p) for p in place.iterdir() if not _is_foreign(str(p))])
        if not inside:
            raise InputError(
                "the folder holds no file of a known format",
                where=item,
                allowed=" ".join(formats.suffixes()),
                remedy="Name a folder, a file or a glob with frames in it",
            )
        return sorted(inside, key=natural_key)
    if mode is not None or place.is_symlink():
        return [str(place)]
    if glob.has_magic(item):
        matched = [p for p in glob.glob(str(place), recursive=True) if not _is_foreign(p)]  # noqa: PTH207
        return sorted(_of_known_format(matched) or matched, key=natural_key)
    if re.match(r"[a-z]+://", item):
        raise InputError("the input must be a path, not an address", where=item, remedy="Copy the data to a disk")
    raise InputError("no such file", where=item, remedy="Check the path and the current folder")


def _mode(place: Path) -> int | None:
    """Return what is at a place; None where nothing is, or a link that leads nowhere."""
    try:
        return place.stat().st_mode
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return None
        raise


def _is_folder_format(place: Path) -> bool:
    """Tell a folder that is one input by itself, such as a zarr."""
    return any(fmt.folder for _, fmt in formats.claiming(place))


def _of_known_format(found: list[str]) -> list[str]:
    """Choose the files that hold frames by their names; tables, settings and the like only where nothing else does."""
    claimed = {file: formats.claiming(file) for file in found}
    sure = [file for file, known in claimed.items() if any(not fmt.incidental for _, fmt in known)]
    return sure or [file for file, known in claimed.items() if known]


def _is_foreign(found: str) -> bool:
    """Tell what a folder or glob doesn't mean: hidden files, and the results of earlier runs beside the data."""
    if os.path.basename(found).startswith("."):  # noqa: PTH119 - of many files, much faster
        return True
    try:
        return found.endswith(".zarr") and "stemdask_version" in Path(found, "zarr.json").read_text()[:100_000]
    except OSError:
        return False


def _format_of(file: str, kind: Kind | None) -> tuple[Kind, str]:
    found = formats.of_file(file, kind)
    if found is not None:
        return found[0], found[1].name
    of_kind = f" of {kind}" if kind else ""
    if is_compressed(file):
        raise InputError(
            f"only text formats{of_kind} are read compressed", where=file, remedy="Unpack it, with gunzip or the like"
        )
    raise InputError(
        f"neither the name nor the content is that of a known format{of_kind}",
        where=file,
        allowed=" ".join(formats.suffixes(kind)),
        remedy="Rename the file to the suffix of its format or convert it",
    )
