"""From a plan to an empty store: groups, arrays, chunks, checksums and what each variable means."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import zarr
from zarr.codecs import Crc32cCodec, ZstdCodec

from stemdask._version import __version__
from stemdask.analyses import chain
from stemdask.errors import StemdaskError, StoreError
from stemdask.model import RAGGED, Array, FrameStatus, Plan, Variable
from stemdask.sources.atoms.source import AtomsSource
from stemdask.sources.images.source import ImageSource
from stemdask.store import checksums, metadata
from stemdask.store.metadata import run_directory as run_directory

#: A chunk is one block of frames, whole along the other dimensions up to this size.
MAX_CHUNK_BYTES = 256 * 2**20

#: The coordinate of all that has a value per frame; at the root, so that every group inherits it.
FRAME = Variable("frame", ("frame",), "int32", "1", "number of the frame, counted from 0", stage="prepare")
STATUS, FILE, TIME = "frames/frame_status", "frames/file", "frames/time"
ERROR = "frames/error"
INPUT_HASH = "frames/input_hash"
#: One number for each variable of each block, over what it is, where it stands and its values.
CHECKSUMS = "blocks/checksum"
#: Attribute of the root: the hash of each analysis, its parameters and all that it reads.
ANALYSIS_HASH = "analysis_hash"
#: Attributes of the root: the folder from which relative paths of the input start, and the way there from the store's.
INPUT_DIRECTORY, INPUT_FROM_STORE = "input_directory", "input_directory_from_store"
#: What a machine did, not what it found; differs from run to run.
VOLATILE = ("frames/seconds", "frames/worker", CHECKSUMS)

CONVENTIONS = "CF-1.11"
REFERENCES = (
    "Dask: Rocklin 2015, doi:10.25080/Majora-7b98e3ed-013; "
    "xarray: Hoyer & Hamman 2017, doi:10.5334/jors.148; zarr v3 specification, zarr-specs.readthedocs.io"
)

_WRITE_ALL: Any = {"write_empty_chunks": True}  # otherwise a chunk of fill values is deleted, and looks not done
_UNCALIBRATED = {
    "nm": "pixel",
    "nm^2": "pixel^2",
    "1/nm": "1/pixel",
    "pm": "millipixel",
    "pm^2": "millipixel^2",
}


def plan_file(store: str | Path) -> Path:
    """Return the file through which the driver tells its workers the plan of a store."""
    return run_directory(store) / "plan.json"


def count_of(dim: str) -> str:
    """Return the path of the true length of a ragged dimension in each frame."""
    return f"frames/n_{dim}s"


def frame_variables(plan: Plan) -> tuple[Variable, ...]:
    """Return the variables of ``/frames``, which every run has."""
    dims = ("frame",)
    flags = {int(status): status.name.lower() for status in FrameStatus}
    found = [
        Variable(STATUS, dims, "int8", "1", "what became of the frame", flags=flags),
        Variable(FILE, dims, "string", "1", "file that holds the frame"),
        Variable(ERROR, dims, "string", "1", "why the frame has no results"),
        Variable("frames/seconds", dims, "float32", "s", "time that the frame took"),
        Variable("frames/worker", dims, "string", "1", "where the frame was analysed"),
        Variable(INPUT_HASH, dims, "uint64", "1", "BLAKE2b hash of what was read of the frame, 0 not known"),
    ]
    if isinstance(plan.source, AtomsSource):
        stated = "first time" in plan.source.facts
        found.append(Variable(TIME, dims, "float64", "1", "time or step, as the file states it", coordinate=stated))
    found += [
        Variable(count_of(dim), dims, "int32", "1", f"number of {dim}s in the frame, -1 unknown")
        for dim in ragged_dims(plan)
    ]
    return tuple(found)


def ragged_dims(plan: Plan) -> tuple[str, ...]:
    """Return the ragged dimensions that the run fills."""
    used = {dim for variable in chain.declared(plan.source.kind, plan.steps, "run") for dim in variable.dims}
    return tuple(dim for dim in RAGGED if dim in used)


def axes(plan: Plan) -> dict[Variable, Array]:
    """Return the coordinates along a dimension of their own name, with their values.

    Those of the frames, and in each group with values per pixel, or per line of the scan, where these lie.
    """
    found: dict[Variable, Array] = {FRAME: np.arange(plan.source.n_frames, dtype=np.int32)}
    if isinstance(plan.source, ImageSource):
        declared = chain.declared(plan.source.kind, plan.steps)
        for axis, name in enumerate("yx"):
            places = plan.source.offset[axis] + np.arange(plan.source.shape[axis]) * plan.source.pixel_size[axis]
            for group in dict.fromkeys(variable.group for variable in declared if name in variable.dims):
                about = f"position of the pixel along {name}"
                found[Variable(f"{group}/{name}", (name,), "float64", "nm", about, stage="prepare")] = places
    return found


def variables(plan: Plan) -> tuple[Variable, ...]:
    """Return every variable of the store but its axes."""
    return frame_variables(plan) + chain.declared(plan.source.kind, plan.steps)


def fill_value(variable: Variable) -> Any:
    """Return what stands where there is no result: NaN, -1, 0 (unsigned and status) or an empty text."""
    if variable.dtype == "string":
        return ""
    if variable.path == STATUS:
        return int(FrameStatus.PENDING)
    kind = np.dtype(variable.dtype).kind
    return {"f": np.nan, "c": np.nan, "i": -1}.get(kind, 0)


def chunks_of(variable: Variable, shape: tuple[int, ...], block_frames: int) -> tuple[int, ...]:
    """Return the chunk: a block along ``frame``, whole along the others, halved where that is too large."""
    chunks = [max(1, n) for n in shape]
    first = 0
    if variable.dims[:1] == ("frame",):
        chunks[0], first = max(1, block_frames), 1
    itemsize = 16 if variable.dtype == "string" else np.dtype(variable.dtype).itemsize
    while np.prod(chunks, dtype=float) * itemsize > MAX_CHUNK_BYTES and max(chunks[first:], default=1) > 1:
        longest = first + int(np.argmax(chunks[first:]))
        chunks[longest] = -(-chunks[longest] // 2)
    return tuple(chunks)


def units_of(variable: Variable, calibrated: bool) -> str:
    """Return the units in which the store holds a variable: pixels in place of nm where there is no pixel size."""
    return variable.units if calibrated else _UNCALIBRATED.get(variable.units, variable.units)


def coordinates_of(variable: Variable, others: Sequence[Variable]) -> list[str]:
    """Return the names of the coordinates of a variable: in its own group, else by their path from the root (CF 2.7).

    Items of a ragged dimension that its own group doesn't place, such as denoised cells, lie where the first group that
    does has them.
    """
    fitting = [other for other in others if other.coordinate and set(other.dims) <= set(variable.dims)]
    own = [other for other in fitting if other.group == variable.group]
    placed = {other.dims for other in own}
    homes = {other.dims: other.group for other in reversed(fitting)}
    elsewhere = [
        other
        for other in fitting
        if other.dims not in placed and other.dims[-1] in ("frame", *RAGGED) and other.group == homes[other.dims]
    ]
    return [other.name for other in own] + [f"/{other.path}" for other in elsewhere]


def attributes_of(variable: Variable, calibrated: bool, others: Sequence[Variable] = ()) -> dict[str, Any]:
    """Return the attributes that say what a variable means, as CF has them.

    Parameters
    ----------
    variable
        The variable.
    calibrated
        Whether the pixel size is known.
    others
        All variables of the store, among which are its coordinates.
    """
    attributes: dict[str, Any] = {"long_name": variable.long_name}
    if variable.dtype != "string":
        attributes["units"] = units_of(variable, calibrated)
    if variable.standard_name is not None:
        attributes["standard_name"] = variable.standard_name
    if variable.standard_name == "depth":
        attributes["positive"] = "down"
    if not variable.coordinate and (coordinates := coordinates_of(variable, others)):
        attributes["coordinates"] = " ".join(coordinates)
    if variable.error is not None:
        group, _, name = variable.error.rpartition("/")
        attributes["ancillary_variables"] = name if group == variable.group else variable.error
    if variable.flags is not None:
        attributes["flag_values"] = list(variable.flags)
        attributes["flag_meanings"] = " ".join("_".join(text.split()) for text in variable.flags.values())
    return attributes


def create_array(root: Any, variable: Variable, shape: tuple[int, ...], plan: Plan, *, overwrite: bool = False) -> Any:
    """Create the array of a variable; a checksum ends its codecs, so that damage can't be read as data."""
    group = root.require_group(variable.group) if variable.group else root
    return group.create_array(
        variable.name,
        shape=shape,
        chunks=chunks_of(variable, shape, plan.block_frames),
        dtype=variable.dtype,
        fill_value=fill_value(variable),
        compressors=[ZstdCodec(), Crc32cCodec()],
        dimension_names=variable.dims,
        attributes=attributes_of(variable, plan.calibrated, variables(plan)),
        config=_WRITE_ALL,
        overwrite=overwrite,
    )


def create(plan: Plan, prepared: Mapping[str, Array], path: Path) -> None:
    """Create the store of a plan at a path where there is nothing yet; all frames are pending.

    Variables of stage `finish` are created when they are written.
    """
    metadata.lay_out(path, create_arrays(plan, prepared, path), Path(plan.store))


def create_arrays(plan: Plan, prepared: Mapping[str, Array], path: Path) -> dict[str, Any]:
    """Create the groups and arrays of a store, whose metadata aren't sealed yet; return the attributes of its root."""
    check_pipeline()
    root = zarr.create_group(path, zarr_format=3)
    known = {"frame": plan.source.n_frames, **plan.sizes}
    constants = {variable.path: _write_axis(root, variable, places, plan) for variable, places in axes(plan).items()}
    for variable in variables(plan):
        if variable.stage == "prepare":
            array = prepared[variable.path]
            made = create_array(root, variable, array.shape, plan)
            made[...] = array
            constants[variable.path] = checksums.once(variable.path, checksums.parts(made))
        elif variable.stage == "run":
            unknown = sorted(set(variable.dims) - set(known))
            if unknown:
                raise StemdaskError(f"{variable.path} has dimensions of unknown length: {', '.join(unknown)}")
            create_array(root, variable, tuple(known[dim] for dim in variable.dims), plan)
    _create_checksums(root, plan)
    return _root_attributes(plan) | {"checksums": constants}


def _write_axis(root: Any, variable: Variable, places: Array, plan: Plan) -> str:
    """Write a coordinate; return its checksum."""
    there = variable.path in root
    array = writable(root, variable.path) if there else create_array(root, variable, places.shape, plan)
    array[...] = places
    return checksums.once(variable.path, checksums.parts(array))


def _create_checksums(root: Any, plan: Plan) -> None:
    paths = [variable.path for variable in variables(plan) if variable.stage == "run"]
    n_blocks = -(-plan.source.n_frames // plan.block_frames)
    root.require_group("blocks").create_array(
        "checksum",
        shape=(n_blocks, len(paths)),
        chunks=(1, len(paths)),
        dtype="uint32",
        fill_value=0,
        compressors=[ZstdCodec(), Crc32cCodec()],
        dimension_names=("block", "variable"),
        attributes={"units": "1", "long_name": "CRC-32 of a variable's path, its block and its values", "paths": paths},
        config=_WRITE_ALL,
    )


def add_missing(plan: Plan) -> None:
    """Create what a store of an earlier version lacks: its axes, and variables of ``/frames``, which aren't known.

    An axis of which no checksum is noted is written again: it was found damaged, or its writer was killed then.
    """
    root = open_group(plan.store, "r+")
    sums = dict(root.attrs.get("checksums", {}))
    again = {variable: places for variable, places in axes(plan).items() if not sums.get(variable.path)}
    missing = [variable for variable in (*again, *frame_variables(plan)) if variable.path not in root]
    sums |= {variable.path: _write_axis(root, variable, places, plan) for variable, places in again.items()}
    for variable in missing:
        if variable not in again:
            shape = (plan.source.n_frames,)
            create_array(root, variable, shape, plan)[...] = np.full(shape, fill_value(variable), variable.dtype)
    if again or missing:
        metadata.update(Path(plan.store), {"checksums": sums}, [variable.path for variable in missing])


def check_pipeline() -> None:
    """Refuse to write through a codec pipeline that tears chunks when its process is killed.

    Raises
    ------
    StoreError
        zarr is set to use ``zarrs``, which writes in place.
    """
    pipeline = str(zarr.config.get("codec_pipeline.path"))
    if pipeline.startswith("zarrs"):
        raise StoreError(
            "this codec pipeline doesn't write atomically",
            where="zarr's codec_pipeline.path",
            value=pipeline,
            remedy="Unset ZARR_CODEC_PIPELINE__PATH",
        )


def fitted(plan: Plan) -> Plan:
    """Return the plan with the lengths and the block of the store that is there."""
    root = open_group(plan.store)
    sizes = dict(plan.sizes)
    for variable in variables(plan):
        if variable.path in root:
            sizes.update(zip(variable.dims, root[variable.path].shape, strict=True))
    return replace(plan, sizes=sizes, block_frames=int(root[STATUS].chunks[0]))


def open_group(path: str | Path, mode: Literal["r", "r+"] = "r") -> Any:
    """Open a store as it is on disk, not as its consolidated metadata remember it.

    Returns
    -------
    zarr.Group
        Untyped, since zarr's types can't tell that what a path names is an array.
    """
    return zarr.open_group(path, mode=mode, zarr_format=3, use_consolidated=False)


class Opened:
    """The arrays of a store by path, each opened once: what is on disk of it is read for every block.

    Parameters
    ----------
    store
        Path of the store.
    """

    def __init__(self, store: str | Path) -> None:
        self._root = open_group(store)
        self._arrays: dict[str, Any] = {}

    def __contains__(self, path: str) -> bool:
        return path in self._arrays or path in self._root

    def __getitem__(self, path: str) -> Any:
        found = self._arrays.get(path)
        if found is None:
            found = self._arrays[path] = self._root[path]
        return found


def made(store: str | Path) -> tuple[int, int]:
    """Return what tells a store from one that was at its path before, whose inode may be used again."""
    status = os.stat(f"{store}/{STATUS}/zarr.json")  # noqa: PTH116
    return status.st_ino, status.st_mtime_ns


def writable(root: Any, path: str) -> Any:
    """Return the array of a variable such that even a chunk of fill values is written: a missing one is damage."""
    return root[path].with_config(_WRITE_ALL)


def set_state(path: str | Path, state: str, event: str | None = None, **attributes: Any) -> None:
    """Set the state and other attributes of a store, and add an event to its history."""
    store = Path(path)
    if event is not None and (before := metadata.attributes(store)):
        attributes["history"] = noted(before["history"], event)
    metadata.update(store, {"state": state, **attributes})


def noted(history: str, event: str) -> str:
    """Return a history with another event at its end."""
    return f"{history}\n{_now()} stemdask {__version__}: {event}"


def _root_attributes(plan: Plan) -> dict[str, Any]:
    now = _now()
    return {
        "Conventions": CONVENTIONS,
        "title": f"Results of {', '.join(step.name for step in plan.steps)}",
        "source": f"stemdask {__version__}",
        "stemdask_version": __version__,
        "config": plan.config,
        "config_as_written": plan.config_as_written,
        "fingerprint": plan.fingerprint,
        ANALYSIS_HASH: dict(plan.analysis_hashes),
        "created": now,
        "history": f"{now} stemdask {__version__}: created",
        "kind": plan.source.kind,
        "state": "running",
        "references": REFERENCES,
        "input_warnings": list(plan.source.warnings),
        **_where_from(plan),
    }


def _where_from(plan: Plan) -> dict[str, str]:
    """Return what relative paths of the input start from: as it is here, and as it is seen from beside the store."""
    here = Path.cwd()
    seen = os.path.relpath(here, Path(plan.store).absolute().parent)
    return {INPUT_DIRECTORY: str(here), INPUT_FROM_STORE: Path(seen).as_posix()}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
