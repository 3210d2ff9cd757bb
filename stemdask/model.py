"""The nouns of stemdask: no behaviour, no input or output."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from stemdask.kernels.arrays import Array as Array
from stemdask.kernels.arrays import Floats

Kind: TypeAlias = Literal["images", "atoms"]
Stage: TypeAlias = Literal["prepare", "run", "finish"]

#: Dimensions whose length differs from frame to frame; stored padded to a capacity fixed at planning.
RAGGED = ("column", "cell", "atom", "bond")


class FrameStatus(IntEnum):
    """What became of a frame; stored as ``/frames/frame_status``."""

    PENDING = 0
    OK = 1
    FAILED = 2
    OVERFLOW = 3
    EMPTY = 4


class Params(BaseModel):
    """Base of the parameters of an analysis: frozen, finite numbers only, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True, slots=True)
class Variable:
    """One array of the store, declared once; the check, the attributes and the docs derive from it.

    A variable whose first dimension is ``frame`` and whose stage is ``run`` is returned by the analysis for one
    frame, without that dimension.
    """

    path: str
    """Group and name, such as ``columns/y``."""
    dims: tuple[str, ...]
    dtype: str
    """Of numpy, or "string"; of what isn't stored also "floating": whichever the frame has."""
    units: str
    long_name: str
    error: str | None = None
    """Path of the variable that holds its standard error; becomes ``ancillary_variables``."""
    flags: Mapping[int, str] | None = field(default=None, hash=False)
    """Meaning of each integer value; becomes ``flag_values`` and ``flag_meanings``."""
    stage: Stage = "run"
    stored: bool = True
    """False: handed to later analyses of the same frame, and not kept."""
    trend: bool = False
    """One of the numbers that tell how the frames change: drawn frame after frame."""
    coordinate: bool = False
    """It tells where, when or of what the others are; named by the ``coordinates`` of those with its dimensions."""
    standard_name: str | None = None
    """Of the table of CF, where that has one."""

    @property
    def group(self) -> str:
        """Group of the store that holds it."""
        return self.path.rpartition("/")[0]

    @property
    def name(self) -> str:
        """Name within its group."""
        return self.path.rpartition("/")[2]


class _Results:
    """Results of a frame by the variable that declares them."""

    __slots__ = ()
    results: dict[str, Array]

    def __getitem__(self, variable: Variable) -> Array:
        return self.results[variable.path]

    def __contains__(self, variable: Variable) -> bool:
        return variable.path in self.results

    def get(self, variable: Variable, otherwise: Array) -> Array:
        """Return a result, or something else where no analysis has given it."""
        return self.results.get(variable.path, otherwise)

    def _said(self) -> str:
        groups = sorted({path.partition("/")[0] for path in self.results})
        return f"results: {', '.join(groups)}" if groups else "no results"


@dataclass(frozen=True, slots=True)
class ImageFrame(_Results):
    """One image. Axes are (y, x), y down; position in nm = offset + index × pixel_size."""

    index: int
    pixels: Array
    """(ny, nx), float32 or float64; missing pixels are NaN."""
    pixel_size: tuple[float, float]
    """nm along (y, x); 1 where the file has no calibration."""
    offset: tuple[float, float] = (0.0, 0.0)
    """nm of pixel (0, 0) along (y, x)."""
    calibrated: bool = True
    """False: the pixel size isn't known, and all lengths are in pixels."""
    results: dict[str, Array] = field(default_factory=dict)
    """What ran before on this frame, and what was prepared once, by path."""

    def __repr__(self) -> str:
        (ny, nx), (dy, dx) = self.pixels.shape, self.pixel_size
        unit = "nm" if self.calibrated else "px"
        lines = f"ImageFrame {self.index}: {ny} × {nx} pixels (y, x), {self.pixels.dtype}"
        return f"{lines}\n  {ny * dy:.4g} × {nx * dx:.4g} {unit}, pixel {dy:.4g} × {dx:.4g} {unit}\n  {self._said()}"


@dataclass(frozen=True, slots=True)
class AtomsFrame(_Results):
    """One atomic structure."""

    index: int
    positions: Floats
    """(n, 3), angstrom, (x, y, z)."""
    numbers: NDArray[np.uint8]
    """(n,), atomic numbers."""
    cell: Floats | None = None
    """(3, 3), angstrom, rows are the cell vectors; None for an isolated particle."""
    periodic: tuple[bool, bool, bool] = (False, False, False)
    time: float | None = None
    """Time or step number as the file states it."""
    results: dict[str, Array] = field(default_factory=dict)
    """What ran before on this frame, and what was prepared once, by path."""

    def __repr__(self) -> str:
        from ase.data import chemical_symbols  # ASE takes half a second to import

        counted = zip(*np.unique(self.numbers, return_counts=True), strict=True)
        symbols = dict(enumerate(chemical_symbols))
        elements = ", ".join(f"{count} {symbols.get(number, 'unknown')}" for number, count in counted)
        atoms = f"AtomsFrame {self.index}: {len(self.numbers)} atoms" + (f" ({elements})" if elements else "")
        atoms += f", time {self.time:g}" if self.time is not None else ""
        placed = self.positions[np.isfinite(self.positions).all(axis=1)]
        extent = np.ptp(placed, axis=0) if len(placed) else np.zeros(3)
        size = " × ".join(f"{length:.4g}" for length in extent) + " angstrom (x, y, z)"
        return f"{atoms}\n  {size}, {self._box()}\n  {self._said()}"

    def _box(self) -> str:
        if self.cell is None:
            return "no box"
        edges = " × ".join(f"{length:.4g}" for length in np.linalg.norm(self.cell, axis=1))
        along = [name for name, periodic in zip("abc", self.periodic, strict=True) if periodic]
        return f"box {edges} angstrom, " + (f"periodic along {', '.join(along)}" if along else "not periodic")


Frame: TypeAlias = ImageFrame | AtomsFrame


class Source(Protocol):
    """Frames that can be read one at a time; plain data, so that a task can carry it to another machine."""

    @property
    def kind(self) -> Kind:
        """Whether the frames are images or structures."""
        ...

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        ...

    @property
    def warnings(self) -> Sequence[str]:
        """What is odd about the input, a sentence each."""
        ...

    def read(self, index: int) -> Frame:
        """Read one frame; raise InputError where it can't be read as planned."""
        ...

    def file_of(self, index: int) -> str:
        """Return the file that holds the frame, as the user wrote it."""
        ...

    def identity(self) -> list[Any]:
        """Return what tells these inputs from others: names, sizes and hashes."""
        ...


class Stack(Protocol):
    """The committed results of all frames, as an analysis of scope `finish` sees them."""

    n_frames: int
    blocks: Sequence[slice]
    """Consecutive runs of frames, each one chunk; reading and writing in these keeps memory flat."""

    def read(self, path: str, frames: slice = slice(None)) -> Array:
        """Read a variable, frames first; a missing value is NaN or -1."""
        ...

    def has(self, path: str) -> bool:
        """Tell whether the run holds the variable."""
        ...

    def units(self, variable: Variable) -> str:
        """Return the units in which the store holds a variable; without a pixel size, those of pixels."""
        ...

    def frame(self, index: int) -> Frame:
        """Read the input of one frame again, with its stored results left out."""
        ...

    def write(self, path: str, values: Array, frames: slice | None = None) -> None:
        """Write a declared variable of stage `finish`: whole, or the frames of one block."""
        ...

    def set_attributes(self, group: str, attributes: Mapping[str, Any]) -> None:
        """Set JSON-able attributes of a group."""
        ...

    def write_file(self, path: str, content: bytes) -> None:
        """Write a file beside the store that the config asks for: it is there whole, or as it was before."""
        ...


@dataclass(frozen=True, slots=True)
class Analysis:
    """One analysis: what it is called, what it takes, what it returns, the functions that do it and what it shows.

    `prepare` runs once before (finds parameters for all frames), `run` for every frame on a worker, `finish` once
    after, over the committed store. Each is optional; each returns or writes exactly the variables declared for it.
    """

    name: str
    """The key in the config."""
    kind: Kind
    summary: str
    """One line for the help and the docs."""
    params: type[Params]
    outputs: Callable[..., tuple[Variable, ...]]
    """Declared variables for given params."""
    shows: str | None
    """Module of the figures whose `SHOWS` says how its results are seen, such as ``stemdask.figures.images.columns``;
    None where there is nothing to see, for a reason that stands in the docstring of the analysis."""
    needs: tuple[str, ...] = ()
    """Analyses whose results it reads; added with their defaults where the config leaves them out."""
    after: tuple[str, ...] = ()
    """Analyses whose results it reads where they are part of the run."""
    prepare: Callable[..., Mapping[str, Array]] | None = None
    run: Callable[..., Mapping[str, Array]] | None = None
    finish: Callable[[Stack, Any], None] | None = None
    derives: bool = False
    """`outputs` gets a second argument: what the steps before it declare, by path; for numbers made of any result."""
    repeats: bool = False
    """`run` gets a third argument, which does steps before it on another frame: ``repeat(frame, given, of)`` returns
    what those return that lead to the results `of`, with the results `given` by path in place of their own."""


@dataclass(frozen=True, slots=True)
class Step:
    """An analysis chosen for a run, with its parameters."""

    name: str
    params: Params


@dataclass(frozen=True, slots=True)
class Block:
    """A run of consecutive frames; one chunk along ``frame``, owned by one task."""

    index: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Limits:
    """What one frame may take, and when a run gives up."""

    seconds: float
    memory: int
    """Bytes that the process of a frame may allocate beyond its start."""
    isolate: bool
    max_failed: float
    """Fraction of the frames that may fail before the run stops."""


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a worker must know to do any block of a run."""

    source: Source
    steps: tuple[Step, ...]
    """In the order in which they run."""
    sizes: Mapping[str, int]
    """Length of every dimension known before the run; of a ragged one, its capacity."""
    block_frames: int
    store: str
    limits: Limits
    fingerprint: str
    """Hash of the inputs' identity and the resolved config; a store never mixes two."""
    config: str
    """The resolved config as YAML."""
    config_as_written: str = ""
    """What the user wrote, as YAML."""
    calibrated: bool = True
    """False: the images have no pixel size, and lengths are in pixels."""
    analysis_hashes: Mapping[str, str] = field(default_factory=dict)
    """Of each analysis with its parameters, of all that it reads and of the input."""
    frame_seconds: float = math.inf
    """Time that a frame takes on one core, s, found by trying some; infinite where that isn't known."""
