"""What a format of files is, before anything of a file is read."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """What is known of a format by name, and how its files are told from others."""

    name: str
    """As a source carries it."""
    suffixes: tuple[str, ...]
    """In lower case; a folder is searched for these."""
    noun: str
    """Such as "a TIFF file"."""
    names: tuple[str, ...] = ()
    """Names of files without suffix, in capitals; a blank, point, dash or underscore and more may follow."""
    magic: tuple[tuple[int, bytes], ...] = ()
    """First bytes, each with the offset at which it stands; any of them. None where the format has no signature."""
    looks: Callable[[bytes], bool] | None = None
    """Tell by the first kilobytes of a file whether it is of the format, where no signature does or others share it."""
    unsigned: Callable[[bytes], bool] | None = None
    """Tell by the first kilobytes whether a file of this name and without signature is of the format's first days."""
    text: bool = False
    """Whether a file holds text, in which no byte is zero; it may be compressed."""
    folder: bool = False
    """Whether an input is a folder, not a file."""
    general: bool = False
    """Whether the suffix is common for other data too: xarray takes it only where its engine is named."""
    incidental: bool = False
    """Whether such files lie beside frames for other reasons: of a folder they are taken only if it holds no others."""

    def claims(self, name: str, suffix: str) -> bool:
        """Tell whether a file or folder is of the format by its name, and the suffix of that in lower case."""
        if suffix in self.suffixes:
            return True
        return bool(self.names) and re.match(rf"(?:{'|'.join(self.names)})(?:[ ._-]|$)", name.upper()) is not None

    def signed(self, head: bytes) -> bool:
        """Tell whether a file begins with a signature of the format."""
        return any(head[at : at + len(magic)] == magic for at, magic in self.magic)

    def recognises(self, head: bytes) -> bool:
        """Tell whether a file that begins so is of the format, whatever its name."""
        if (self.magic and not self.signed(head)) or (self.text and b"\0" in head):
            return False
        return bool(self.magic) if self.looks is None else self.looks(head)

    def fits(self, head: bytes) -> bool:
        """Tell whether a file that begins so can be of the format."""
        if self.text:
            return b"\0" not in head
        return self.signed(head) or not self.magic or (self.unsigned is not None and self.unsigned(head))
