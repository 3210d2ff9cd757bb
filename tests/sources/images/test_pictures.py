"""Pictures of everyday programs: grey ones are frames in pixels, anything else is refused in words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.BmpImagePlugin
import PIL.Image
import PIL.ImageFile
import PIL.JpegImagePlugin
import PIL.PngImagePlugin
import pytest
import tifffile
from numpy.typing import NDArray
from refusals import refused

import stemdask as sd
from stemdask.errors import InputError
from stemdask.sources.opening import open_source

Pixels = NDArray[Any]


@pytest.fixture
def grey() -> Pixels:
    return np.random.default_rng(3).integers(0, 256, (16, 12), dtype=np.uint8)


def channels(grey: Pixels, n: int, alpha: int = 255) -> Pixels:
    """Repeat a grey image; with an even number the last channel is alpha."""
    repeated = np.repeat(grey[..., None], n, axis=-1)
    if n % 2 == 0:
        repeated[..., -1] = alpha
    return repeated


def saved(path: Path, pixels: Pixels, **options: Any) -> Path:
    PIL.Image.fromarray(pixels).save(path, **options)
    return path


@pytest.mark.parametrize("dtype", ["u1", "u2"])
def test_grey_png_keeps_every_level(dtype: str, write_png: Any) -> None:
    pixels = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (16, 12), dtype=dtype, endpoint=True)
    source = open_source(write_png("a.png", pixels))
    assert (source.n_frames, source.shape, source.dtype) == (1, (16, 12), str(pixels.dtype))
    np.testing.assert_array_equal(source.read(0).pixels, pixels)


@pytest.mark.parametrize("n", [2, 3, 4])
def test_channels_that_say_the_same_are_grey(n: int, grey: Pixels, write_png: Any) -> None:
    np.testing.assert_array_equal(open_source(write_png("a.png", channels(grey, n))).read(0).pixels, grey)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("n", [3, 4])
def test_a_tiff_whose_channels_say_the_same_is_grey_page_by_page(
    n: int, compression: str | None, dtype: type, tmp_path: Path
) -> None:
    pixels = np.random.default_rng(0).integers(0, 200, (3, 16, 12)).astype(dtype)
    values = np.repeat(pixels[..., None], n, axis=-1)
    values[..., 3:] = np.iinfo(dtype).max
    extra = {"extrasamples": ["unassalpha"]} if n == 4 else {}
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb", compression=compression, **extra)
    source = open_source(tmp_path / "a.tif")
    assert (source.n_frames, source.shape, source.dtype) == (3, (16, 12), np.dtype(dtype).name)
    np.testing.assert_array_equal(source.read(2).pixels, pixels[2])
    values[1, 3, 4, 0] += 1
    tifffile.imwrite(tmp_path / "b.tif", values, photometric="rgb", compression=compression, **extra)
    with pytest.raises(InputError, match="in 1 of 192 pixels the channels differ, by up to 1"):
        open_source(tmp_path / "b.tif").read(1)
    if n == 4:
        values[1, 3, 4, 0] -= 1
        values[1, 3, 4, 3] = 0
        tifffile.imwrite(tmp_path / "c.tif", values, photometric="rgb", compression=compression, **extra)
        with pytest.raises(InputError, match="1 of 192 pixels are transparent"):
            open_source(tmp_path / "c.tif").read(1)


def test_a_palette_of_greys_is_grey(grey: Pixels, write_png: Any) -> None:
    inverse = np.repeat(np.arange(256, dtype=np.uint8)[::-1, None], 3, axis=1)
    source = open_source(write_png("a.png", grey, palette=inverse))
    np.testing.assert_array_equal(source.read(0).pixels, 255 - grey)


@pytest.mark.parametrize("n", [3, 4])
def test_colours_are_refused_and_never_averaged(n: int, grey: Pixels, write_png: Any) -> None:
    pixels = channels(grey, n)
    pixels[3, 4, 1], pixels[5, 6, 2] = grey[3, 4] ^ 64, grey[5, 6] ^ 1
    message = refused(write_png("a.png", pixels), "a colour image")
    assert "in 2 of 192 pixels the channels differ, by up to 64" in message
    assert "Save the frames as grey images" in message


def test_a_palette_of_colours_is_refused(grey: Pixels, write_png: Any) -> None:
    palette = np.random.default_rng(0).integers(0, 256, (256, 3), dtype=np.uint8)
    refused(write_png("a.png", grey, palette=palette), "a colour image")


@pytest.mark.parametrize("n", [2, 4])
def test_transparent_pixels_are_refused(n: int, grey: Pixels, write_png: Any) -> None:
    refused(write_png("a.png", channels(grey, n, alpha=254)), "192 of 192 pixels are transparent")


def test_a_level_that_counts_as_transparent_is_refused_where_it_occurs(grey: Pixels, write_png: Any) -> None:
    grey[:], grey[0, :3] = 5, 9
    for pixels in (grey, grey.astype(np.uint16)):
        refused(write_png("a.png", pixels, more={b"tRNS": b"\0\x09"}), "3 of 192 pixels are transparent")
        source = open_source(write_png("b.png", pixels, more={b"tRNS": b"\0\x08"}))
        np.testing.assert_array_equal(source.read(0).pixels, grey)
    refused(write_png("a.png", channels(grey, 3), more={b"tRNS": b"\0\x09" * 3}), "3 of 192 pixels are transparent")
    refused(
        write_png("a.png", grey, palette=np.zeros((256, 3), np.uint8), more={b"tRNS": b"\xff" * 9 + b"\0"}),
        "3 of 192 pixels are transparent",
    )


def test_few_levels_and_cut_levels_are_refused(grey: Pixels, tmp_path: Path, write_png: Any) -> None:
    refused(write_png("a.png", grey, bits=1), "1 bit: 2 levels")
    PIL.Image.fromarray(grey > 99).save(tmp_path / "a.bmp")
    refused(tmp_path / "a.bmp", "1 bit: 2 levels")
    for n in (2, 3, 4):
        pixels = channels(grey.astype(np.uint16), n, 65535)
        refused(write_png("a.png", pixels), "several channels of 16 bits.*Save the frames as grey")


def test_animations_are_refused(tmp_path: Path, grey: Pixels) -> None:
    frames = [PIL.Image.fromarray(frame) for frame in (grey, 255 - grey)]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    refused(tmp_path / "a.png", "animated")


def test_the_resolution_in_print_is_no_pixel_size(tmp_path: Path, grey: Pixels, write_png: Any) -> None:
    half_an_angstrom = (20_000_000_000 - 2**34).to_bytes(4, "big") * 2 + b"\x01"
    paths = [write_png("a.png", grey, more={b"pHYs": half_an_angstrom})]
    paths += [saved(tmp_path / f"a.{suffix}", grey, dpi=(300, 300)) for suffix in ("png", "jpg", "bmp")]
    for path in paths:
        source = open_source(path)
        assert not source.calibrated
        assert source.pixel_size == (1.0, 1.0)
        assert any("no pixel size of the specimen: lengths are in pixels" in warning for warning in source.warnings)
        assert open_source(path, pixel_size="0.2 angstrom").pixel_size == pytest.approx((0.02, 0.02))


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize(
    "options", [{"quality": 95}, {"quality": 95, "progressive": True}, {"restart_marker_blocks": 1}]
)
def test_jpeg_is_read_with_a_warning(mode: str, options: dict[str, Any], tmp_path: Path) -> None:
    y, x = np.mgrid[:64, :48]
    smooth = (120 + 100 * np.sin(y / 9) * np.cos(x / 7)).astype(np.uint8)
    path = tmp_path / "a.jpeg"
    PIL.Image.fromarray(smooth).convert(mode).save(path, **options)
    source = open_source(path)
    assert abs(source.read(0).pixels - smooth).max() < 9
    assert any("JPEG compression changes intensities" in warning for warning in source.warnings)


def test_colour_jpegs_and_bmps_are_refused(tmp_path: Path) -> None:
    pixels = np.zeros((16, 16, 3), np.uint8)
    pixels[:, 8:, 0] = 200
    for suffix in ("jpg", "bmp"):
        refused(saved(tmp_path / f"a.{suffix}", pixels), "a colour image")
    PIL.Image.new("CMYK", (16, 16)).save(tmp_path / "b.jpg")
    refused(tmp_path / "b.jpg", r"a colour image \(CMYK\)")


@pytest.mark.parametrize("mode", ["L", "P", "RGB"])
def test_grey_bmp_keeps_every_level(mode: str, grey: Pixels, tmp_path: Path) -> None:
    PIL.Image.fromarray(grey).convert(mode).save(tmp_path / "a.bmp")
    np.testing.assert_array_equal(open_source(tmp_path / "a.bmp").read(0).pixels, grey)


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp"])
def test_many_pictures_are_a_stack_that_is_decoded_frame_by_frame(
    suffix: str, tmp_path: Path, monkeypatch: Any
) -> None:
    for number in (1, 2, 10, 20, 100):
        saved(tmp_path / f"scan_{number}.{suffix}", np.full((16, 12), number, np.uint8))
    array = sd.open_images(tmp_path)
    decoded: list[Any] = []
    for decoder in (
        PIL.PngImagePlugin.PngImageFile,
        PIL.JpegImagePlugin.JpegImageFile,
        PIL.BmpImagePlugin.BmpImageFile,
    ):
        load = decoder.load
        monkeypatch.setattr(decoder, "load", _noting(decoded, load))
    np.testing.assert_array_equal(array[2].compute(scheduler="synchronous"), np.full((16, 12), 10))
    assert len({id(picture) for picture in decoded}) == 1
    np.testing.assert_array_equal(array.compute(scheduler="synchronous")[:, 0, 0], [1, 2, 10, 20, 100])
    assert sd.open_images(str(tmp_path / f"scan_*.{suffix}")).shape == (5, 16, 12)
    assert sum("no pixel size" in warning for warning in array.attrs["warnings"]) == 1
    assert sum("JPEG" in warning for warning in array.attrs["warnings"]) == (suffix == "jpg")


def _noting(decoded: list[Any], load: Callable[..., Any]) -> Callable[..., Any]:
    def noting(picture: Any) -> Any:
        decoded.append(picture)
        return load(picture)

    return noting


def test_pictures_of_several_shapes_are_refused(tmp_path: Path, grey: Pixels) -> None:
    saved(tmp_path / "f1.png", grey)
    saved(tmp_path / "f2.png", grey.T)
    assert "f2.png" in refused(str(tmp_path / "f*.png"), "12 × 16 pixels, but .*f1.png has 16 × 12")


def test_a_bad_picture_harms_its_frame_only(tmp_path: Path, grey: Pixels) -> None:
    for number in range(4):
        saved(tmp_path / f"f{number}.png", grey)
    saved(tmp_path / "f1.png", np.dstack([grey, grey, 255 - grey]))
    content = (tmp_path / "f2.png").read_bytes()
    (tmp_path / "f2.png").write_bytes(content[:-9])
    refused(tmp_path, r"f2\.png: .*cut off")
    (tmp_path / "f2.png").write_bytes(content)
    source = open_source(tmp_path)
    with pytest.raises(InputError, match=r"f1\.png: a colour image"):
        source.read(1)
    np.testing.assert_array_equal(source.read(2).pixels, grey)


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp"])
def test_a_picture_that_was_cut_off_is_refused_at_any_length(suffix: str, tmp_path: Path, grey: Pixels) -> None:
    whole = saved(tmp_path / f"whole.{suffix}", grey).read_bytes()
    for length in np.unique(np.linspace(3, len(whole) - 1, 60).astype(int)):
        (tmp_path / f"cut.{suffix}").write_bytes(whole[:length])
        refused(tmp_path / f"cut.{suffix}", "cut off|bytes|doesn't match the suffix")


def test_png_with_a_byte_changed_anywhere_is_refused(tmp_path: Path, grey: Pixels) -> None:
    whole = saved(tmp_path / "whole.png", grey).read_bytes()
    rng = np.random.default_rng(5)
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= int(rng.integers(1, 256))
        (tmp_path / "damaged.png").write_bytes(damaged)
        refused(tmp_path / "damaged.png", "checksum|cut off|header|doesn't match the suffix")


def test_damage_is_found_in_files_that_were_not_probed(tmp_path: Path, grey: Pixels, monkeypatch: Any) -> None:
    monkeypatch.setattr("stemdask.sources.images.one_stack.MOST_PROBED", 1)
    for number in range(3):
        content = bytearray(saved(tmp_path / f"f{number}.png", grey).read_bytes())
        content[60] ^= number == 1
        (tmp_path / f"f{number}.png").write_bytes(content)
    source = open_source(tmp_path)
    source.read(2)
    with pytest.raises(InputError, match=r"f1\.png: the chunk at byte 33 doesn't match its checksum"):
        source.read(1)


def test_pictures_that_declare_gigabytes_are_refused_before_they_are_decoded(
    tmp_path: Path, grey: Pixels, write_png: Any, monkeypatch: Any
) -> None:
    png = write_png("a.png", grey, shape=(60_000, 60_000))
    jpeg = bytearray(saved(tmp_path / "a.jpg", grey).read_bytes())
    place = jpeg.index(b"\xff\xc0") + 5
    jpeg[place : place + 4] = b"\xff\xff\xff\xff"
    (tmp_path / "a.jpg").write_bytes(jpeg)
    bmp = bytearray(saved(tmp_path / "a.bmp", grey).read_bytes())
    bmp[18:26] = (50_000).to_bytes(4, "little") * 2
    (tmp_path / "a.bmp").write_bytes(bmp)
    monkeypatch.setattr("stemdask.sources.guard.frame_budget", lambda: 2**30)
    monkeypatch.setattr(PIL.ImageFile.ImageFile, "load", lambda self: pytest.fail("decoded"))
    refused(png, "one frame needs 16.8 GiB of memory")
    refused(tmp_path / "a.jpg", "one frame needs 20 GiB of memory")
    refused(tmp_path / "a.bmp", "one frame needs 11.6 GiB of memory")


@pytest.mark.long
def test_large_pictures_within_the_budget_are_read(write_png: Any) -> None:
    large = np.zeros((8, 11_200_000), np.uint8)  # Pillow warns of 89.5 million pixels
    large[7, -1] = 9
    assert open_source(write_png("a.png", large)).read(0).pixels[7, -1] == 9


@pytest.mark.golden
@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("Grain_boundry_gold_512px.png", 512),
        ("Si110_5nmX25us_03_none_none.png", 512),
        ("03_afterimage_8nm_crp.png", 730),
    ],
)
def test_published_pictures_open(name: str, side: int, reference: Path) -> None:
    source = open_source(reference / "data/gallery" / name)
    assert (source.shape, source.dtype, source.calibrated) == ((side, side), "uint8", False)
    pixels = source.read(0).pixels
    assert pixels.max() == 255
    assert 10 < pixels.std() < 100
