"""Bad image files are refused with one InputError that names file and reason, or harm one frame only."""

from __future__ import annotations

import contextlib
import os
import pickle
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import foreign
import h5py
import numpy as np
import PIL.Image
import pytest
import seeds
import tifffile
import xarray as xr
import zarr
from refusals import refused
from rsciio.hspy import file_reader

from stemdask.errors import InputError
from stemdask.sources import formats
from stemdask.sources.images.source import ImageSource
from stemdask.sources.opening import open_source

FORMATS = ["dm4", "ser", "mrc", "hspy", "tif", "npy", "png", "jpg", "bmp"]
OF_ONE_FRAME = ("png", "jpg", "bmp")
HSPY = pytest.param("hspy", marks=pytest.mark.slow)  # HDF5 takes its time; some mutants of it are opened each time


@pytest.fixture
def good(tmp_path: Path, images: Any, write_dm4: Any, write_ser: Any, write_mrc: Any, write_hspy: Any) -> Any:
    """Write a good file of a format."""

    def write(fmt: str) -> Path:
        path = tmp_path / f"good.{fmt}"
        if fmt == "npy":
            np.save(path, images)
        elif fmt == "tif":
            tifffile.imwrite(path, images, imagej=True)
        elif fmt in OF_ONE_FRAME:
            PIL.Image.fromarray(images[0].astype(np.uint8)).save(path)
        else:
            {"dm4": write_dm4, "ser": write_ser, "mrc": write_mrc, "hspy": write_hspy}[fmt](path.name, images)
        return path

    return write


def test_missing_files_and_dangling_links_are_refused(tmp_path: Path) -> None:
    refused(tmp_path / "none.dm4", "no such file")
    refused(tmp_path / "none_*.dm4", "no file found")
    (tmp_path / "link.dm4").symlink_to(tmp_path / "none.dm4")
    refused(tmp_path / "link.dm4", "No such file")
    (tmp_path / "loop.dm4").symlink_to(tmp_path / "loop.dm4")
    refused(tmp_path / "loop.dm4", "symbolic links")


def test_a_link_is_what_it_leads_to_and_another_file_once_it_leads_elsewhere(tmp_path: Path, good: Any) -> None:
    (tmp_path / "other").mkdir()
    first = good("npy").rename(tmp_path / "other" / "first.npy")
    (tmp_path / "link.npy").symlink_to(first)
    source, whole = open_source(tmp_path / "link.npy"), open_source(first)
    np.testing.assert_array_equal(source.read(1).pixels, whole.read(1).pixels)
    np.save(tmp_path / "second.npy", np.load(first))
    (tmp_path / "link.npy").unlink()
    (tmp_path / "link.npy").symlink_to(tmp_path / "second.npy")
    with pytest.raises(InputError, match="changed"):
        source.read(1)


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.tif")
    refused(tmp_path / "pipe.tif", "not a regular file")
    (tmp_path / "device.tif").symlink_to("/dev/zero")
    refused(tmp_path / "device.tif", "not a regular file")


def test_unreadable_files_are_refused(tmp_path: Path, good: Any) -> None:
    path = good("npy")
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    refused(path, "Permission denied")


def test_unknown_suffixes_addresses_and_empty_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "image.jpeg2000").write_bytes(b"x")
    refused(tmp_path / "image.jpeg2000", "suffix")
    (tmp_path / "folder").mkdir()
    refused(tmp_path / "folder", "no file of a known format")
    with pytest.raises(InputError, match="not an address"):
        open_source("postgresql://host/base")


def test_folders_of_several_formats_are_refused(tmp_path: Path, good: Any) -> None:
    good("npy")
    good("mrc")
    refused(tmp_path, "several formats")


@pytest.mark.parametrize("fmt", FORMATS)
def test_empty_files_are_refused(fmt: str, tmp_path: Path) -> None:
    (tmp_path / f"empty.{fmt}").touch()
    refused(tmp_path / f"empty.{fmt}", "0 bytes")


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("content", [b"\0" * 4000, b"a text, not an image\n" * 100, bytes(range(256)) * 20])
def test_other_content_is_refused(fmt: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / f"other.{fmt}").write_bytes(content)
    refused(tmp_path / f"other.{fmt}", "doesn't match the suffix")


def test_content_of_another_format_is_named(tmp_path: Path, good: Any) -> None:
    (tmp_path / "renamed.mrc").write_bytes(good("tif").read_bytes())
    refused(tmp_path / "renamed.mrc", "is a TIFF file, the suffix says .mrc")


@pytest.mark.parametrize("fmt", [HSPY if fmt == "hspy" else fmt for fmt in FORMATS])
def test_no_truncation_loses_a_frame_silently(fmt: str, good: Any, tmp_path: Path) -> None:
    whole = good(fmt).read_bytes()
    cut = tmp_path / f"cut.{fmt}"
    n_frames = 1 if fmt in OF_ONE_FRAME else 5
    for length in np.unique(np.linspace(1, len(whole) - 9, 40).astype(int)):
        cut.write_bytes(whole[:length])
        try:
            source = open_source(cut)
        except InputError:
            continue
        assert source.n_frames == n_frames, f"{length} of {len(whole)} bytes"


@pytest.mark.parametrize("fmt", ["tif", "dm4", HSPY, "mrc", *OF_ONE_FRAME])
def test_flipped_bytes_never_escape_as_another_error(fmt: str, good: Any, tmp_path: Path) -> None:
    whole = good(fmt).read_bytes()
    rng = np.random.default_rng(7)
    for place in rng.integers(0, min(len(whole), 3000), 60):
        damaged = bytearray(whole)
        damaged[place] ^= int(rng.integers(1, 256))
        (tmp_path / f"flipped.{fmt}").write_bytes(damaged)
        try:
            source = open_source(tmp_path / f"flipped.{fmt}")
            for index in range(min(source.n_frames, 5)):
                source.read(index)
        except InputError:
            continue


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_truncated_multipage_tiffs_are_refused_at_any_length(compression: str | None, tmp_path: Path) -> None:
    stack = np.random.default_rng(0).integers(0, 255, (5, 32, 32), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "whole.tif", stack, compression=compression, metadata=None)
    whole = (tmp_path / "whole.tif").read_bytes()
    for length in range(100, len(whole) - 1, len(whole) // 60):
        (tmp_path / "cut.tif").write_bytes(whole[:length])
        refused(tmp_path / "cut.tif", "bytes|cut off|truncated|damaged")


def test_tiff_that_states_more_pixels_than_its_chain_of_pages_has_is_refused(tmp_path: Path, images: Any) -> None:
    path = tmp_path / "short.tif"
    tifffile.imwrite(path, images, compression="zlib")
    with tifffile.TiffFile(path) as tiff:
        last = tiff.pages[3]
        behind = last.offset + 2 + 12 * len(last.tags)
    data = bytearray(path.read_bytes())
    assert struct.unpack_from("<I", data, behind)[0] > behind
    data[behind : behind + 4] = bytes(4)
    path.write_bytes(bytes(data))
    refused(path, "states 960 pixels, 192 are there")


def test_tiff_whose_pages_run_in_a_circle_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "circle.tif"
    tifffile.imwrite(path, np.zeros((8, 8), np.uint8), metadata=None)
    data = bytearray(path.read_bytes())
    (place,) = struct.unpack_from("<I", data, 4)
    (entries,) = struct.unpack_from("<H", data, place)
    struct.pack_into("<I", data, place + 2 + 12 * entries, place)
    path.write_bytes(data)
    refused(path, "circle")


@pytest.mark.parametrize("length", [10**6, 60_000, 0])
def test_tiff_that_declares_other_pixels_than_it_has_is_refused(length: int, tmp_path: Path) -> None:
    path = tmp_path / "liar.tif"
    tifffile.imwrite(path, np.zeros((64, 64), np.uint8), metadata=None)
    with tifffile.TiffFile(path, mode="r+") as tiff:
        for tag in ("ImageWidth", "ImageLength", "RowsPerStrip"):
            tiff.pages.first.tags[tag].overwrite(length)
    refused(path, "memory|bytes|small|reader failed|no image")


def test_a_tiff_page_with_fewer_strips_than_its_length_needs_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "long.tif"
    tifffile.imwrite(path, np.zeros((5, 24, 24), np.uint16), compression="zlib")
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tiff.pages.first.tags["ImageLength"].overwrite(2072)
    refused(path, "a page has 1 of its 87 strips")


def test_images_of_another_size_in_a_tiff_are_told(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        tiff.write(np.ones((3, 24, 24), np.uint16), photometric="minisblack")
        tiff.write(np.ones((8, 8), np.uint16), photometric="minisblack")
    source = open_source(tmp_path / "a.tif")
    assert source.n_frames == 3
    assert any("1 images of another size" in warning for warning in source.warnings)


def test_a_tiff_whose_first_tags_are_zeros_does_not_lose_the_other_pages(tmp_path: Path) -> None:
    """Where the tags end the offset of the next page stands, and behind it what says how many there are."""
    path = tmp_path / "zeros.tif"
    tifffile.imwrite(path, np.zeros((5, 24, 24), np.uint16), compression="zlib")
    data = bytearray(path.read_bytes())
    data[142:206] = bytes(64)
    path.write_bytes(data)
    refused(path, "the tags of page 0 are damaged")


@pytest.mark.parametrize("photometric", ["rgb", "palette"])
def test_colour_tiffs_are_refused_with_a_hint(photometric: str, tmp_path: Path) -> None:
    path = tmp_path / "colour.tif"
    shape = (16, 16, 3) if photometric == "rgb" else (16, 16)
    colormap = np.zeros((3, 256), np.uint16) if photometric == "palette" else None
    pixels = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    tifffile.imwrite(path, pixels, photometric=photometric, colormap=colormap)
    assert "grey" in refused(path, "colour image")


def test_ome_tiff_that_names_other_files_reads_only_itself(tmp_path: Path, images: Any) -> None:
    secret = tmp_path / "secret.tif"
    tifffile.imwrite(secret, np.full((16, 12), 99, np.float32))
    path = tmp_path / "s.ome.tif"
    tifffile.imwrite(path, images, ome=True, metadata={"axes": "TYX"})
    with tifffile.TiffFile(path, mode="r+") as tiff:
        text = tiff.ome_metadata.replace("<TiffData ", '<TiffData FirstT="0" IFD="0" ', 1)
        tiff.pages.first.tags["ImageDescription"].overwrite(
            text.replace("<TiffData", '<TiffData><UUID FileName="secret.tif">urn:uuid:1</UUID></TiffData><TiffData', 1)
        )
    try:
        source = open_source(path)
    except InputError:
        return
    assert 99 not in {float(source.read(k).pixels.max()) for k in range(source.n_frames)}


def test_ome_with_a_bomb_of_entities_is_answered(tmp_path: Path, images: Any) -> None:
    bomb = "".join(f'<!ENTITY b{k} "{f"&b{k - 1};" * 10}">' for k in range(1, 10))
    text = f'<?xml version="1.0"?><!DOCTYPE o [<!ENTITY b0 "boom">{bomb}]><OME><Image ID="0" Name="&b9;"/></OME>'
    tifffile.imwrite(tmp_path / "bomb.ome.tif", images, description=text, metadata=None)
    start = time.process_time()
    with contextlib.suppress(InputError):
        assert open_source(tmp_path / "bomb.ome.tif").n_frames == len(images)
    assert time.process_time() - start < 10


def test_dm4_that_declares_more_than_it_has_is_refused(write_dm4: Any) -> None:
    frame = np.zeros((16, 16), np.float32)
    for dimensions in [(10**6, 10**6), (2**31 - 1, 2**31 - 1), (0, 16), (1, 1)]:
        refused(write_dm4("bad.dm4", frame, dimensions=dimensions), "declares|memory|small|reader failed")


def test_spectra_are_refused(write_dm4: Any, tmp_path: Path) -> None:
    refused(write_dm4("spectra.dm4", np.zeros((20, 20, 64), np.float32), spectra=True), "no image")
    refused(write_dm4("spectrum.dm4", np.zeros(64, np.float32)), "no image")


@pytest.mark.parametrize("units", ["1/nm", "1 / Å", "nm^-1", "mrad"])
def test_diffraction_patterns_are_refused(write_dm4: Any, units: str) -> None:
    refused(write_dm4("pattern.dm4", np.zeros((20, 20), np.float32), units=units), f"no image .* in {re.escape(units)}")


def test_a_reader_that_never_ends_is_given_up(good: Any, monkeypatch: Any) -> None:
    def loop(path: str) -> Any:
        while True:
            pass

    monkeypatch.setattr("stemdask.sources.guard.WAITING_SECONDS", 0.3)
    monkeypatch.setitem(formats.IMAGES, "npy", replace(formats.IMAGES["npy"], open=loop))
    before = signal.getitimer(signal.ITIMER_REAL)[0]
    refused(good("npy"), "takes more than 0.3 s")
    assert (signal.getitimer(signal.ITIMER_REAL)[0] > 0) == (before > 0)


def test_object_arrays_are_never_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "objects.npy"
    np.save(path, np.array([{"a": 1}, None]), allow_pickle=True)
    refused(path, "Python objects")


def test_npy_that_declares_terabytes_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "huge.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": (10**6, 10**6)})
    refused(tmp_path / "huge.npy", "declares")


@pytest.mark.parametrize("dtype", ["complex64", "S4", "datetime64[s]"])
def test_pixels_that_are_no_intensities_are_refused(dtype: str, tmp_path: Path) -> None:
    np.save(tmp_path / "odd.npy", np.zeros((16, 16), dtype))
    refused(tmp_path / "odd.npy", "not intensities")


@pytest.mark.parametrize("shape", [(1, 1), (1, 100), (0, 100), (16,), (0, 16, 16)])
def test_images_too_small_to_analyse_are_refused(shape: tuple[int, ...], tmp_path: Path) -> None:
    np.save(tmp_path / "small.npy", np.zeros(shape))
    refused(tmp_path / "small.npy", "too small|no image|reader failed")


@pytest.mark.parametrize("name", ["stack.npy", "positions.npy", "series.ser", "stack.dm4", "stack.zarr"])
def test_frames_or_atoms_that_a_header_leaves_out_are_told(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    pixels = np.ones((5, 16, 16), np.uint16)
    if name == "series.ser":
        foreign.write_ser(path, pixels, valid=4)
    elif name == "stack.dm4":
        assert open_source(foreign.write_dm4(path, pixels)).warnings == ()
        foreign.write_dm4(path, pixels, dimensions=(16, 16, 4))
    elif name == "stack.zarr":
        zarr.create_array(str(path), data=pixels, chunks=(1, 16, 16))
        assert "aren't read" not in str(open_source(path).warnings)
        header = (path / "zarr.json").read_text()
        (path / "zarr.json").unlink()  # a folder is another one once its list of files was changed
        (path / "zarr.json").write_text(re.sub(r'("shape":\s*\[\s*)5', r"\g<1>4", header, count=1))
    else:
        np.save(path, np.ones((5, 16, 16) if name == "stack.npy" else (25, 3)))
        assert not any("beyond" in one for one in open_source(path).warnings)
        path.write_bytes(path.read_bytes().replace(b"(5, " if name == "stack.npy" else b"(25,", b"(4, "))
    source = open_source(path)
    assert (source.n_frames if source.kind == "images" else source.n_atoms.tolist()) in (4, [4])
    assert any("aren't read" in one or "takes fewer" in one for one in source.warnings)


def test_npz_is_no_input(tmp_path: Path) -> None:
    np.savez(tmp_path / "many.npz", np.zeros((16, 16)))
    refused(tmp_path / "many.npz", "suffix")


def test_a_frame_beyond_the_memory_budget_is_refused(monkeypatch: Any, good: Any) -> None:
    monkeypatch.setattr("stemdask.sources.guard.frame_budget", lambda: 100)
    refused(good("npy"), "memory")
    refused(good("png"), "memory")


def hdf5(path: Path, images: Any, write_hspy: Any) -> h5py.File:
    return h5py.File(write_hspy(path.name, images), "r+")


def test_hdf5_that_leads_to_other_files_is_refused(tmp_path: Path, images: Any, write_hspy: Any) -> None:
    secret = tmp_path / "secret.bin"
    secret.write_bytes(bytes(4096))
    with hdf5(tmp_path / "link.hspy", images, write_hspy) as file:
        file["Experiments/away"] = h5py.ExternalLink(str(secret), "/")
    refused(tmp_path / "link.hspy", "links to")
    with hdf5(tmp_path / "storage.hspy", images, write_hspy) as file:
        file.create_dataset("pixels", (16, 16), "u1", external=[(str(secret), 0, 256)])
    refused(tmp_path / "storage.hspy", "lie in other files")
    with hdf5(tmp_path / "virtual.hspy", images, write_hspy) as file:
        layout = h5py.VirtualLayout((16, 16), "f4")
        layout[:] = h5py.VirtualSource(str(secret), "data", (16, 16))
        file.create_virtual_dataset("pixels", layout)
    refused(tmp_path / "virtual.hspy", "lie in other files")


_RGB = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
#: Pixels that are no intensities, and what is said of them.
_NO_INTENSITIES = {
    "complex": (np.dtype("c8"), r"complex64"),
    "RGB": (_RGB, r"colour image \(RGB\)"),
    "vlen": (h5py.vlen_dtype(np.float32), "lists of changing length instead of pixels"),
    "texts": (h5py.string_dtype(), "texts instead of pixels"),
    "references": (h5py.ref_dtype, "references instead of pixels"),
}


@pytest.mark.parametrize("what", _NO_INTENSITIES)
@pytest.mark.parametrize("fmt", ["hspy", "emd"])
def test_hdf5_pixels_that_are_no_intensities_are_refused_in_words(
    fmt: str, what: str, tmp_path: Path, images: Any, write_hspy: Any
) -> None:
    dtype, said = _NO_INTENSITIES[what]
    path = write_hspy("odd.hspy", images) if fmt == "hspy" else tmp_path / "odd.emd"
    with h5py.File(path, "r+" if fmt == "hspy" else "w") as file:
        if fmt == "hspy":
            group = file["Experiments/made for a test"]
            del group["data"]
        else:
            file.attrs.update(version_major=0, version_minor=2)
            group = file.create_group("data/stack")
            group.attrs["emd_group_type"] = 1
            for k, n in enumerate(images.shape):
                group[f"dim{k + 1}"] = np.arange(n) * 0.02
                group[f"dim{k + 1}"].attrs.update(name="tyx"[k], units="nm")
        group.create_dataset("data", images.shape, dtype, chunks=(1, *images.shape[1:]))
    text = refused(path, said)
    assert "reader failed" not in text
    assert "damaged" not in text


def test_hdf5_by_a_filter_that_is_not_there_is_refused_with_its_number(
    images: Any, tmp_path: Path, write_hspy: Any
) -> None:
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk((1, *images.shape[1:]))
    properties.set_filter(32_100, h5py.h5z.FLAG_OPTIONAL)
    with hdf5(tmp_path / "filtered.hspy", images, write_hspy) as file:
        group = file["Experiments/made for a test"]
        del group["data"]
        space = h5py.h5s.create_simple(images.shape)
        h5py.h5d.create(group.id, b"data", h5py.h5t.NATIVE_FLOAT, space, properties)
    refused(tmp_path / "filtered.hspy", "compressed by filter 32100.*isn't installed")


@pytest.mark.processes
def test_hdf5_that_another_program_writes_is_refused_until_it_is_closed(
    images: Any, tmp_path: Path, write_hspy: Any
) -> None:
    path = write_hspy("written.hspy", images)
    code = f"import h5py; file = h5py.File({str(path)!r}, 'r+'); print('open', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        refused(path, "another program has it open for writing")
        other.communicate(b"\n")
    assert open_source(path).n_frames == len(images)


class _Canary:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("of", ["/Experiments/made for a test", "/Experiments/gone"])
def test_a_model_stored_beside_the_image_is_not_run(images: Any, tmp_path: Path, write_hspy: Any, of: str) -> None:
    """HyperSpy stores functions of a model as pickles, and runs them as it restores it."""
    code = pickle.dumps(_Canary(tmp_path / "canary"))
    with hdf5(tmp_path / "model.hspy", images, write_hspy) as file:
        model = file.create_group("Analysis/models/fit")
        model.attrs["_signal"] = of
        component = model.create_group("_dict/_list_1_components/0")
        component.attrs["_bs__class_dump"] = np.void(code)
    found = file_reader(str(tmp_path / "model.hspy"))
    assert any("fit" in one.get("models", one) for one in found), "rosettasciio takes it for a model"
    np.testing.assert_array_equal(open_source(tmp_path / "model.hspy").read(2).pixels, images[2])
    assert not (tmp_path / "canary").exists()
    pickle.loads(code)
    assert (tmp_path / "canary").exists(), "the canary would have told"


@pytest.mark.parametrize("chunk", [1, 5])
def test_frames_that_the_shape_of_an_hdf5_leaves_out_are_told(chunk: int, images: Any, tmp_path: Path) -> None:
    """The shape stands in the file once for what is there and once for what there is room for."""
    path = tmp_path / "short.hspy"
    seeds.write(tmp_path, "hspy").rename(path)
    with h5py.File(path, "r+") as file:
        (group,) = file["Experiments"].values()
        pixels = group["data"][()]
        del group["data"]
        group.create_dataset("data", data=pixels, chunks=(chunk, *pixels.shape[1:]))
    assert open_source(path).warnings == ()
    shape = b"".join(n.to_bytes(8, "little") for n in pixels.shape)
    whole = path.read_bytes()
    assert whole.count(2 * shape) == 1
    path.unlink()
    path.write_bytes(whole.replace(2 * shape, b"\4" + shape[1:] + shape))
    if chunk == 1:
        refused(path, r"holds 5 chunks, and its shape of \(4, 24, 24\) takes 4")
    else:
        assert "room for (5, 24, 24)" in open_source(path).warnings[0]


def test_hdf5_in_one_piece_is_read_frame_by_frame(images: Any, tmp_path: Path, write_hspy: Any) -> None:
    with hdf5(tmp_path / "whole.hspy", images, write_hspy) as file:
        group = file["Experiments/made for a test"]
        del group["data"]
        group["data"] = images
    foreign.write_velox(tmp_path / "whole.emd", {"HAADF": images})
    with h5py.File(tmp_path / "whole.emd", "r+") as file:
        (group,) = file["Data/Image"].values()
        del group["Data"]
        group["Data"] = images.transpose(1, 2, 0)
    for name in ("whole.hspy", "whole.emd"):
        np.testing.assert_array_equal(open_source(tmp_path / name).read(2).pixels, images[2])


@pytest.mark.parametrize("dtype", ["complex64", np.dtypes.StringDType()])
def test_zarr_without_real_numbers_says_what_it_holds(dtype: Any, tmp_path: Path) -> None:
    zarr.create_array(str(tmp_path / "odd.zarr"), shape=(5, 16, 16), dtype=dtype)
    refused(tmp_path / "odd.zarr", r"holds no image \((complex64|StringDType).* \(5, 16, 16\)")


def test_hdf5_trees_that_never_end_are_refused(tmp_path: Path, images: Any, write_hspy: Any) -> None:
    with hdf5(tmp_path / "deep.hspy", images, write_hspy) as file:
        group = file["/"]
        for _ in range(3000):
            group = group.create_group("g")
    refused(tmp_path / "deep.hspy", "nested")
    with hdf5(tmp_path / "loop.hspy", images, write_hspy) as file:
        file["Experiments/again"] = h5py.SoftLink("/Experiments")
        file["self"] = h5py.SoftLink("/self")
    assert open_source(tmp_path / "loop.hspy").n_frames == 5
    with h5py.File(tmp_path / "hard.hspy", "w") as file:
        group = file.create_group("a")
        group["a"] = group
    refused(tmp_path / "hard.hspy", "nested|no image|reader failed")


def test_hdf5_without_an_image_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "empty.hspy", "w") as file:
        file.create_group("Experiments")
    refused(tmp_path / "empty.hspy", "not a valid hspy file")
    with h5py.File(tmp_path / "other.emd", "w") as file:
        file.create_group("Data/Image")
    refused(tmp_path / "other.emd", "not a supported EMD file")


def test_hdf5_chunks_and_frames_beyond_the_budget_are_refused(tmp_path: Path, write_hspy: Any, images: Any) -> None:
    path = write_hspy("wide.hspy", images)
    with h5py.File(path, "r+") as file:
        (group,) = file["Experiments"].values()
        del group["data"]
        group.create_dataset("data", (1, 10**6, 2 * 10**6), "f4", chunks=(1, 1000, 1000))
    refused(path, "memory")


def test_unallocated_frames_are_said(write_hspy: Any, images: Any) -> None:
    path = write_hspy("hollow.hspy", images)
    with h5py.File(path, "r+") as file:
        (group,) = file["Experiments"].values()
        del group["data"]
        group.create_dataset("data", images.shape, "f4", chunks=(1, 16, 12))
    assert any("none is stored" in warning for warning in open_source(path).warnings)


def test_a_damaged_chunk_harms_its_frame_only(write_hspy: Any, images: Any) -> None:
    path = write_hspy("damaged.hspy", images)
    with h5py.File(path, "r+") as file:
        (group,) = file["Experiments"].values()
        del group["data"]
        data = group.create_dataset("data", images.shape, "f4", chunks=(1, 16, 12), compression="gzip")
        data[...] = images
        place = data.id.get_chunk_info(2).byte_offset
    content = bytearray(path.read_bytes())
    content[place : place + 8] = b"\xff" * 8
    path.write_bytes(content)
    source = open_source(path)
    np.testing.assert_array_equal(source.read(1).pixels, images[1])
    with pytest.raises(InputError, match=r"damaged\.hspy"):
        source.read(2)
    np.testing.assert_array_equal(source.read(3).pixels, images[3])


def test_zarr_with_code_in_its_codecs_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "coded.zarr"
    array = zarr.create_array(path, shape=(2, 16, 16), dtype="f4", chunks=(1, 16, 16), zarr_format=2)
    array[...] = 1.0
    text = (path / ".zarray").read_text()
    (path / ".zarray").write_text(text.replace('"filters": null', '"filters": [{"id": "pickle"}]'))
    refused(path, "pickle|reader failed")


@pytest.mark.parametrize("text", ["", "{", '{"zarr_format": 3}', "[]"])
def test_zarr_with_broken_metadata_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "broken.zarr").mkdir()
    (tmp_path / "broken.zarr/zarr.json").write_text(text)
    refused(tmp_path / "broken.zarr", "reader failed|no image|can't be read")


def test_a_zarr_that_changed_is_opened_anew(tmp_path: Path) -> None:
    path = seeds.write(tmp_path, "zarr")
    assert open_source(path).n_frames == 5
    shutil.rmtree(path)
    zarr.create_array(str(path), data=np.ones((3, 24, 24)), chunks=(1, 24, 24))
    assert open_source(path).n_frames == 3


def test_missing_zarr_chunks_are_counted(tmp_path: Path) -> None:
    array = zarr.create_array(tmp_path / "holes.zarr", shape=(4, 16, 16), dtype="f4", chunks=(1, 16, 16))
    array[:3] = 1.0
    assert any("1 of 4 chunks" in warning for warning in open_source(tmp_path / "holes.zarr").warnings)


def test_a_store_of_results_is_no_input(tmp_path: Path) -> None:
    group = zarr.create_group(tmp_path / "results.zarr")
    group.attrs["stemdask_version"] = "0.1.0"
    refused(tmp_path / "results.zarr", "store of results")
    np.save(tmp_path / "data.npy", np.zeros((2, 16, 16)))
    assert open_source(tmp_path).format == "npy"
    (tmp_path / "readme.txt").touch()
    assert open_source(str(tmp_path / "*")).format == "npy"
    refused(str(tmp_path / "*.zarr"), "no file found")


def test_of_a_store_of_results_the_average_is_an_image_where_it_lies(tmp_path: Path) -> None:
    path = tmp_path / "results.zarr"
    zarr.create_group(path).attrs["stemdask_version"] = "0.1.0"
    nm = {"units": "nm"}
    pixels = np.random.default_rng(1).random((24, 32)).astype(np.float32)
    found = xr.Dataset(
        {"average": (("y", "x"), pixels), "variance": (("y", "x"), 2 * pixels)},
        {"y": ("y", 1 + 0.03 * np.arange(24), nm), "x": ("x", 0.03 * np.arange(32), nm)},
    )
    found.to_zarr(path, group="registration", mode="a", consolidated=False)
    source = open_source(path)
    assert isinstance(source, ImageSource)
    frame = source.read(0)
    np.testing.assert_array_equal(frame.pixels, pixels)
    assert frame.pixel_size == pytest.approx((0.03, 0.03))
    assert frame.offset == pytest.approx((1.0, 0.0))


def test_frames_that_are_no_one_stack_are_refused(tmp_path: Path, write_dm4: Any) -> None:
    write_dm4("f1.dm4", np.zeros((16, 16), np.float32))
    write_dm4("f2.dm4", np.zeros((16, 17), np.float32))
    assert "f2.dm4" in refused(str(tmp_path / "f*.dm4"), "16 × 17 pixels, but .*f1.dm4 has 16 × 16")
    write_dm4("f2.dm4", np.zeros((16, 16), np.float32), scale=0.03)
    refused(str(tmp_path / "f*.dm4"), "pixel size 0.03 nm, but .* has 0.02 nm")
    assert open_source(str(tmp_path / "f*.dm4"), pixel_size=0.02).n_frames == 2


def test_differences_that_do_no_harm_are_said(tmp_path: Path, write_dm4: Any) -> None:
    write_dm4("f1.dm4", np.zeros((16, 16), np.float32))
    write_dm4("f2.dm4", np.zeros((16, 16), np.uint16), origin=5.0)
    warnings = " ".join(open_source(tmp_path).warnings)
    assert "number format" in warnings
    assert "offset" in warnings


def test_the_same_file_twice_is_read_once(good: Any, tmp_path: Path) -> None:
    path = good("npy")
    assert open_source([path, path, str(tmp_path / "*.npy")]).n_frames == 5


@pytest.mark.parametrize("name", ["a blank", "quo'te\"", "new\nline", "pro%cent", "a@b", "-x", "[1]", "é", "e\u0301"])
def test_odd_names_are_only_names(name: str, tmp_path: Path, images: Any) -> None:
    np.save(tmp_path / f"{name}.npy", images)
    assert open_source(tmp_path / f"{name}.npy").n_frames == 5
    assert open_source(tmp_path).n_frames == 5


def test_a_file_replaced_after_planning_fails_its_frames(tmp_path: Path, good: Any, images: Any) -> None:
    path = good("npy")
    source = open_source(path)
    source.read(0)
    written = path.stat().st_mtime_ns
    np.save(path, images + 1)
    with pytest.raises(InputError, match="changed after the run was planned"):
        source.read(1)
    np.save(path, images)
    os.utime(path, ns=(written, written))
    np.testing.assert_array_equal(source.read(1).pixels, images[1])
    path.unlink()
    with pytest.raises(InputError, match="No such file"):
        source.read(1)


def test_a_range_that_chooses_nothing_is_refused(good: Any) -> None:
    with pytest.raises(InputError, match="none of 5"):
        open_source(good("npy"), frames="7:9")


def test_errors_travel_between_processes(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        open_source(tmp_path / "none.dm4")
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_a_file_that_is_written_again_in_its_place_is_read_again(tmp_path: Path) -> None:
    path = seeds.write(tmp_path, "hspy")
    source = open_source(path)
    source.read(0)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="can't be read"):
        open_source(path)
