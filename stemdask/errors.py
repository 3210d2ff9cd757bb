"""The errors stemdask raises on purpose: each says what, where, the value, what is allowed and the remedy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class StemdaskError(Exception):
    """A failure that a user can act on; shown as sentences, never as a traceback.

    Parameters
    ----------
    what
        What is wrong, as a sentence without its full stop.
    where
        File, config key or frame that it concerns.
    value
        The offending value.
    allowed
        What would have been accepted.
    remedy
        What to do now, as an imperative sentence.
    """

    exit_code = 1

    def __init__(
        self,
        what: str,
        *,
        where: object = None,
        value: object = None,
        allowed: object = None,
        remedy: str | None = None,
    ) -> None:
        self.what = what
        self.where = where
        self.value = value
        self.allowed = allowed
        self.remedy = remedy
        super().__init__(self._sentence())

    def _sentence(self) -> str:
        text = f"{self.where}: {self.what}" if self.where is not None else self.what
        details = []
        if self.value is not None:
            details.append(f"got {self.value!r}")
        if self.allowed is not None:
            details.append(f"allowed: {self.allowed}")
        if details:
            text += f" ({'; '.join(details)})"
        text = text.rstrip(".") + "."
        return f"{text} {self.remedy.rstrip('.')}." if self.remedy else text

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.__dict__.copy())


class ConfigError(StemdaskError):
    """The configuration can't be used; carries every problem found, not only the first."""

    exit_code = 2

    def __init__(self, what: str, *, problems: Sequence[str] = (), **details: object) -> None:
        self.problems = tuple(problems)
        super().__init__(what, **details)  # type: ignore[arg-type]

    def _sentence(self) -> str:
        return "\n".join([super()._sentence(), *(f"  - {problem}" for problem in self.problems)])


class InputError(StemdaskError):
    """An input file is missing, unreadable or not what it claims to be."""

    exit_code = 4


class DoubtfulPolarity(InputError):
    """Nobody but the user can tell whether the columns of images are bright or dark.

    Parameters
    ----------
    what
        As of any error.
    pixels
        (ny, nx), of a frame to look at.
    details
        As of any error.
    """

    def __init__(self, what: str, pixels: Any, **details: object) -> None:
        self.pixels = pixels
        super().__init__(what, **details)  # type: ignore[arg-type]


class ClusterError(StemdaskError):
    """No cluster, or no workers within the time allowed."""

    exit_code = 5


class StoreError(StemdaskError):
    """The output path can't be used: foreign, locked, damaged or made from other input."""

    exit_code = 2


class StorageError(StemdaskError):
    """The file system refused a write (full, quota, read-only); running again continues."""

    exit_code = 74


class Stopped(StemdaskError):
    """The run was asked to stop and saved its state; running again continues."""

    exit_code = 75


class Busy(StoreError):
    """Another run holds the store; nothing was changed, and a job that is told so doesn't come back by itself."""


class TooManyFailures(StemdaskError):
    """So many frames failed that going on would waste time; what was done is kept."""

    exit_code = 3


class FrameError(StemdaskError):
    """One frame can't be analysed; becomes that frame's status and reason."""


def _rebuild(kind: type[StemdaskError], state: dict[str, object]) -> StemdaskError:
    error = kind.__new__(kind)
    error.__dict__.update(state)
    Exception.__init__(error, error._sentence())
    return error
