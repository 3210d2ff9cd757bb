"""A file of a source, as a task carries it, and whether it is still the one that was planned."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from stemdask.errors import InputError
from stemdask.sources.guard import os_error

_SAMPLE = 1 << 16
_FOUND: dict[str, tuple[tuple[int, int, int], str]] = {}
"""What this process has already found a file to be: path -> ((size, mtime, inode), digest)."""


class SourceFile(BaseModel):
    """One file, and by what a worker knows that it is still the one that was planned."""

    model_config = ConfigDict(frozen=True)

    path: str
    size: int
    """Bytes."""
    digest: str

    def check_unchanged(self) -> None:
        """Raise InputError where the file isn't the one that was planned; costs one `stat` a call."""
        try:
            status = Path(self.path).stat()
            state = (status.st_size, status.st_mtime_ns, status.st_ino)
            known = _FOUND.get(self.path)
            if known is None or known[0] != state:
                if len(_FOUND) > 4096:
                    _FOUND.clear()
                _FOUND[self.path] = known = (state, digest(self.path))
        except OSError as error:
            raise os_error(self.path, error) from None
        if known[1] != self.digest:
            raise InputError(
                "the file changed after the run was planned",
                where=self.path,
                remedy="Put the file back, or start a run of its own for the new one",
            )


def digest(path: str) -> str:
    """Return 16 hexadecimal digits that stand for size, first and last 64 kB of a file, or for a zarr."""
    place = Path(path)
    if place.is_dir():
        return _digest_of_folder(place)
    size = place.stat().st_size
    sums = hashlib.blake2b(str(size).encode(), digest_size=8)
    with place.open("rb") as file:
        sums.update(file.read(_SAMPLE))
        if size > _SAMPLE:
            file.seek(max(_SAMPLE, size - _SAMPLE))
            sums.update(file.read(_SAMPLE))
    return sums.hexdigest()


def _digest_of_folder(folder: Path) -> str:
    """Stand for a zarr: the names and sizes of its files, and the bytes of some of them."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    sums = hashlib.blake2b(digest_size=8)
    for at, file in enumerate(files):
        sums.update(f"{file.relative_to(folder)} {file.stat().st_size}\n".encode())
        if file.suffix == ".json" or at % max(1, len(files) // 32) == 0:
            sums.update(file.read_bytes()[:_SAMPLE])
    return sums.hexdigest()
