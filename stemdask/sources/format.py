"""What a format of files is, before anything of a file is read."""

from __future__ import annotations

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
    magic: tuple[tuple[int, bytes], ...] = ()
    """First bytes, each with the offset at which it stands; any of them. None where the format has no signature."""
    text: bool = False
    """Whether a file holds text, in which no byte is zero."""
    folder: bool = False
    """Whether an input is a folder, not a file."""
    general: bool = False
    """Whether the suffix is common for other data too: xarray takes it only where its engine is named."""

    def signed(self, head: bytes) -> bool:
        """Tell whether a file begins with a signature of the format."""
        return any(head[at : at + len(magic)] == magic for at, magic in self.magic)

    def fits(self, head: bytes) -> bool:
        """Tell whether a file that begins so can be of the format."""
        return b"\0" not in head if self.text else self.signed(head) or not self.magic
