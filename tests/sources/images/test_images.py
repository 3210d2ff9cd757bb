"""Images of every format give the same frames, with their calibration in nm."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import stemdask as sd
from stemdask.sources.images.source import ImageSource
from stemdask.sources.opening import open_source, source_from


def write_tiff(path: Path, stack: Any, **options: Any) -> Path:
    import tifffile

    tifffile.imwrite(path, stack, **options)
    return path


def write_imagej(path: Path, stack: Any, unit: str = "nm") -> Path:
    return write_tiff(path, stack, imagej=True, resolution=(50, 50), metadata={"unit": unit, "axes": "TYX"})


def write_xarray(path: Path, stack: Any) -> Path:
    coordinates = {d: (d, 0.02 * np.arange(n), {"units": "nm"}) for d, n in zip("yx", stack.shape[1:], strict=True)}
    xr.Dataset({"image": (("frame", "y", "x"), stack)}, coordinates).to_zarr(path, consolidated=False)
    return path


@pytest.fixture
def stack_of(tmp_path: Path, write_dm4: Any, write_ser: Any, write_mrc: Any, write_hspy: Any) -> Callable[..., Path]:
    """Write a stack in a format, with pixels of 0.02 nm where the format can say so."""

    def write(fmt: str, stack: Any) -> Path:
        if fmt == "npy":
            np.save(tmp_path / "stack.npy", stack)
            return tmp_path / "stack.npy"
        if fmt == "emd":
            return write_emd(tmp_path / "stack.emd", stack)
        writers = {
            "dm4": lambda: write_dm4("stack.dm4", stack),
            "ser": lambda: write_ser("stack.ser", stack),
            "mrc": lambda: write_mrc("stack.mrc", stack),
            "hspy": lambda: write_hspy("stack.hspy", stack),
            "tif": lambda: write_imagej(tmp_path / "stack.tif", stack),
            "zarr": lambda: write_xarray(tmp_path / "stack.zarr", stack),
        }
        return writers[fmt]()

    return write


def write_emd(path: Path, stack: Any) -> Path:
    import h5py

    with h5py.File(path, "w") as file:
        file.attrs["version_major"], file.attrs["version_minor"] = 0, 2
        group = file.create_group("data/stack")
        group.attrs["emd_group_type"] = 1
        group["data"] = stack
        for k, (name, unit) in enumerate([("t", "s"), ("y", "[n_m]"), ("x", "[n_m]")], 1):
            axis = group.create_dataset(f"dim{k}", data=0.02 * np.arange(stack.shape[k - 1]))
            axis.attrs["name"], axis.attrs["units"] = name, unit
    return path


@pytest.mark.parametrize("fmt", ["dm4", "ser", "mrc", "hspy", "tif", "zarr", "npy", "emd"])
def test_a_stack_reads_the_same_from_every_format(fmt: str, images: Any, stack_of: Any) -> None:
    source = open_source(stack_of(fmt, images))
    assert (source.n_frames, source.shape) == (5, (16, 12))
    frames = [source.read(k) for k in range(5)]
    np.testing.assert_array_equal([frame.pixels for frame in frames], images)
    assert [frame.index for frame in frames] == list(range(5))
    if fmt != "npy":
        assert source.calibrated
        np.testing.assert_allclose(source.pixel_size, 0.02, rtol=1e-6)
        assert not source.warnings
    else:
        assert not source.calibrated
        assert source.pixel_size == (1.0, 1.0)
        assert "no pixel size" in source.warnings[0]


@pytest.mark.parametrize("dtype", ["float16", "uint8", "uint16", "int16", "int32", "float32", "float64"])
def test_every_number_format_keeps_its_values(dtype: str, tmp_path: Path) -> None:
    stack = np.random.default_rng(0).uniform(0, 100, (2, 9, 10)).astype(dtype)
    np.save(tmp_path / "stack.npy", stack)
    pixels = open_source(tmp_path / "stack.npy").read(1).pixels
    assert pixels.dtype == (np.float64 if dtype in ("int32", "float64") else np.float32)
    np.testing.assert_array_equal(pixels, stack[1])


def test_single_images_in_files_are_frames_in_natural_order(tmp_path: Path, images: Any, write_dm4: Any) -> None:
    for number, frame in zip((1, 2, 10, 20, 100), images, strict=True):
        write_dm4(f"scan_{number}.dm4", frame)
    for path in (tmp_path, str(tmp_path / "scan_*.dm4"), [tmp_path / f"scan_{k}.dm4" for k in (1, 2, 10, 20, 100)]):
        source = open_source(path)
        np.testing.assert_array_equal([source.read(k).pixels for k in range(5)], images)
        assert [Path(source.file_of(k)).stem for k in (1, 2)] == ["scan_2", "scan_10"]


def test_files_with_stacks_are_joined(tmp_path: Path, images: Any, write_mrc: Any) -> None:
    write_mrc("a1.mrc", images[:2])
    write_mrc("a2.mrc", images[2:])
    source = open_source(tmp_path)
    np.testing.assert_array_equal([source.read(k).pixels for k in range(5)], images)
    assert [Path(source.file_of(k)).name for k in range(5)] == ["a1.mrc"] * 2 + ["a2.mrc"] * 3


def test_a_subset_counts_from_its_own_first_frame(tmp_path: Path, images: Any) -> None:
    np.save(tmp_path / "stack.npy", images)
    source = open_source(tmp_path / "stack.npy", frames="1:4")
    assert source.n_frames == 3
    assert source.read(0).index == 0
    np.testing.assert_array_equal(source.read(0).pixels, images[1])
    with pytest.raises(IndexError):
        source.read(3)


@pytest.mark.parametrize(("unit", "factor"), [("nm", 1.0), ("µm", 1e3), ("pm", 1e-3), ("Å", 0.1), ("m", 1e9)])
def test_scale_and_offset_are_converted_to_nm(unit: str, factor: float, images: Any, write_hspy: Any) -> None:
    source = open_source(write_hspy("stack.hspy", images, scale=0.5, units=unit, offset=3.0))
    assert source.pixel_size == pytest.approx((0.5 * factor, 0.5 * factor))
    assert source.offset == pytest.approx((3.0 * factor, 3.0 * factor))
    assert source.read(2).offset == source.offset


@pytest.mark.parametrize("unit", [None, "", "<undefined>", "s"])
def test_a_scale_without_a_length_unit_is_no_calibration(unit: str | None, images: Any, write_hspy: Any) -> None:
    source = open_source(write_hspy("stack.hspy", images, scale=0.0093, units=unit))
    assert not source.calibrated
    assert source.pixel_size == (1.0, 1.0)
    assert "0.0093" in source.warnings[0] or unit in source.warnings[0]


@pytest.mark.parametrize("given", [0.03, "0.03 nm", "0.3 angstrom"])
def test_a_given_pixel_size_overrides_the_file(given: Any, images: Any, write_hspy: Any) -> None:
    source = open_source(write_hspy("stack.hspy", images, scale=0.02, offset=1.0), pixel_size=given)
    assert source.calibrated
    assert source.pixel_size == pytest.approx((0.03, 0.03))
    assert source.offset == pytest.approx((1.5, 1.5))  # the same 50 px


@pytest.mark.parametrize(("unit", "expected"), [("nm", 0.02), ("micron", 20.0), ("\\u00B5m", 20.0)])
def test_units_of_imagej_are_understood(unit: str, expected: float, tmp_path: Path, images: Any) -> None:
    assert open_source(write_imagej(tmp_path / "s.tif", images, unit)).pixel_size == pytest.approx((expected, expected))


def test_tiff_of_digital_micrograph_is_calibrated_as_rosettasciio_reads_it(tmp_path: Path, images: Any) -> None:
    from rsciio.tiff import file_reader

    numbers = {65009: 0.021, 65010: 0.022, 65006: 1.5, 65007: 2.5}
    tags = [(code, 11, 1, value, True) for code, value in numbers.items()]
    tags += [(code, 2, 0, "nm", True) for code in (65003, 65004)]
    path = write_tiff(tmp_path / "s.tif", images[0], extratags=tags, metadata=None)
    (signal,) = file_reader(str(path))
    source = open_source(path)
    assert source.pixel_size == pytest.approx([axis["scale"] for axis in signal["axes"]])
    assert source.offset == pytest.approx([axis["offset"] for axis in signal["axes"]])
    assert source.pixel_size == pytest.approx((0.022, 0.021))


def test_ome_tiff_states_its_pixel_size(tmp_path: Path, images: Any) -> None:
    metadata = {"axes": "TYX", "PhysicalSizeX": 20.0, "PhysicalSizeXUnit": "pm", "PhysicalSizeY": 2e-5}
    source = open_source(write_tiff(tmp_path / "s.ome.tif", images, ome=True, metadata=metadata))
    assert source.pixel_size == pytest.approx((0.02, 0.02))


@pytest.mark.parametrize(
    "options", [{"compression": "zlib"}, {"byteorder": ">"}, {"bigtiff": True}, {"tile": (16, 16)}]
)
def test_tiff_variants_read_alike(options: dict[str, Any], tmp_path: Path, images: Any) -> None:
    source = open_source(write_tiff(tmp_path / "s.tif", images, **options))
    np.testing.assert_array_equal([source.read(k).pixels for k in range(5)], images)


def test_pages_in_series_of_their_own_are_one_stack(tmp_path: Path, images: Any) -> None:
    import tifffile

    with tifffile.TiffWriter(tmp_path / "s.tif") as tiff:
        for frame in images:
            tiff.write(frame, contiguous=False)
    source = open_source(tmp_path / "s.tif")
    np.testing.assert_array_equal([source.read(k).pixels for k in range(5)], images)


@pytest.mark.parametrize("dtype", ["u1", "u2", "i4", "f4"])
def test_series_of_tia_read_as_rosettasciio_reads_them(dtype: str, images: Any, write_ser: Any) -> None:
    from rsciio.tia import file_reader

    path = write_ser("s.ser", images.astype(dtype))
    (signal,) = file_reader(str(path))
    source = open_source(path)
    np.testing.assert_array_equal([source.read(k).pixels for k in range(5)], signal["data"])
    assert source.pixel_size == pytest.approx((0.02, 0.02))


def test_a_series_that_was_stopped_holds_its_valid_frames(images: Any, write_ser: Any) -> None:
    assert open_source(write_ser("s.ser", images, valid=3)).n_frames == 3


@pytest.mark.parametrize("chunks", [(1, 16, 12), (5, 16, 12), (2, 8, 5)])
def test_hspy_reads_alike_whatever_its_chunks(chunks: Any, images: Any, write_hspy: Any) -> None:
    import h5py

    path = write_hspy("s.hspy", images)
    with h5py.File(path, "r+") as file:
        (group,) = file["Experiments"].values()
        del group["data"]
        group.create_dataset("data", data=images, chunks=chunks)
    source = open_source(path)
    np.testing.assert_array_equal([source.read(k).pixels for k in range(5)], images)


def test_of_several_images_in_a_file_the_longest_stack_is_read(images: Any, write_hspy: Any) -> None:
    import h5py

    path = write_hspy("s.hspy", images)
    with h5py.File(path, "r+") as file, h5py.File(write_hspy("t.hspy", images[0, :8, :8] + 7), "r") as other:
        (thumbnail,) = other["Experiments"].values()
        other.copy(thumbnail, file["Experiments"], name="__a_thumbnail__")
    source = open_source(path)
    assert "holds 2 images" in source.warnings[0]
    np.testing.assert_array_equal([source.read(k).pixels for k in range(5)], images)


def test_velox_reads_the_annular_dark_field_of_several_detectors(images: Any, write_velox: Any) -> None:
    phase = np.zeros(images.shape, [("realFloat", "<f4"), ("imagFloat", "<f4")])
    path = write_velox("s.emd", {"BF": images + 1, "DPC": phase, "HAADF": images, "DF2": images - 1})
    source = open_source(path)
    assert source.title == "HAADF"
    assert source.pixel_size == pytest.approx((0.02, 0.02))
    assert "holds 3 images (BF, HAADF, DF2)" in source.warnings[0]
    np.testing.assert_array_equal([source.read(k).pixels for k in range(5)], images)


def test_missing_and_infinite_pixels_are_nan_and_said(tmp_path: Path, images: Any) -> None:
    images[0, 3, 4], images[0, 5, 6] = np.nan, np.inf
    np.save(tmp_path / "stack.npy", images)
    source = open_source(tmp_path / "stack.npy")
    assert np.isnan(source.read(0).pixels).sum() == 2
    assert any("2 pixels that are not finite" in warning for warning in source.warnings)


def test_the_border_of_an_image_that_was_turned_or_shifted_is_missing_and_said(tmp_path: Path) -> None:
    image, _ = sd.simulate.perovskite((100, 120), 14.0, seed=0)
    np.save(tmp_path / "a.npy", np.pad(image.astype(np.float32), ((8, 0), (0, 12))))
    source = open_source(tmp_path / "a.npy")
    assert isinstance(source, ImageSource)
    pixels = source.read(0).pixels
    np.testing.assert_array_equal(pixels[8:, :-12], image.astype(np.float32))
    assert np.isnan(pixels[:8]).all()
    assert np.isnan(pixels[:, -12:]).all()
    n = 8 * 132 + 100 * 12
    assert any(f"{n} pixels that are not finite or a border of one value" in warning for warning in source.warnings)


def test_hot_pixels_are_said_with_what_excludes_them(tmp_path: Path) -> None:
    image, _ = sd.simulate.perovskite((100, 120), 14.0, seed=0)
    image[30, 40] = image[80, 90] = 20 * image.max()
    np.save(tmp_path / "a.npy", image.astype(np.float32))
    [warning] = [said for said in open_source(tmp_path / "a.npy").warnings if "single" in said]
    assert "frame 0 has 2 single pixels that are brighter than all others by far" in warning
    assert "preprocess: {hot_pixels: 6}" in warning


def test_a_source_survives_json_and_pickle(tmp_path: Path, images: Any) -> None:
    np.save(tmp_path / "stack.npy", images)
    source = open_source(tmp_path / "stack.npy")
    for copy in (source_from(source.model_dump(mode="json")), pickle.loads(pickle.dumps(source))):
        assert copy == source
        np.testing.assert_array_equal(copy.read(2).pixels, images[2])


def test_description_is_in_words(images: Any, write_hspy: Any) -> None:
    described = open_source(write_hspy("stack.hspy", images)).describe()
    assert described["frames"] == 5
    assert described["shape"] == "16 × 12 px"
    assert described["pixel size"] == "0.02 nm"
    assert described["field of view"] == "0.32 × 0.24 nm"


def test_open_images_is_lazy_with_coordinates_in_nm(images: Any, write_hspy: Any, monkeypatch: Any) -> None:
    read: list[int] = []
    array = sd.open_images(write_hspy("stack.hspy", images, offset=1.0))
    original = ImageSource.read
    monkeypatch.setattr(ImageSource, "read", lambda self, k: read.append(k) or original(self, k))
    assert array.dims == ("frame", "y", "x")
    assert array.chunks is not None
    assert array.chunks[0] == (1,) * 5
    np.testing.assert_allclose(array.y, 1.0 + 0.02 * np.arange(16))
    np.testing.assert_array_equal(array[3, 2:5, ::2].compute(scheduler="synchronous"), images[3, 2:5, ::2])
    assert read == [3]


def test_coordinates_are_in_pixels_where_nothing_states_their_size(tmp_path: Path, images: Any) -> None:
    np.save(tmp_path / "stack.npy", images)
    for given, units, last in ((None, "pixel", 11.0), (0.02, "nm", 0.22)):
        array = sd.open_images(tmp_path / "stack.npy", pixel_size=given)
        assert array.x.attrs["units"] == units
        assert float(array.x[-1]) == pytest.approx(last)
        assert open_source(tmp_path / "stack.npy", pixel_size=given).read(0).calibrated == (units == "nm")


def test_xarray_opens_images_by_engine(images: Any, write_dm4: Any) -> None:
    path = write_dm4("stack.dm4", images)
    with xr.open_dataset(path, engine="stemdask", chunks={}) as dataset:
        np.testing.assert_array_equal(dataset.image, images)
        assert dataset.image.chunks[0] == (1,) * 5
    with xr.open_dataset(path, engine="stemdask", pixel_size=0.5, drop_variables="image") as dataset:
        assert "image" not in dataset
        assert float(dataset.x[1]) == pytest.approx(0.5)


@pytest.mark.golden
def test_real_images_open_as_their_notes_say(reference: Path) -> None:
    barium_titanate = open_source(reference / "data/BTO_crystal_1.dm4")
    assert (barium_titanate.n_frames, barium_titanate.shape) == (1, (413, 469))
    assert barium_titanate.pixel_size == pytest.approx((0.02966, 0.02966), rel=1e-4)
    assert min(barium_titanate.offset) > 1
    strontium_titanate = open_source(reference / "data/STO_ADF_experimental.hspy")
    assert strontium_titanate.dtype == "float16"
    assert not strontium_titanate.calibrated
    assert "0.00932627" in strontium_titanate.warnings[0]
