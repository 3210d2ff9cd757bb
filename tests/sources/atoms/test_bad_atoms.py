"""Bad structure files are refused with one InputError that names file and reason, or harm one frame only."""

from __future__ import annotations

import os
import time
from pathlib import Path

import ase.io
import numpy as np
import pytest
import refusals
from ase import Atoms

from stemdask.errors import FrameError, InputError
from stemdask.sources.opening import open_source
from stemdask.sources.packed import unpack

XYZ = "2\nstep=1\nPt 0.0 1.0 2.0\nPt 3.0 4.0 5.0\n"
ATOM = "ATOM      1 PT   MOL     1       1.000   2.000   3.000  1.00  0.00          PT\n"
DUMP = (
    "ITEM: TIMESTEP\n1\nITEM: NUMBER OF ATOMS\n2\nITEM: BOX BOUNDS pp pp pp\n0 9\n0 9\n0 9\n"
    "ITEM: ATOMS id element x y z\n1 Pt 0.0 1.0 2.0\n2 Pt 3.0 4.0 5.0\n"
)
MODELS = "".join(f"MODEL     {k}\n{ATOM}{ATOM}ENDMDL\n" for k in range(1, 5)) + "END\n"


def refused(path: Path, content: str | bytes, reason: str) -> str:
    """Write a file that must be refused."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return refusals.refused(path, reason)


@pytest.mark.parametrize("suffix", ["xyz", "extxyz", "pdb", "dump", "cif", "traj"])
def test_empty_files_are_refused(suffix: str, tmp_path: Path) -> None:
    refused(tmp_path / f"t.{suffix}", "", "0 bytes")


@pytest.mark.parametrize("suffix", ["xyz", "pdb", "dump", "cif", "traj"])
@pytest.mark.parametrize("content", [b"\0" * 1000, bytes(range(256)) * 9, b"\n\n\n", b"a text\nof words\n" * 9])
def test_other_content_is_refused(suffix: str, content: bytes, tmp_path: Path) -> None:
    refused(tmp_path / f"t.{suffix}", content, "doesn't match the suffix|must begin|holds no atoms|reader failed")


def test_content_of_an_image_is_named(tmp_path: Path) -> None:
    refused(tmp_path / "t.xyz", b"II*\0" + bytes(200), "is a TIFF file, the suffix says .xyz")


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz"])
def test_what_says_that_it_is_compressed_and_is_not_is_refused(suffix: str, tmp_path: Path) -> None:
    refused(tmp_path / f"t.xyz{suffix}", XYZ, "can't be read|reader failed")


@pytest.mark.parametrize(("suffix", "text"), [("xyz", XYZ * 4), ("dump", DUMP * 4), ("pdb", MODELS)])
def test_no_truncation_loses_a_frame_silently(suffix: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / f"cut.{suffix}"
    path.write_text(text)
    source = open_source(path)
    boundaries = set(unpack(source.starts)) | set(unpack(source.stops)) | {text.find("\nEND\n") + 1}
    if suffix == "pdb":
        boundaries |= {end + len(line) for end in boundaries for line in ("END", "ENDMDL", "ENDMDL\n")}
    for length in range(1, len(text)):
        path.write_text(text[:length])
        try:
            source = open_source(path)
        except InputError:
            continue
        assert length in boundaries or any("cut off" in warning for warning in source.warnings), text[:length]


@pytest.mark.parametrize("last", ["5.", "5.4", "5.40", "5.400"])
@pytest.mark.parametrize("suffix", ["xyz", "dump"])
def test_a_number_that_may_be_cut_off_is_refused(last: str, suffix: str, tmp_path: Path) -> None:
    atoms = f"Pt 1.200 2.300 3.400\nPt 3.200 4.300 {last}"
    head = "2\n\n" if suffix == "xyz" else DUMP.partition("ITEM: ATOMS")[0] + "ITEM: ATOMS element x y z\n"
    refused(tmp_path / f"t.{suffix}", head + atoms, "end of a line: its last number may be cut off.*echo >>")
    (tmp_path / f"t.{suffix}").write_text(head + atoms + "\n")
    assert open_source(tmp_path / f"t.{suffix}").read(0).positions[1, 2] == float(last)


@pytest.mark.parametrize("title", ["ITEM: ATOMS", "ITEM: TIMESTEP", "ITEM: NUMBER OF ATOMS", "ITEM: BOX BOUNDS"])
def test_a_damaged_title_hides_no_snapshot(title: str, tmp_path: Path) -> None:
    """It did: the reader looked for the next title, in the snapshot that followed."""
    second = DUMP.replace(title, title[:-1] + chr(ord(title[-1]) ^ 1))
    refused(tmp_path / "t.dump", DUMP + second + DUMP, "not an item of a snapshot|must begin with ITEM")


def test_a_damaged_record_hides_no_atom(tmp_path: Path) -> None:
    damaged = ATOM.replace("HETATM", "HETAUM").replace("ATOM  ", "AUOM  ")
    assert damaged != ATOM
    refused(tmp_path / "t.pdb", ATOM + damaged + ATOM, "an atom in a record of unknown name")


def test_what_may_be_missing_is_said(tmp_path: Path) -> None:
    def line(serial: int) -> str:
        return f"ATOM  {serial:5d} PT   PT  A   1    {2.77 * serial:8.3f}   0.000   0.000  1.00  0.00          PT\n"

    def warnings(text: str) -> str:
        (tmp_path / "t.pdb").write_text(text)
        return "; ".join(said for said in open_source(tmp_path / "t.pdb").warnings if "coincide" not in said)

    whole = [line(k) for k in range(1, 8)]
    assert not warnings("".join(whole))
    assert not warnings("".join([*whole[:3], "TER       4\n", *whole[4:]])), "a TER has a number of its own"
    assert not warnings("".join([*whole[:3], *whole[:3]])), "a new chain may begin at 1"
    assert "serial numbers jump 1 times, first after atom 3" in warnings("".join(whole[:3] + whole[4:]))
    assert "unknown records are left out: ODDITY" in warnings("ODDITY of a program\n" + "".join(whole))
    models = "".join(f"MODEL     {k}\n{''.join(whole[: 7 - k])}ENDMDL\n" for k in (1, 2))
    assert "the number of atoms changes from frame to frame: 5 to 6" in warnings(models)


def test_a_damaged_line_of_a_cif_hides_no_atom(tmp_path: Path) -> None:
    ase.io.write(tmp_path / "t.cif", Atoms("Pt4", np.eye(4, 3) * 3, cell=[9, 9, 9], pbc=True))
    lines = (tmp_path / "t.cif").read_text().splitlines()
    refused(tmp_path / "t.cif", "\n".join([*lines[:-2], lines[-2] + lines[-1]]) + "\n", "a line is damaged")


def test_a_cif_that_ends_within_a_line_is_refused_unless_it_is_a_comment(tmp_path: Path) -> None:
    ase.io.write(tmp_path / "t.cif", Atoms("Pt2", [[1, 1, 1], [3, 3, 3]], cell=[9, 9, 9], pbc=True))
    text = (tmp_path / "t.cif").read_text().rstrip("\n")
    refused(tmp_path / "t.cif", text, "may be cut off")
    (tmp_path / "t.cif").write_text(f"{text}\n#END")
    assert open_source(tmp_path / "t.cif").n_atoms.tolist() == [2]


def test_a_model_cut_off_is_refused(tmp_path: Path) -> None:
    refused(tmp_path / "t.pdb", MODELS[: MODELS.rindex("ENDMDL")], "model 4 has no ENDMDL")
    only = MODELS[: MODELS.index("ENDMDL")]
    refused(tmp_path / "t.pdb", only, "model 1 has no ENDMDL.*append ENDMDL if it is all")
    (tmp_path / "t.pdb").write_text(only + "END\n")
    assert open_source(tmp_path / "t.pdb").n_atoms.tolist() == [2]
    refused(tmp_path / "t.pdb", ATOM + ATOM[:50], "may be cut off")
    refused(tmp_path / "t.pdb", ATOM + ATOM[:50] + "\n", "less than 54 characters")


@pytest.mark.parametrize("count", ["1000000000000", "-1", "99999999999999999999", "1.5", "two", "3"])
def test_counts_that_the_file_can_not_hold_are_refused(count: str, tmp_path: Path) -> None:
    refused(tmp_path / "t.xyz", XYZ.replace("2", count, 1), "declares|must begin|cut off")
    refused(tmp_path / "t.dump", DUMP.replace("\n2\n", f"\n{count}\n", 1), "declares|reader failed|cut off")


@pytest.mark.parametrize(
    "comment",
    [
        "Properties=species:S:1:pos:R:1000000000",
        "Properties=species:S:1:pos:R:3:forces:R:1000000000",
        "Properties=species:S:1",
        "Properties=pos:R:3",
        "Properties=species:S",
        "Properties=species:S:x:pos:R:3",
        'Lattice="1 2 3"',
        'Lattice="a b c d e f g h i"',
        'pbc="T"',
    ],
)
def test_comments_of_extended_xyz_that_make_no_sense_are_refused(comment: str, tmp_path: Path) -> None:
    refused(tmp_path / "t.extxyz", XYZ.replace("step=1", comment), "Properties|Lattice|pbc|short")


def test_a_line_without_end_is_refused(tmp_path: Path) -> None:
    refused(tmp_path / "t.xyz", "1" * 3_000_000, "longer than|must begin")
    refused(tmp_path / "t.xyz", "1\n" + "c" * 3_000_000, "longer than")
    refused(tmp_path / "t.pdb", "A" * 40_000_000, "longer than")


@pytest.mark.parametrize("symbol", ["Qq", "X", "Pt1", "119", "0", "é"])
def test_symbols_that_are_no_elements_are_refused_by_name(symbol: str, tmp_path: Path) -> None:
    assert symbol in refused(tmp_path / "t.xyz", XYZ.replace("Pt", symbol), "no chemical elements") or symbol == "é"


def test_no_atoms_at_all_are_refused(tmp_path: Path) -> None:
    refused(tmp_path / "t.xyz", "0\n\n" * 3, "no atoms")
    refused(tmp_path / "t.pdb", "HEADER\nEND\n", "no atoms")
    refused(tmp_path / "t.pdb", "MODEL 1\nENDMDL\n", "no atoms")


def test_frames_without_atoms_among_others_are_said(tmp_path: Path) -> None:
    (tmp_path / "t.xyz").write_text(XYZ + "0\n\n" + XYZ)
    source = open_source(tmp_path / "t.xyz")
    assert source.n_atoms.tolist() == [2, 0, 2]
    assert source.read(1).positions.shape == (0, 3)
    assert "1 of 3 frames hold no atoms" in source.warnings


@pytest.mark.parametrize("bad", ["nan", "inf", "-inf", "1e999"])
def test_coordinates_that_are_not_finite_fail_their_frame(bad: str, tmp_path: Path) -> None:
    for name, text in (("t.xyz", XYZ), ("t.dump", DUMP)):
        (tmp_path / name).write_text(text + text.replace("4.0", bad) + text)
        source = open_source(tmp_path / name)
        with pytest.raises(FrameError, match="not finite"):
            source.read(1)
        assert len(source.read(2).numbers) == 2


@pytest.mark.parametrize("bad", ["abc", "1.2.3", "--1", "1,5", "0x1"])
def test_words_in_place_of_numbers_fail_their_frame(bad: str, tmp_path: Path) -> None:
    (tmp_path / "t.xyz").write_text(XYZ + XYZ.replace("4.0", bad) + XYZ)
    source = open_source(tmp_path / "t.xyz")
    with pytest.raises(InputError, match=bad.replace(".", r"\.")):
        source.read(1)
    assert len(source.read(2).numbers) == 2


@pytest.mark.parametrize("columns", ["********", " 12 34.5", "        ", "   1.2.3"])
def test_coordinates_of_pdb_that_are_no_numbers_are_refused(columns: str, tmp_path: Path) -> None:
    refused(tmp_path / "t.pdb", ATOM.replace("   2.000", columns), "number was expected")


@pytest.mark.parametrize("cell", ["0 0 0 0 0 0 0 0 0", "1 0 0 1 0 0 0 0 1"])
def test_a_singular_cell_is_no_cell(cell: str, tmp_path: Path) -> None:
    (tmp_path / "t.extxyz").write_text(XYZ.replace("step=1", f'Lattice="{cell}" pbc="T T T"'))
    frame = open_source(tmp_path / "t.extxyz").read(0)
    assert frame.cell is None
    assert frame.periodic == (False, False, False)


@pytest.mark.parametrize("cell", ["18 0 0 0 18 02000000 0 0 18", "18 0 0 0 18 0 0 0 1e-6"])
def test_a_cell_that_is_all_but_flat_fails_its_frame_at_once(cell: str, tmp_path: Path) -> None:
    """Its copies that could hold neighbours are thousands of millions."""
    flat = XYZ.replace("step=1", f'Lattice="{cell}" pbc="T T T"')
    (tmp_path / "t.extxyz").write_text(flat)
    assert "copies of its cell" in open_source(tmp_path / "t.extxyz").warnings[0]
    (tmp_path / "t.extxyz").write_text(XYZ.replace("step=1", 'Lattice="2.5 0 0 0 2.5 0 0 0 99" pbc="T T T"') + flat)
    source = open_source(tmp_path / "t.extxyz")
    assert source.read(0).cell is not None
    with pytest.raises(FrameError, match="copies of its cell"):
        source.read(1)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("ITEM: BOX BOUNDS pp pp pp\n0 9\n0 9\n0 9\n", ""),
        ("0 9\n0 9\n", "0 9\n0\n"),
        ("ITEM: NUMBER OF ATOMS\n2\n", ""),
        ("x y z", "vx vy vz"),
        ("id element", "id mass"),
        ("2 Pt 3.0 4.0 5.0\n", "2 Pt 3.0 4.0\n"),
    ],
)
def test_snapshots_of_lammps_that_lack_something_are_refused(old: str, new: str, tmp_path: Path) -> None:
    refused(tmp_path / "t.dump", DUMP.replace(old, new), r"ITEM|BOX|coordinates|element|short|declares|reader failed")


def test_flipped_bytes_never_escape_as_another_error(tmp_path: Path) -> None:
    ase.io.write(tmp_path / "t.traj", [Atoms("Pt4", np.arange(12.0).reshape(4, 3))] * 3)
    texts = {"xyz": XYZ * 3, "pdb": MODELS, "dump": DUMP * 3}
    contents = {suffix: text.encode() for suffix, text in texts.items()}
    contents["traj"] = (tmp_path / "t.traj").read_bytes()
    rng = np.random.default_rng(11)
    for suffix, content in contents.items():
        for place in rng.integers(0, len(content), 80):
            damaged = bytearray(content)
            damaged[place] ^= int(rng.integers(1, 256))
            path = tmp_path / f"flipped_{place}.{suffix}"
            path.write_bytes(damaged)
            try:
                source = open_source(path)
                for index in range(source.n_frames):
                    source.read(index)
            except (InputError, FrameError):
                continue


def test_a_file_that_changed_after_planning_fails_its_frames(tmp_path: Path) -> None:
    path = tmp_path / "t.xyz"
    path.write_text(XYZ * 3)
    source = open_source(path)
    source.read(0)
    written = path.stat().st_mtime_ns
    path.write_text(XYZ * 4)
    with pytest.raises(InputError, match="changed after the run was planned"):
        source.read(1)
    path.write_text(XYZ * 3)
    os.utime(path, ns=(written, written))
    assert len(source.read(1).numbers) == 2


@pytest.mark.parametrize("name", ["a blank", "quo'te\"", "new\nline", "pro%cent", "t@-1:", "-x", "[1]", "é"])
@pytest.mark.parametrize("suffix", ["xyz", "cif", "traj"])
def test_odd_names_are_only_names(name: str, suffix: str, tmp_path: Path) -> None:
    atoms = Atoms("Pt2", [[1, 1, 1], [3, 3, 3]], cell=[9, 9, 9], pbc=True)
    ase.io.write(tmp_path / f"plain.{suffix}", atoms)
    (tmp_path / f"plain.{suffix}").rename(tmp_path / f"{name}.{suffix}")
    assert open_source(tmp_path / f"{name}.{suffix}").n_atoms.tolist() == [2]


def test_opening_takes_a_time_that_grows_with_the_frames_and_no_faster(tmp_path: Path) -> None:
    spent = []
    for n in (10_000, 100_000):
        (tmp_path / "t.xyz").write_text(XYZ * n)
        start = time.process_time()
        source = open_source(tmp_path / "t.xyz")
        spent.append(time.process_time() - start)
        assert source.n_frames == n
    assert spent[1] < 40 * spent[0]  # a search among all frames before would take a hundred times as long
    np.testing.assert_array_equal(source.read(99_999).positions, [[0, 1, 2], [3, 4, 5]])
