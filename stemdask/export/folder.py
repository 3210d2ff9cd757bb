"""The folder that an export writes to: complete files or none, and never over the files of others."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from stemdask.errors import StorageError, StoreError
from stemdask.store import disk

_LIST = ".stemdask-export.json"
_PARTIAL = ".partial-"


class Folder:
    """Files are written under a temporary name and renamed when complete; a list says which an export made."""

    def __init__(self, path: Path, *, overwrite: bool = False) -> None:
        if path.exists() and not path.is_dir():
            raise StoreError("not a folder", where=path, remedy="Name a folder to write to")
        self._path = path
        self._overwrite = overwrite
        self._written: list[Path] = []
        self._sweep()

    @contextmanager
    def file(self, name: str) -> Iterator[Path]:
        """Give the path to write to; the file takes its name once it is complete.

        Raises
        ------
        StoreError
            A file of that name exists that was not made by an export, or was changed since.
        StorageError
            The file system refused a write.
        """
        target = self._path / name
        self._check(target)
        partial = target.with_name(f"{_PARTIAL}{disk.writer()}-{name}")
        try:
            self._path.mkdir(parents=True, exist_ok=True)
            yield partial
            disk.sync_file(partial)
            # First the list, then the name: whenever this ends, the file that is there is one of those listed.
            with _alone(self._path):
                made = self._check(target)
                made[name] = [*made.get(name, [])[-1:], _state(partial)]
                disk.write_file(self._path / _LIST, json.dumps(made))
                partial.replace(target)
                disk.sync_file(target)
        except OSError as error:
            raise StorageError(
                f"can't be written: {error.strerror or error}",
                where=target,
                remedy="Free some space, or name another folder",
            ) from error
        finally:
            with suppress(OSError):  # what stays is swept by the next export
                partial.unlink(missing_ok=True)
        self._written.append(target)

    @property
    def written(self) -> list[Path]:
        """The files written so far."""
        return list(self._written)

    def _check(self, target: Path) -> dict[str, list[list[int]]]:
        """Return what exports made; refuse a file that is none of it."""
        made = self._read_list()
        if target.exists() and not self._overwrite and _state(target) not in made.get(target.name, []):
            raise StoreError(
                "this file was not made by an export, or was changed since",
                where=target,
                remedy="Name another folder, or move the file away",
            )
        return made

    def _read_list(self) -> dict[str, list[list[int]]]:
        """Return size and time of the files that exports made, by name; both versions of one being replaced."""
        try:
            made = json.loads((self._path / _LIST).read_text())
        except (OSError, ValueError):
            return {}
        return dict(made) if isinstance(made, dict) else {}

    def _sweep(self) -> None:
        """Remove what an export left behind whose process is gone."""
        for left in self._path.glob(f"{_PARTIAL}*"):
            if disk.is_gone("-".join(left.name.removeprefix(_PARTIAL).split("-")[:2])):
                with suppress(OSError):
                    left.unlink(missing_ok=True)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let one export at a time add to a folder, where the file system has locks."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _state(file: Path) -> list[int]:
    status = file.stat()
    return [status.st_size, status.st_mtime_ns]
