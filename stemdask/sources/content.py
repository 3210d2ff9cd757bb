"""What can be known about a file from its kind, size and first bytes, before a reader is called.

Readers trust their input: a header of 1 kB may make them allocate terabytes, a FIFO makes them wait indefinitely.
"""

from __future__ import annotations

from pathlib import Path

from stemdask.errors import InputError
from stemdask.model import Kind
from stemdask.sources import formats
from stemdask.sources.first_look import FirstLook, not_regular
from stemdask.sources.format import Format
from stemdask.sources.guard import reading


def check_file(file: FirstLook, fmt: Format, half: Kind | None) -> None:
    """Check that a file isn't empty and begins as its format does.

    Parameters
    ----------
    file
        One of several that are read alike.
    fmt
        What the first of them is.
    half
        The formats that were asked for; None for both halves.

    Raises
    ------
    InputError
        It is of another format, or of none.
    """
    if file.is_folder != fmt.folder:
        raise not_regular(file.path)
    if file.is_folder:
        return
    if file.size == 0:
        raise InputError("the file is empty (0 bytes)", where=file.path, remedy="Copy it again from its origin")
    with reading(file.path):
        head = file.beginning(formats.HEAD)
    if not fmt.fits(head):
        raise _wrong_content(file.path, head)
    if fmt.recognises(head) or formats.by_name(file.path, half):
        return
    found = formats.by_content(file.path, head, half)
    if found is not None and found[1] is not fmt:
        raise InputError(
            f"files of several formats: the content is {found[1].noun}, that of the first one {fmt.noun}",
            where=file.path,
            remedy="Choose one format with a glob such as 'folder/*.dm4'",
        )


def _wrong_content(path: str, head: bytes) -> InputError:
    if found := formats.of_content(head):
        return InputError(
            f"the content is {found[1].noun}, the suffix says {Path(path).suffix}",
            where=path,
            remedy="Give the file the suffix of its content",
        )
    return InputError(
        f"the content doesn't match the suffix {Path(path).suffix}",
        where=path,
        remedy="The file may be damaged; copy it again from its origin",
    )
