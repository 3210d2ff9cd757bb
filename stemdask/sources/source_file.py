"""A file of a source, as a task carries it, and whether it is still the one that was planned."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from stemdask.errors import InputError
from stemdask.sources.first_look import FirstLook, look_at
from stemdask.sources.guard import os_error

_SEEN: dict[str, tuple[tuple[int, int, int], bool]] = {}
"""What this process has already found: path -> (size, time and inode; whether that is the planned file)."""


class SourceFile(BaseModel):
    """One file, and by what a worker knows that it is still the one that was planned."""

    model_config = ConfigDict(frozen=True)

    path: str
    size: int
    """Bytes; of a folder such as a zarr, those of all its files."""
    mtime_ns: int
    """When it was written last; of a folder, its newest file. Any writing in place changes it."""
    inode: int
    digest: str

    @classmethod
    def of(cls, look: FirstLook) -> SourceFile:
        """Return a file as it was found."""
        return cls(path=look.path, size=look.size, mtime_ns=look.mtime_ns, inode=look.inode, digest=look.digest)

    def same_as(self, other: SourceFile | FirstLook) -> bool:
        """Tell whether another look found the same file: one that was moved, or copied with its time, is."""
        return (self.size, self.mtime_ns, self.digest) == (other.size, other.mtime_ns, other.digest)

    def check_unchanged(self) -> None:
        """Raise InputError where the file isn't the one that was planned; costs one `stat` a call.

        Of a folder only names that came or went are seen at once; what was written in place, by the next run.
        """
        try:
            status = Path(self.path).stat()
        except OSError as error:
            raise os_error(self.path, error) from None
        now = (status.st_size, status.st_mtime_ns, status.st_ino)
        if now == (self.size, self.mtime_ns, self.inode):
            return
        known = _SEEN.get(self.path)
        if known is None or known[0] != now:
            if len(_SEEN) > 4096:
                _SEEN.clear()
            _SEEN[self.path] = known = (now, self.same_as(look_at(self.path)))
        if not known[1]:
            raise InputError(
                "the file changed after the run was planned",
                where=self.path,
                remedy="Put the file back, or start a new run for the new file",
            )
