"""A file that an analysis reads beside its frames: what it holds is part of the identity of a run."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from stemdask.errors import InputError
from stemdask.model import Params

_MAX_BYTES = 100_000_000


class GivenFile(Params):
    """A file by its path, and what it held when the run was planned."""

    path: str = Field(min_length=1)
    """Relative to where the run is started."""
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")
    """Checksum of its content; absent: whatever it holds now."""

    def read(self) -> bytes:
        """Return its content.

        Raises
        ------
        InputError
            It can't be read, or isn't the file of this checksum.
        """
        try:
            with Path(self.path).open("rb") as file:
                content = file.read(_MAX_BYTES + 1)
        except OSError as error:
            raise InputError(f"the file can't be read: {error.strerror}", where=self.path) from None
        if len(content) > _MAX_BYTES:
            raise InputError("the file is too large", where=self.path, allowed=f"{_MAX_BYTES} bytes at most")
        if self.sha256 not in (None, _checksum(content)):
            raise InputError(
                "the file isn't the one that the config names: its content has changed",
                where=self.path,
                remedy="Leave sha256 out of the config to use the file as it is now",
            )
        return content

    def text(self) -> str:
        """Return its content as text; raise InputError where it has none."""
        try:
            return self.read().decode("utf-8-sig")
        except UnicodeDecodeError:
            raise InputError("the file is not text", where=self.path, allowed="UTF-8") from None

    def sealed(self) -> GivenFile:
        """Return the file with the checksum of what it holds now; raise InputError as `read` does."""
        return GivenFile(path=self.path, sha256=_checksum(self.read()))


def _checksum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _path(value: Any) -> Any:
    return {"path": value} if isinstance(value, str) else value


#: Of a params model: written as its path, or as {path, sha256}.
ReadFile = Annotated[GivenFile, BeforeValidator(_path)]


def seal(params: Params) -> Params:
    """Return params in which every file has its checksum.

    Raises
    ------
    InputError
        A file can't be read; `where` is its key.
    """
    sealed = {}
    for name in type(params).model_fields:
        value = getattr(params, name)
        if isinstance(value, GivenFile):
            try:
                sealed[name] = value.sealed()
            except InputError as error:
                raise InputError(f"{error.where}: {error.what}", where=name, remedy=error.remedy) from None
    return params.model_copy(update=sealed) if sealed else params
