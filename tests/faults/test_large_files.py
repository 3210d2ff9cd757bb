"""Files larger than what may be allocated are read frame by frame; small ones that unpack to as much are refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import psutil
import pytest
import seeds
import tifffile
from numpy.lib import format as npy

from stemdask.engine.run import run
from stemdask.errors import InputError
from stemdask.fence.fence import close_free, lent
from stemdask.kernels.arrays import Array
from stemdask.results import reader
from stemdask.sources import fenced
from stemdask.sources.frame_hash import frame_hash
from stemdask.sources.opening import open_source

pytestmark = pytest.mark.processes

SHAPE = (512, 512)
N_FRAMES = 8192
#: Frames that aren't zero; the file has holes elsewhere, and takes a few MB of the disk.
WRITTEN = (0, N_FRAMES // 2, N_FRAMES - 1)
GIB = 2**30


def _frame(index: int) -> Array:
    return np.random.default_rng(index).uniform(0, 1, SHAPE).astype("<f4")


def _fill(path: Path, head: bytes) -> None:
    with path.open("wb") as file:
        file.write(head)
        for index in WRITTEN:
            file.seek(len(head) + index * _frame(0).nbytes)
            file.write(_frame(index).tobytes())


def _npy(path: Path) -> None:
    with path.open("wb") as file:
        npy.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (N_FRAMES, *SHAPE)})
    _fill(path, path.read_bytes())


def _mrc(path: Path) -> None:
    header = np.zeros(256, "<i4")
    header[:4] = *SHAPE, N_FRAMES, 2
    header[16:19] = 1, 2, 3
    header[52:54] = np.frombuffer(b"MAP \x44\x44\0\0", "<i4")
    _fill(path, header.tobytes())


def _tif(path: Path) -> None:
    pixels = tifffile.memmap(path, shape=(N_FRAMES, *SHAPE), dtype="<f4", bigtiff=True)
    for index in WRITTEN:
        pixels[index] = _frame(index)
    pixels.flush()


def _hspy(path: Path, chunk: tuple[int, ...] | None = (1, *SHAPE)) -> None:
    folder = path.parent / "small"
    folder.mkdir()
    seeds.write(folder, "hspy").rename(path)
    with h5py.File(path, "r+") as file:
        (experiment,) = file["Experiments"].values()
        del experiment["data"]
        for axis, size in enumerate((N_FRAMES, *SHAPE)):
            experiment[f"axis-{axis}"].attrs["size"] = size
        _with_holes(experiment, chunk)


def _hspy_in_one_piece(path: Path) -> None:
    _hspy(path, None)


def _emd_in_one_piece(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.attrs.update(version_major=0, version_minor=2)
        group = file.create_group("data/stack")
        group.attrs["emd_group_type"] = 1
        for number, (name, size) in enumerate(zip("tyx", (N_FRAMES, *SHAPE), strict=True), 1):
            axis = group.create_dataset(f"dim{number}", data=np.arange(size) * 0.02)
            axis.attrs.update(name=name, units="[n_m]")
        _with_holes(group, None)


def _with_holes(group: h5py.Group, chunk: tuple[int, ...] | None) -> None:
    how = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    how.set_layout(h5py.h5d.CONTIGUOUS if chunk is None else h5py.h5d.CHUNKED)
    if chunk is not None:
        how.set_chunk(chunk)
    how.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    how.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    space = h5py.h5s.create_simple((N_FRAMES, *SHAPE))
    data = h5py.Dataset(h5py.h5d.create(group.id, b"data", h5py.h5t.IEEE_F32LE, space, how))
    for index in WRITTEN:
        data[index] = _frame(index)


@pytest.fixture
def helper() -> Iterator[Callable[[], psutil.Process]]:
    """Return the process behind the fence, which has read nothing before."""

    def process() -> psutil.Process:
        with lent() as fence:
            return psutil.Process(fence._fork)

    close_free()
    yield process
    close_free()


def _most_bytes(process: psutil.Process) -> int:
    """Return the most memory that a process had."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


WRITERS = (_npy, _mrc, _tif, _hspy, _hspy_in_one_piece, _emd_in_one_piece)


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__[1:].replace("_", " "))
def test_a_file_of_eight_gib_is_opened_and_read_within_two(
    tmp_path: Path,
    write: Callable[[Path], None],
    helper: Callable[[], psutil.Process],
    record_property: Callable[[str, object], None],
) -> None:
    path = tmp_path / f"large.{write.__name__.split('_')[1]}"
    write(path)
    assert path.stat().st_size > 8 * GIB
    source = fenced.open_source(path)
    assert source.n_frames == N_FRAMES
    assert fenced.hashes(source, WRITTEN) == {index: frame_hash(open_source(path).read(index)) for index in WRITTEN}
    assert (source.read(WRITTEN[1]).pixels == _frame(WRITTEN[1])).all()
    most, spent = _most_bytes(helper()), sum(helper().cpu_times()[:2])
    record_property("figure", f"{path.stat().st_size / GIB:.1f} GiB: {most / 2**20:.0f} MiB, {spent:.1f} s of a core")
    assert most < GIB


@pytest.mark.long
def test_frames_of_a_file_of_eight_gib_are_analysed(toys: None, tmp_path: Path) -> None:
    path = tmp_path / "large.npy"
    _npy(path)
    store = run(
        {
            "input": {"path": str(path), "pixel_size": "0.02 nm", "frames": f"{N_FRAMES - 2}:{N_FRAMES}"},
            "output": str(tmp_path / "o.zarr"),
            "analyses": {"toy": {"factor": 1.0}},
            "cluster": {"kind": "processes", "workers": 2},
        }
    )
    mean = reader.open_results(store)["toy/mean"].to_numpy()
    assert mean == pytest.approx([0, _frame(N_FRAMES - 1)[1:].mean()])


@pytest.mark.long
def test_a_small_file_that_unpacks_to_more_than_may_be_allocated_is_answered(
    tmp_path: Path, helper: Callable[[], psutil.Process], record_property: Callable[[str, object], None]
) -> None:
    path, tile, side = tmp_path / "small.tif", np.zeros((2048, 2048), np.float32), 13 * 2048
    tifffile.imwrite(
        path, (tile for _ in range(13**2)), shape=(side, side), dtype="f4", tile=tile.shape, compression="zlib"
    )
    size = path.stat().st_size / 2**20
    assert size < 4
    with pytest.raises(InputError, match=r"small\.tif: .*memory") as caught:
        fenced.open_source(path)
    assert caught.value.exit_code == 4
    most, spent = _most_bytes(helper()), sum(helper().cpu_times()[:2])
    record_property("figure", f"{size:.1f} MiB that unpack to 2.6 GiB: {most / 2**20:.0f} MiB, {spent:.1f} s of a core")
    assert most < 2.5 * GIB
    assert spent < 10
