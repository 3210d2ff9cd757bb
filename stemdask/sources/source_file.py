"""A file of a source, as a task carries it, and whether it is still the one that was planned."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from stemdask.errors import InputError
from stemdask.sources.guard import os_error

_SAMPLE = 1 << 16
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
    def look(cls, path: str) -> SourceFile:
        """Return a file as it is now; raise InputError where it can't be read."""
        try:
            size, mtime_ns, inode, digest = _state(path)
            return cls(path=path, size=size, mtime_ns=mtime_ns, inode=inode, digest=digest)
        except OSError as error:
            raise os_error(path, error) from None

    def same_as(self, other: SourceFile) -> bool:
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
            _SEEN[self.path] = known = (now, self.same_as(SourceFile.look(self.path)))
        if not known[1]:
            raise InputError(
                "the file changed after the run was planned",
                where=self.path,
                remedy="Put the file back, or start a new run for the new file",
            )


def _state(path: str) -> tuple[int, int, int, str]:
    """Return size, time of the last writing, inode, and 16 hexadecimal digits that stand for the content.

    Of a file these are of its size and its first and last 64 kB; it is opened once and asked nothing else.
    """
    try:
        with Path(path).open("rb") as file:
            status = os.fstat(file.fileno())
            sums = hashlib.blake2b(str(status.st_size).encode(), digest_size=8)
            sums.update(file.read(_SAMPLE))
            if status.st_size > _SAMPLE:
                file.seek(max(_SAMPLE, status.st_size - _SAMPLE))
                sums.update(file.read(_SAMPLE))
            return status.st_size, status.st_mtime_ns, status.st_ino, sums.hexdigest()
    except IsADirectoryError:
        return _state_of_folder(Path(path))


def _state_of_folder(folder: Path) -> tuple[int, int, int, str]:
    files = [os.stat(file) for file in folder.rglob("*") if file.is_file()]  # noqa: PTH116
    newest = max((f.st_mtime_ns for f in files), default=0)
    return sum(f.st_size for f in files), newest, folder.stat().st_ino, _digest_of_folder(folder)


def _digest_of_folder(folder: Path) -> str:
    """Stand for a zarr: the names and sizes of its files, and the bytes of some of them."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    sums = hashlib.blake2b(digest_size=8)
    for at, file in enumerate(files):
        sums.update(f"{file.relative_to(folder)} {file.stat().st_size}\n".encode())
        if file.suffix == ".json" or at % max(1, len(files) // 32) == 0:
            sums.update(file.read_bytes()[:_SAMPLE])
    return sums.hexdigest()
