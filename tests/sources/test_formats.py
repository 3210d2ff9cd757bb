"""A format is one record in one table: nothing else knows of it."""

from __future__ import annotations

import pickle
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stemdask.errors import InputError
from stemdask.sources import formats
from stemdask.sources.atoms.format import AtomsFormat
from stemdask.sources.atoms.frame_index import FrameIndex, FramePlace
from stemdask.sources.atoms.structure import Structure
from stemdask.sources.first_look import FirstLook
from stemdask.sources.images.format import ImageFormat
from stemdask.sources.images.stack import OpenStack, Stack, calibrate
from stemdask.sources.opening import guess_kind, open_source, source_from
from stemdask.sources.paths import find_files

SIGNATURE = b"TOY1"


def open_toy(path: str) -> list[OpenStack]:
    stack = Stack("a toy", (2, 16, 12), np.dtype("u1"), calibrate([{"scale": 0.02, "units": "nm"}] * 2))
    return [OpenStack(stack, lambda k: np.fromfile(path, "u1", 192, offset=4 + 192 * k).reshape(16, 12))]


def index_toy(file: FirstLook) -> FrameIndex:
    n_frames = (file.size - 4) // 24
    return FrameIndex(list(range(n_frames)), list(range(1, n_frames + 1)), [1] * n_frames)


def read_toy(place: FramePlace) -> Structure:
    position = np.fromfile(place.path, "f8", 3, offset=4 + 24 * place.start)
    return Structure(position[None], [b"Pt"], np.zeros(1, int))


TOY_IMAGES = ImageFormat(
    name="toy_images", suffixes=(".toyi",), noun="a toy of images", magic=((0, SIGNATURE + b"\0"),), open=open_toy
)
TOY_ATOMS = AtomsFormat(
    name="toy_atoms",
    suffixes=(".toya",),
    noun="a toy of atoms",
    magic=((0, SIGNATURE),),
    index=index_toy,
    read=read_toy,
)


@pytest.fixture
def toys(monkeypatch: Any) -> None:
    monkeypatch.setitem(formats.IMAGES, TOY_IMAGES.name, TOY_IMAGES)
    monkeypatch.setitem(formats.ATOMS, TOY_ATOMS.name, TOY_ATOMS)


@pytest.mark.usefixtures("toys")
def test_a_format_of_images_needs_its_record_alone(tmp_path: Path) -> None:
    pixels = np.arange(384, dtype="u1").reshape(2, 16, 12)
    (tmp_path / "a.TOYI").write_bytes(SIGNATURE + pixels.tobytes())
    (tmp_path / "other.txt").touch()
    source = open_source(tmp_path)
    assert (source.format, source.n_frames, source.pixel_size) == ("toy_images", 2, (0.02, 0.02))
    for copy in (source, source_from(source.model_dump(mode="json")), pickle.loads(pickle.dumps(source))):
        np.testing.assert_array_equal(copy.read(1).pixels, pixels[1])
    assert guess_kind("*.toyi") == "images"


@pytest.mark.usefixtures("toys")
def test_a_format_of_atoms_needs_its_record_alone(tmp_path: Path) -> None:
    positions = np.arange(9.0).reshape(3, 3)
    (tmp_path / "a.toya").write_bytes(SIGNATURE + positions.tobytes())
    source = open_source(str(tmp_path / "*.toya"), frames="1:")
    assert (source.format, source.n_frames) == ("toy_atoms", 2)
    for copy in (source, source_from(source.model_dump(mode="json")), pickle.loads(pickle.dumps(source))):
        np.testing.assert_array_equal(copy.read(1).positions, positions[2:])
    assert guess_kind("a.toya") == "atoms"


@pytest.mark.usefixtures("toys")
def test_messages_name_a_new_format(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(SIGNATURE + bytes(400))
    with pytest.raises(InputError, match=r"the content is a toy of images, the suffix says \.tif"):
        open_source(tmp_path / "a.tif")
    (tmp_path / "a.toya").write_bytes(SIGNATURE)
    with pytest.raises(InputError, match="Check that it is a toy of atoms and not cut off"):
        open_source(tmp_path / "a.toya")
    (tmp_path / "a.odd").touch()
    with pytest.raises(InputError, match=r"allowed: .*\.npy.*\.toyi.*\.pdb.*\.toya"):
        open_source(tmp_path / "a.odd")


def test_names_and_suffixes_stand_for_one_format_each_or_content_tells() -> None:
    every = [*formats.IMAGES.values(), *formats.ATOMS.values()]
    suffixes = Counter(suffix for fmt in every for suffix in fmt.suffixes)
    names = Counter(fmt.name for fmt in every)
    assert [suffix for suffix, n in suffixes.items() if n > 1] == [".npy"]
    assert all(fmt.looks for fmt in every if ".npy" in fmt.suffixes)
    assert max(names.values()) == 1
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in suffixes)


def test_every_format_has_its_line_in_the_table() -> None:
    folder = Path(formats.__file__).parent
    written = {file.stem for half in ("images", "atoms") for file in (folder / half).glob("*.py") if _is_format(file)}
    assert written == {*formats.IMAGES, *formats.ATOMS}


def _is_format(file: Path) -> bool:
    return "\nFORMAT = " in file.read_text()


def test_a_suffix_of_many_uses_is_left_to_other_engines_of_xarray() -> None:
    from stemdask.sources.xarray_engine import StemdaskBackend

    claims = StemdaskBackend().guess_can_open
    assert [suffix for suffix in formats.suffixes() if suffix.startswith(".") and not claims(f"a{suffix}")] == [
        ".png",
        ".jpg",
        ".jpeg",
        ".bmp",
        ".npy",
        ".zarr",
        ".cfg",
        ".csv",
        ".tsv",
        ".txt",
        ".dat",
        ".json",
        ".db",
        ".ncdf",
        ".nc",
    ]


@pytest.mark.parametrize(
    ("text", "name", "fmt"),
    [
        ("x\ty\tz\n1.0\t2.0\t3.0\n4.0\t5.0\t6.0\n", "particles.xyz", "table"),
        ("ATOM      1 PT   MOL     1       1.000   2.000   3.000  1.00  0.00          PT\n", "frame.xyz", "pdb"),
        ("2\n\nPt 0 0 0\nPt 0 0 2.8\n", "frame.pdb", "xyz"),
        ("2\n\nPt1 0 0 0\nPt2 0 0 2.8\n", "frame.xyz", "xyz"),
        ("nothing of this is a structure\n", "frame.xyz", "xyz"),
    ],
)
def test_the_content_of_a_text_counts_for_more_than_its_name(tmp_path: Path, text: str, name: str, fmt: str) -> None:
    (tmp_path / name).write_text(text)
    assert find_files(tmp_path / name)[:2] == ("atoms", fmt)


def test_text_that_is_called_an_image_is_still_refused_as_one(tmp_path: Path) -> None:
    (tmp_path / "image.tif").write_text("x,y,z\n1,2,3\n")
    with pytest.raises(InputError, match=r"the content is a table with the columns x, y and z, the suffix says \.tif"):
        open_source(str(tmp_path / "image.tif"))
