"""The folder that an export writes into: whole files or none, and never over what someone else made."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stemdask.errors import StorageError, StoreError

_LIST = ".stemdask-export.json"


class Folder:
    """Files are written beside their name and renamed when they are whole; a list says which an export made."""

    def __init__(self, path: Path, *, overwrite: bool = False) -> None:
        if path.exists() and not path.is_dir():
            raise StoreError("not a folder", where=path, remedy="Name a folder to write into")
        self._path = path
        self._overwrite = overwrite
        self._written: list[Path] = []
        self._made = self._read_list()

    @contextmanager
    def file(self, name: str) -> Iterator[Path]:
        """Give the path to write to; the file takes its name when all went well.

        Raises
        ------
        StoreError
            A file of that name is there that no export made, or that was changed since.
        StorageError
            The file system refused a write.
        """
        target = self._path / name
        if target.exists() and not self._overwrite and self._made.get(name) != _state(target):
            raise StoreError(
                "this file was not made by an export, or was changed since",
                where=target,
                remedy="Name another folder, or move the file away",
            )
        partial = target.with_name(f".partial-{os.getpid()}-{name}")
        try:
            self._path.mkdir(parents=True, exist_ok=True)
            yield partial
            partial.replace(target)
        except OSError as error:
            raise StorageError(
                f"can't be written: {error.strerror or error}", where=target, remedy="Name another folder"
            ) from error
        finally:
            partial.unlink(missing_ok=True)
        self._made[name] = _state(target)
        self._written.append(target)
        (self._path / _LIST).write_text(json.dumps(self._made))

    @property
    def written(self) -> list[Path]:
        """The files written so far."""
        return list(self._written)

    def _read_list(self) -> dict[str, list[int]]:
        try:
            made = json.loads((self._path / _LIST).read_text())
        except (OSError, ValueError):
            return {}
        return made if isinstance(made, dict) else {}


def _state(file: Path) -> list[int]:
    status = file.stat()
    return [status.st_size, status.st_mtime_ns]
