"""Mutants of good files, opened behind the fence: what each became, and what must not be."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from stemdask.errors import InputError
from stemdask.fence.fence import START_SECONDS
from stemdask.sources import fenced
from stemdask.sources.guard import WAITING_SECONDS

#: Seconds within which any file is answered: what the fence gives a reader, and its process to start.
ANSWERED = WAITING_SECONDS + START_SECONDS


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of a mutant."""

    kind: str
    """What it is.

    same, refused, warned, lost (frames or atoms, without a word), stopped (by the clock of the fence, in a sentence),
    crash, multiline, raised or hang (not answered).
    """
    said: str = ""
    seconds: float = 0.0


Counts = tuple[int, tuple[int, ...]]
Mutate = Callable[[random.Random, bytes], bytes]


def flip(choose: random.Random, data: bytes) -> bytes:
    """Flip one bit."""
    at = choose.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << choose.randrange(8))]) + data[at + 1 :]


def cut(choose: random.Random, data: bytes) -> bytes:
    """Cut the end off."""
    return data[: choose.randrange(len(data))]


def smear(choose: random.Random, data: bytes) -> bytes:
    """Overwrite some bytes with others of the file, zeros or ones."""
    at, n = choose.randrange(len(data)), choose.choice((1, 2, 4, 8, 64))
    start = choose.randrange(len(data))
    put = choose.choice((b"\0" * n, b"\xff" * n, data[start : start + n]))
    return data[:at] + put + data[at + len(put) :]


def drop(choose: random.Random, data: bytes) -> bytes:
    """Take some bytes out."""
    at, n = choose.randrange(len(data)), choose.choice((1, 4, 64))
    return data[:at] + data[at + n :]


MUTATIONS: Mapping[str, Mutate] = {"flip": flip, "cut": cut, "smear": smear, "drop": drop}


def mutants(data: bytes, n: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Yield mutants of a file with the names of what was done."""
    choose = random.Random(seed)
    for _ in range(n):
        name = choose.choice(list(MUTATIONS))
        yield name, MUTATIONS[name](choose, data)


def in_place(seed: Path, n: int, number: int) -> Iterator[tuple[str, bytes, Path]]:
    """Yield mutants of a file, or of a file of a folder, each in the place of a copy that lies with what belongs to it.

    Yields what was done, the mutated bytes and what is to be opened.
    """
    folder = seed.parent / "mutants"
    shutil.copytree(seed.parent, folder, ignore=shutil.ignore_patterns("mutants"))
    opened = folder / seed.name
    files = [opened] if opened.is_file() else sorted(path for path in opened.rglob("*") if path.is_file())
    choose = random.Random(number)
    for k in range(n):
        target = choose.choice(files)
        whole = target.read_bytes()
        what = choose.choice(list(MUTATIONS))
        data = MUTATIONS[what](choose, whole)
        target.unlink()  # HDF5 knows files that are open by their inode, and would show what they were
        target.write_bytes(data)
        os.utime(opened, ns=(k, k))  # of a folder, nothing else says that a file in it is another
        yield what, data, opened
        target.write_bytes(whole)


def counts(path: Path) -> tuple[Counts, tuple[str, ...]]:
    """Open a file; return its number of frames and the atoms of each, and the warnings."""
    source = fenced.open_source(path)
    atoms = tuple(source.n_atoms.tolist()) if source.kind == "atoms" else ()
    return (source.n_frames, atoms), source.warnings


def fate(path: Path, whole: Counts, usual: Sequence[str], within: float = ANSWERED) -> Fate:
    """Open a mutant and say what became of it, beside the warnings that the good file has."""
    start = time.monotonic()
    try:
        with _no_longer_than(within):
            found, warnings = counts(path)
    except _NotAnsweredError:
        return Fate("hang", f"not answered in {within:g} s", within)
    except InputError as error:
        spent = time.monotonic() - start
        words = str(error)
        kind = "crash" if "its reader crashed" in words else "stopped" if "takes more than" in words else "refused"
        return Fate("multiline" if "\n" in words else kind, words, spent)
    except Exception as error:  # noqa: BLE001 - what must not be
        return Fate("raised", f"{type(error).__name__}: {error}", time.monotonic() - start)
    spent = time.monotonic() - start
    if found == whole:
        return Fate("same", "", spent)
    return Fate("warned" if len(warnings) > len(usual) else "lost", f"{whole} -> {found}; {warnings}", spent)


class _NotAnsweredError(BaseException):
    """Nobody may take it for an answer."""


@contextmanager
def _no_longer_than(seconds: float) -> Iterator[None]:
    """Raise where what is done within takes longer; the clock of the test, which is the same, goes on after."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise _NotAnsweredError

    start = time.monotonic()
    handler = signal.signal(signal.SIGALRM, ring)
    left, _ = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if left:
            signal.setitimer(signal.ITIMER_REAL, max(left - (time.monotonic() - start), 0.001))
