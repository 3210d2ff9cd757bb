"""Structures of simulations, databases and tables read as by ASE, known by name and by content, whole or not at all."""

from __future__ import annotations

import bz2
import gzip
import lzma
import shutil
import time
import warnings
from pathlib import Path
from typing import Any

import ase.db
import ase.io
import numpy as np
import pytest
import refusals
from ase import Atoms
from ase.build import bulk

from stemdask import simulate
from stemdask.errors import FrameError, InputError
from stemdask.sources.opening import guess_kind, open_source
from stemdask.sources.packed import unpack


def crystals(n: int = 3) -> list[Atoms]:
    """Tilted cells of two elements, each a little other than the one before."""
    rng = np.random.default_rng(5)
    cell = bulk("PtAu", "rocksalt", a=5.4).repeat((2, 2, 2))
    frames = []
    for _ in range(n):
        atoms = cell.copy()
        atoms.positions += rng.normal(0, 0.05, atoms.positions.shape)
        atoms.positions -= atoms.positions.min(axis=0) - 0.01
        frames.append(atoms[atoms.numbers.argsort(kind="stable")])
    return frames


WRITTEN = {
    "POSCAR": {"format": "vasp"},
    "CONTCAR_relaxed": {"format": "vasp", "direct": True},
    "crystal.vasp": {"format": "vasp"},
    "XDATCAR": {"format": "vasp-xdatcar"},
    "frames.xdatcar": {"format": "vasp-xdatcar"},
    "crystal.gro": {"format": "gromacs"},
    "crystal.cfg": {"format": "cfg"},
    "crystal.json": {"format": "json"},
    "crystal.db": {"format": "db"},
}


def write(path: Path, frames: list[Atoms]) -> Path:
    options = WRITTEN[path.name]
    several = options["format"] in ("vasp-xdatcar", "json", "db")
    with warnings.catch_warnings(action="ignore"):
        if options["format"] in ("json", "db"):
            with ase.db.connect(path, type=options["format"]) as database:
                for atoms in frames:
                    database.write(atoms)
        else:
            ase.io.write(path, frames if several else frames[0], **options)
    return path


def read_by_ase(path: Path) -> list[Atoms]:
    found = ase.io.read(path, ":", format=str(WRITTEN[path.name]["format"]))
    assert isinstance(found, list)
    return found


@pytest.mark.parametrize("name", WRITTEN)
def test_every_format_reads_as_by_ase(name: str, tmp_path: Path) -> None:
    path = write(tmp_path / name, crystals())
    source = open_source(path)
    expected = read_by_ase(path)
    assert source.n_frames == len(expected)
    for k, atoms in enumerate(expected):
        frame = source.read(k)
        np.testing.assert_array_equal(frame.numbers, atoms.numbers)
        np.testing.assert_allclose(frame.positions, atoms.positions, atol=1e-10)
        np.testing.assert_allclose(frame.cell, atoms.cell, atol=1e-10)
        assert frame.periodic == (True, True, True)


@pytest.mark.parametrize("name", WRITTEN)
def test_every_format_is_known_by_its_content_too(name: str, tmp_path: Path) -> None:
    whole = open_source(write(tmp_path / name, crystals()))
    shutil.move(tmp_path / name, tmp_path / "of no known name")
    source = open_source(tmp_path / "of no known name")
    assert source.format == whole.format
    assert source.n_atoms.tolist() == whole.n_atoms.tolist()


@pytest.mark.parametrize("name", WRITTEN)
def test_a_file_cut_at_every_tenth_is_an_error(name: str, tmp_path: Path) -> None:
    path = write(tmp_path / name, crystals(7))  # of which no tenth ends with a frame
    data = path.read_bytes()
    for tenth in range(1, 10):
        path.write_bytes(data[: len(data) * tenth // 10])
        refusals.refused(path, r"\S")


@pytest.mark.parametrize("name", ["XDATCAR", "crystal.gro", "crystal.cfg", "crystal.json"])
@pytest.mark.parametrize(("suffix", "compress"), [(".gz", gzip.open), (".bz2", bz2.open), (".xz", lzma.open)])
def test_text_is_read_compressed_and_cut_off_refused(name: str, suffix: str, compress: Any, tmp_path: Path) -> None:
    plain = write(tmp_path / name, crystals(5))
    packed = tmp_path / f"{name}{suffix}"
    with compress(packed, "wb") as stream:
        stream.write(plain.read_bytes())
    whole, source = open_source(plain), open_source(packed)
    assert source.format == whole.format
    assert source.n_atoms.tolist() == whole.n_atoms.tolist()
    for k in (source.n_frames - 1, 0):  # backwards as well
        np.testing.assert_array_equal(source.read(k).positions, whole.read(k).positions)
    data = packed.read_bytes()
    for tenth in range(1, 10):
        packed.write_bytes(data[: len(data) * tenth // 10])
        refusals.refused(packed, r"\S")


def test_a_compressed_image_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "a.tif.gz").write_bytes(gzip.compress(b"II*\0" + bytes(200)))
    refusals.refused(tmp_path / "a.tif.gz", "only text formats are read compressed.*Unpack it")


@pytest.mark.long
@pytest.mark.parametrize("kind", ["xdatcar", "xyz", "xyz.gz", "dump"])
def test_a_hundred_thousand_frames_are_opened_without_being_read(kind: str, tmp_path: Path) -> None:
    n = 100_000
    atoms = "  0.00000000  0.25000000  0.50000000\n  0.50000000  0.50000000  0.75000000\n"
    head = "made for a test\n 1.0\n 10 0 0\n 0 10 0\n 0 0 10\n Pt\n 2\n"
    frame = {
        "xdatcar": f"Direct configuration= {{:6d}}\n{atoms}",
        "xyz": "2\nstep={}\nPt 0.0 2.5 5.0\nPt 5.0 5.0 7.5\n",
        "dump": "ITEM: TIMESTEP\n{}\nITEM: NUMBER OF ATOMS\n2\nITEM: BOX BOUNDS pp pp pp\n0 10\n0 10\n0 10\n"
        "ITEM: ATOMS id type x y z\n1 1 0.0 2.5 5.0\n2 1 5.0 5.0 7.5\n",
    }[kind.removesuffix(".gz")]
    text = (head if kind == "xdatcar" else "") + "".join(frame.format(k) for k in range(n))
    path = tmp_path / f"long.{kind}"
    path.write_bytes(gzip.compress(text.encode(), 1) if kind.endswith("gz") else text.encode())
    start = time.process_time()
    source = open_source(path)
    opening = time.process_time() - start
    assert source.n_frames == n
    assert len(source.model_dump_json()) < 20_000
    frame_last = source.read(n - 1)
    np.testing.assert_allclose(frame_last.positions, [[0, 2.5, 5], [5, 5, 7.5]])
    assert frame_last.time == n - 1
    assert opening < 10


def test_a_cell_that_changes_has_a_header_for_every_frame(tmp_path: Path) -> None:
    text = ""
    for k in range(3):
        text += f"run\n 1.0\n {10 + k} 0 0\n 0 10 0\n 0 0 10\n Pt Au\n 1 1\nDirect configuration= {k + 1:5d}\n"
        text += " 0.5 0.5 0.5\n 0.9 0.1 0.1\n"
    (tmp_path / "XDATCAR").write_text(text)
    source = open_source(tmp_path / "XDATCAR")
    assert [source.read(k).positions[0, 0] for k in range(3)] == [5, 5.5, 6]
    assert [source.read(k).cell[0, 0] for k in (2, 0)] == [12, 10]
    assert source.read(1).time == 2


@pytest.mark.parametrize(
    ("head", "elements"),
    [
        ("Pt Au\n 1.0\n 9 0 0\n 0 9 0\n 0 0 9\n 1 1\n", ["Pt", "Au"]),
        ("made by hand\n 1.0\n 9 0 0\n 0 9 0\n 0 0 9\n 1 1\n", ["type 1", "type 2"]),
        ("x\n -729\n 1 0 0\n 0 1 0\n 0 0 1\n Pt_pv/6a2f Au\n 1 1 ! two\nSelective dynamics\n", ["Pt", "Au"]),
        ("x\n 3 3 3\n 3 0 0\n 0 3 0\n 0 0 3\n Pt Au\n 1 1\n", ["Pt", "Au"]),
    ],
)
def test_poscars_of_every_age_say_the_same(head: str, elements: list[str], tmp_path: Path) -> None:
    (tmp_path / "POSCAR").write_text(f"{head}Direct\n 0.5 0.5 0.5 T T F\n 0.0 0.0 0.5 F F F\n\n 0.0 0.1 0.2\n 0 0 0\n")
    source = open_source(tmp_path / "POSCAR")
    np.testing.assert_allclose(source.read(0).positions, [[4.5, 4.5, 4.5], [0, 0, 4.5]])
    assert set(source.facts["elements"].split(", ")) == {f"{name} 1" for name in elements}


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (" 1.0\n", " one\n", "second line must be the scale"),
        (" 9 0 0\n", " 9 0\n", "vectors of the cell"),
        ("-1", "0", "plane"),
        (" 1 1\n", " 1 1 1\n", "2 elements, but 3 numbers"),
        (" 1 1\n", " 1 x\n", "number of atoms of each element"),
        (" 1 1\n", " 1 9\n", "cut off: 8 of 10 atom lines"),
        (" 1 1\n", " 1 0\n", "states 1 atoms, and another line of numbers follows"),
        ("Direct", "0.5 0.5", "headed by Direct or Cartesian"),
        ("Pt Au", "Pt Qq", "no chemical elements"),
        ("0.0 0.5\n", "0.0 o.5\n", "number was expected"),
    ],
)
def test_poscars_that_make_no_sense_are_refused(old: str, new: str, reason: str, tmp_path: Path) -> None:
    text = "x\n 1.0\n 9 0 0\n 0 9 0\n 0 0 9\n Pt Au\n 1 1\nDirect\n 0.5 0.5 0.5\n 0.0 0.0 0.5\n"
    if old == "-1":
        text, old = text.replace(" 1.0\n", " -1\n").replace(" 0 9 0\n", " 9 0 0\n"), "zzz"
    (tmp_path / "POSCAR").write_text(text.replace(old, new))
    refusals.refused(tmp_path / "POSCAR", reason)


GRO = (
    "water, t= 2.5\n 3\n    1SOL     OW    1   0.126   1.624   1.679\n    1SOL    HW1    2   0.190   1.661   1.747\n"
    "    2PT     PT1    3   0.177   1.568   1.613\n   1.82060   1.82060   1.82060\n"
)


def test_frames_of_gro_follow_one_another_with_time_and_box(tmp_path: Path) -> None:
    (tmp_path / "t.gro").write_text(GRO + GRO.replace("2.5", "5.0").replace("0.126", "0.226"))
    source = open_source(tmp_path / "t.gro")
    assert [source.read(k).time for k in (0, 1)] == [2.5, 5.0]
    frame = source.read(1)
    assert frame.numbers.tolist() == [8, 1, 78]
    np.testing.assert_allclose(frame.positions[0], [2.26, 16.24, 16.79])
    np.testing.assert_allclose(frame.cell, 18.2060 * np.eye(3))


def test_gro_of_more_digits_and_tilted_boxes_is_read_by_its_points(tmp_path: Path) -> None:
    lines = "".join(
        f"    1PT      PT{k:5d}{x:12.7f}{0.1:12.7f}{-0.25:12.7f}\n" for k, x in enumerate((0.1234567, 1.5), 1)
    )
    (tmp_path / "t.gro").write_text(f"fine\n2\n{lines}2.0 3.0 4.0 0.0 0.0 0.5 0.0 0.25 0.125\n")
    frame = open_source(tmp_path / "t.gro").read(0)
    np.testing.assert_allclose(frame.positions, [[1.234567, 1, -2.5], [15, 1, -2.5]])
    np.testing.assert_allclose(frame.cell, [[20, 0, 0], [5, 30, 0], [2.5, 1.25, 40]])


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (" 3\n", " three\n", "second line of a frame"),
        (" 3\n", " 4\n", "cut off"),
        ("   1.82060   1.82060   1.82060\n", "   1.82060   1.82060\n", "must be its box"),
        ("0.126   1.624   1.679", "0.126 1.624 1.679", "no three coordinates|number was expected"),
        ("0.190", "0.l90", "number was expected"),
    ],
)
def test_gro_that_makes_no_sense_is_refused(old: str, new: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "t.gro").write_text(GRO.replace(old, new, 1))
    refusals.refused(tmp_path / "t.gro", reason)


def test_extended_and_standard_cfg_agree_and_a_deformed_cell_is_refused(tmp_path: Path) -> None:
    head = "Number of particles = 2\nA = 2.0 Angstrom (basic length-scale)\n"
    cell = "".join(f"H0({i},{j}) = {5.0 * (i == j)} A\n" for i in (1, 2, 3) for j in (1, 2, 3))
    (tmp_path / "s.cfg").write_text(f"{head}{cell}195.1 Pt 0.5 0.25 0 0 0 0\n197.0 Au 0 0 0.5 0 0 0\n")
    atoms = "195.1\nPt\n0.5 0.25 0 7.0\n197.0\nAu\n0 0 0.5 8.0\n"
    (tmp_path / "e.cfg").write_text(f"{head}{cell}.NO_VELOCITY.\nentry_count = 4\nauxiliary[0] = q\n{atoms}")
    for name in ("s.cfg", "e.cfg"):
        frame = open_source(tmp_path / name).read(0)
        assert frame.numbers.tolist() == [78, 79]
        np.testing.assert_allclose(frame.positions, [[5, 2.5, 0], [0, 0, 5]])
    (tmp_path / "d.cfg").write_text(f"{head}{cell}eta(1,1) = 0.1\n{atoms}")
    refusals.refused(tmp_path / "d.cfg", "2 atoms are stated|Transform or eta")


@pytest.mark.parametrize(
    "text",
    [
        "element,x,y,z\nPt,1,2,3\nAu,4,5,6\n",
        "# made by hand\n\nz;y;x;symbol;q\n3;2;1;Pt;0\n6;5;4;Au;1\n",
        "# species x y z\nPt 1 2 3\nAu 4e0 5 6\n",
        '"x [nm]"\t"y [nm]"\t"z [nm]"\telement\n0.1\t0.2\t0.3\t78\n0.4\t0.5\t0.6\t79\n',
        "x (pm),y (pm),z (pm),Element\r\n100,200,300,PT\r\n400,500,600,au\r\n",
    ],
)
@pytest.mark.parametrize("suffix", ["csv", "txt"])
def test_tables_are_read_by_the_names_of_their_columns(text: str, suffix: str, tmp_path: Path) -> None:
    (tmp_path / f"t.{suffix}").write_bytes(text.encode())
    source = open_source(tmp_path / f"t.{suffix}")
    frame = source.read(0)
    assert source.n_frames == 1
    assert frame.numbers.tolist() == [78, 79]
    np.testing.assert_allclose(frame.positions, [[1, 2, 3], [4, 5, 6]])


def test_a_table_with_a_column_of_frames_is_a_trajectory(tmp_path: Path) -> None:
    rows = [(k, x) for k in range(3) for x in range(k + 1)]
    (tmp_path / "t.csv").write_text("frame,x,y,z\n" + "".join(f"{k},{x},0,{k}\n" for k, x in rows))
    source = open_source(tmp_path / "t.csv")
    assert source.n_atoms.tolist() == [1, 2, 3]
    np.testing.assert_array_equal(source.read(2).positions, [[0, 0, 2], [1, 0, 2], [2, 0, 2]])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1.0 2.0 3.0\n4.0 5.0 6.0\n", "must name the columns x, y and z"),
        ("x,y\n1,2\n", "must name the columns"),
        ("x,y,z,x\n1,2,3,4\n", "must name the columns"),
        ("x,y,z\n1,2\n", "has 2 columns, the header names 3"),
        ("x,y,z\n1,2,3,4\n", "has 4 columns"),
        ("x,y,z\n1,2,three\n", "no number where a coordinate"),
        ("x [furlong],y,z\n1,2,3\n", "not a unit of length"),
        ("x,y,z\n", "holds no atoms"),
        ("x,y,z\n1,2,3", "end of a line"),
        ("type,x,y,z\n999,1,2,3\n", "no chemical elements"),
    ],
)
def test_tables_that_make_no_sense_are_refused(text: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(text)
    refusals.refused(tmp_path / "t.csv", reason)


def test_rows_of_three_floats_are_positions_and_all_else_of_numpy_images(tmp_path: Path) -> None:
    positions = np.random.default_rng(0).uniform(0, 20, (50, 3))
    np.save(tmp_path / "p.npy", positions)
    np.save(tmp_path / "i.npy", positions.reshape(10, 15)[:, :7])
    source = open_source(tmp_path / "p.npy")
    assert source.kind == "atoms"
    np.testing.assert_array_equal(source.read(0).positions, positions)
    assert source.facts["elements"] == "type 1 50"
    refusals.refused(tmp_path / "i.npy", "too small for an image")
    np.save(tmp_path / "f.npy", positions.reshape(5, 10, 3))
    assert open_source(tmp_path / "f.npy", "atoms").n_atoms.tolist() == [10] * 5
    np.save(tmp_path / "o.npy", np.array([[{}, {}, {}]], object), allow_pickle=True)
    refusals.refused(tmp_path / "o.npy", "Python objects")
    with pytest.raises(InputError, match="Python objects"):
        open_source(tmp_path / "o.npy", "atoms")
    with pytest.raises(InputError, match=r"\(n, 3\)"):
        open_source(tmp_path / "i.npy", "atoms")


def test_databases_without_rows_or_of_other_programs_are_refused(tmp_path: Path) -> None:
    import sqlite3

    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE friends (name TEXT)")
    other.close()
    before = (tmp_path / "other.db").read_bytes()
    refusals.refused(tmp_path / "other.db", "no such table: systems")
    assert (tmp_path / "other.db").read_bytes() == before, "nothing is written into it"
    for text in ('{"ids": [1, 2], "1": {"numbers": [78], "positions": [[0, 0, 0]]}}', "[1, 2]", '{"ids": 3}', "{"):
        (tmp_path / "t.json").write_text(text + "\n")
        refusals.refused(tmp_path / "t.json", "not an ASE database|JSONDecodeError|rows aren't")


def test_rows_of_a_database_that_were_deleted_leave_no_gap(tmp_path: Path) -> None:
    with ase.db.connect(tmp_path / "crystal.db") as database:
        for n in (1, 2, 3):
            database.write(Atoms(f"Pt{n}", np.arange(3.0 * n).reshape(n, 3)))
    with ase.db.connect(tmp_path / "crystal.db") as database:
        database.delete([2])
    source = open_source(tmp_path / "crystal.db")
    assert source.n_atoms.tolist() == [1, 3]
    assert source.read(1).cell is None


def test_settings_and_tables_beside_frames_are_no_frames(tmp_path: Path) -> None:
    (tmp_path / "a.xyz").write_text("1\n\nPt 0 0 0\n")
    for name in ("notes.txt", "metadata.json", "sizes.csv", "settings.cfg"):
        (tmp_path / name).write_text("x y z\n1 2 3\n")
    assert open_source(tmp_path).format == "xyz"
    assert open_source(str(tmp_path / "*")).format == "xyz"
    (tmp_path / "a.xyz").unlink()
    for name in ("notes.txt", "metadata.json", "settings.cfg"):
        (tmp_path / name).unlink()
    assert open_source(tmp_path).format == "table"


def test_a_name_tells_the_kind_before_a_file_is_there() -> None:
    names = ["XDATCAR", "POSCAR.1", "run/CONTCAR", "a.xyz.gz", "POSCARS", "b.tif.gz", "a.npy"]
    assert [guess_kind(name) for name in names] == ["atoms"] * 4 + [None, None, "images"]


def test_types_without_elements_are_told_apart_and_named_when_told(tmp_path: Path) -> None:
    particle = simulate.nanocrystal(12.0).positions
    rows = "".join(f"{k} {1 + k % 2} {x} {y} {z}\n" for k, (x, y, z) in enumerate(particle.tolist(), 1))
    n = len(particle)
    (tmp_path / "t.dump").write_text(
        f"ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n{n}\nITEM: BOX BOUNDS ff ff ff\n-9 9\n-9 9\n-9 9\n"
        f"ITEM: ATOMS id type x y z\n{rows}"
    )
    source = open_source(tmp_path / "t.dump")
    assert source.facts["elements"] == f"type 1 {n // 2}, type 2 {n - n // 2}"
    assert not source.warnings
    named = open_source(tmp_path / "t.dump", elements={"type 1": "Pt", "2": "Au"})
    assert set(named.read(0).numbers.tolist()) == {78, 79}


def test_a_frame_with_a_number_that_is_none_harms_itself_only(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("frame,x,y,z\n0,0,0,0\n1,0,nan,0\n2,0,0,o\n3,0,0,0\n")
    source = open_source(tmp_path / "t.csv")
    assert unpack(source.counts).tolist() == [1] * 4
    with pytest.raises(FrameError, match="not finite"):
        source.read(1)
    with pytest.raises(InputError, match="no number"):
        source.read(2)
    assert len(source.read(3).numbers) == 1
