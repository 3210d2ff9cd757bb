"""MRC of every mode, byte order and age gives the pixels and the pixel size that its header states."""

from __future__ import annotations

import struct
from typing import Any
from warnings import catch_warnings

import numpy as np
import pytest
from refusals import refused

from stemdask.errors import InputError
from stemdask.sources.images.source import ImageSource
from stemdask.sources.opening import open_source

IMOD, IMOD_FLAGS = 39, 40
SPACE_GROUP, VERSION = 23, 28
LOWEST, HIGHEST = 20, 21


def pixels_of(source: ImageSource) -> Any:
    return np.array([source.read(k).pixels for k in range(source.n_frames)])


@pytest.fixture
def numbers() -> Any:
    """Three frames of 10 × 9 integers from -128 to 127, whose bytes are odd in number and differ when swapped."""
    return np.random.default_rng(1).integers(-128, 128, (3, 10, 9))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", ["i1", "i2", "f4", "u2", "f2"])
@pytest.mark.parametrize("extended", [b"", bytes(80), b"\x7f" * 131_072])
def test_every_mode_reads_alike(dtype: str, order: str, extended: bytes, numbers: Any, write_mrc: Any) -> None:
    stack = (numbers + 128 if dtype == "u2" else numbers).astype(dtype)
    source = open_source(write_mrc("s.mrc", stack, order=order, extended=extended))
    np.testing.assert_array_equal(pixels_of(source), stack)
    assert source.pixel_size == pytest.approx((0.02, 0.02))
    assert not source.warnings


@pytest.mark.parametrize(
    ("header", "signed"),
    [
        ({"ints": {IMOD: 1146047817, IMOD_FLAGS: 1}}, True),
        ({"ints": {IMOD: 1146047817, IMOD_FLAGS: 0}}, False),
        ({"floats": {LOWEST: -128, HIGHEST: 127}, "ints": {VERSION: 0}}, True),
        ({"floats": {LOWEST: 0, HIGHEST: 255}, "ints": {VERSION: 0}}, False),
        ({"floats": {LOWEST: 0, HIGHEST: -1}}, True),
    ],
)
def test_bytes_have_a_sign_where_the_header_says_so(
    header: dict[str, Any], signed: bool, numbers: Any, write_mrc: Any
) -> None:
    stack = numbers.astype("i1") if signed else (numbers + 128).astype("u1")
    source = open_source(write_mrc("s.mrc", stack, **header))
    np.testing.assert_array_equal(pixels_of(source), stack)
    assert not source.warnings


def test_bytes_of_which_nothing_tells_the_sign_are_said(numbers: Any, write_mrc: Any) -> None:
    source = open_source(write_mrc("s.mrc", numbers.astype("i1"), ints={VERSION: 0}))
    assert ["-128 to 127" in warning for warning in source.warnings] == [True]


def test_without_a_machine_stamp_the_header_tells_the_byte_order(images: Any, write_mrc: Any) -> None:
    for order in "<>":
        path = write_mrc("s.mrc", images, order=order)
        content = bytearray(path.read_bytes())
        content[212:216] = bytes(4)
        path.write_bytes(content)
        np.testing.assert_array_equal(pixels_of(open_source(path)), images)


def test_files_of_before_the_format_had_a_signature_are_read(images: Any, write_mrc: Any) -> None:
    for order in "<>":
        path = write_mrc("s.mrc", images, order=order)
        content = bytearray(path.read_bytes())
        content[208:216] = b"\x00\x11\x44\x00" * 2
        path.write_bytes(content)
        np.testing.assert_array_equal(pixels_of(open_source(path)), images)


@pytest.mark.parametrize("harm", [slice(12, 16), slice(64, 68), slice(72, 76), slice(0, 4)])
def test_what_has_neither_signature_nor_sense_is_refused(images: Any, write_mrc: Any, harm: slice) -> None:
    path = write_mrc("s.mrc", images)
    content = bytearray(path.read_bytes())
    content[208:216] = bytes(8)
    content[harm] = bytes(3) + b"\x80"
    path.write_bytes(content)
    with pytest.raises(InputError, match="doesn't match the suffix"):
        open_source(path)


@pytest.mark.parametrize("floats", [{11: 0.0, 12: 0.0, 13: 0.0}, {12: 0.0}, {11: -2.4}, {11: float("nan")}])
def test_a_cell_without_extent_is_no_calibration(floats: dict[int, float], images: Any, write_mrc: Any) -> None:
    source = open_source(write_mrc("s.mrc", images, floats=floats))
    assert not source.calibrated
    assert source.pixel_size == (1.0, 1.0)
    assert "pixel size of the file is" in source.warnings[0]


def test_a_cell_without_samples_is_no_calibration(images: Any, write_mrc: Any) -> None:
    assert not open_source(write_mrc("s.mrc", images, ints={8: 0, 9: 0, 10: 0})).calibrated


def test_pixels_are_as_long_along_each_axis_as_the_cell_says(images: Any, write_mrc: Any) -> None:
    cell = {11: 12 * 0.3, 12: 16 * 0.2, 50: 5.0, 51: 7.0}
    source = open_source(write_mrc("s.mrc", images, floats=cell))
    assert source.pixel_size == pytest.approx((0.02, 0.03))
    assert source.offset == pytest.approx((0.7, 0.5))
    turned = {17: 2, 18: 1, 8: 16, 9: 12}  # columns run along the y of the cell
    cell = {11: 16 * 0.2, 12: 12 * 0.3}
    assert open_source(write_mrc("s.mrc", images, ints=turned, floats=cell)).pixel_size == pytest.approx((0.02, 0.03))


def test_a_part_of_a_volume_keeps_the_pixel_size_of_the_whole(images: Any, write_mrc: Any) -> None:
    source = open_source(write_mrc("s.mrc", images, ints={8: 1200, 9: 1600}, floats={11: 240.0, 12: 320.0}))
    assert source.pixel_size == pytest.approx((0.02, 0.02))


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_pixel_size_in_the_extended_header_of_fei_is_read(order: str, images: Any, write_mrc: Any) -> None:
    extended = bytearray(131_072)
    struct.pack_into(order + "f", extended, 44, 2.5e-11)
    path = write_mrc("s.mrc", images, order=order, voxel=1.0, extended=bytes(extended))
    assert open_source(path).pixel_size == pytest.approx((0.025, 0.025))


def test_sections_of_a_volume_are_said_to_be_read_as_frames(images: Any, write_mrc: Any) -> None:
    for space_group in (1, 401):
        source = open_source(write_mrc("s.mrc", images, ints={SPACE_GROUP: space_group}))
        assert source.n_frames == 5
        assert "a volume: its 5 sections are read as frames" in source.warnings[0]
    assert not open_source(write_mrc("s.mrc", images[:1], ints={SPACE_GROUP: 1})).warnings


def test_frames_beyond_those_that_are_declared_are_said(images: Any, write_mrc: Any) -> None:
    source = open_source(write_mrc("s.mrc", images, ints={3: 2}))
    np.testing.assert_array_equal(pixels_of(source), images[:2])
    assert "declares 2 frames, but has the bytes of 5: the last 3 are left out" in source.warnings[0]


def test_stacks_may_have_the_suffix_of_stacks(images: Any, write_mrc: Any) -> None:
    np.testing.assert_array_equal(pixels_of(open_source(write_mrc("s.mrcs", images))), images)


@pytest.mark.parametrize("mode", [3, 4, 16, 101, 99, -1])
def test_modes_that_are_no_intensities_are_refused_in_words(mode: int, images: Any, write_mrc: Any) -> None:
    words = {3: "complex", 4: "complex", 16: "colour", 101: "4 bits a pixel"}.get(mode, "unknown")
    message = refused(write_mrc("s.mrc", images, ints={4: mode}), f"mode {mode}")
    assert words in message
    assert "Save the frames as" in message


def test_headers_that_promise_too_much_are_refused(write_mrc: Any) -> None:
    frame = np.zeros((1, 16, 16), np.float32)
    for word, value in [(1, 10**6), (1, -5), (2, 0), (3, 6), (3, 10**9), (24, 2**31 - 1), (24, -1)]:
        refused(write_mrc("bad.mrc", frame, ints={word: value}), "declares")


def test_reading_one_frame_does_not_read_the_file(write_mrc: Any) -> None:
    import tracemalloc

    source = open_source(write_mrc("s.mrc", np.zeros((200, 128, 128), np.float32)))
    source.read(0)
    tracemalloc.start()
    source.read(100)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1e6  # the file has 13 MB


def test_rosettasciio_reads_the_same_pixels(images: Any, write_mrc: Any) -> None:
    from rsciio.mrc import file_reader

    path = write_mrc("s.mrc", images)
    with catch_warnings(action="ignore"):  # it leaves the file open
        (signal,) = file_reader(str(path))
    np.testing.assert_array_equal(pixels_of(open_source(path)), signal["data"])
    assert open_source(path).pixel_size == pytest.approx([axis["scale"] for axis in signal["axes"][1:]])
