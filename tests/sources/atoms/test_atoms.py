"""Structures of every format give the same frames, whatever their number of atoms."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
import xarray as xr
from ase import Atoms
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import stemdask as sd
from stemdask.errors import FrameError
from stemdask.sources.opening import open_source, source_from
from stemdask.sources.packed import pack, unpack


@pytest.fixture
def frames() -> list[Atoms]:
    """Four particles of different numbers of atoms."""
    rng = np.random.default_rng(3)
    return [Atoms("PtAu" * n, rng.uniform(-40, 140, (2 * n, 3)).round(3)) for n in (3, 5, 1, 20)]


def lammps(frames: list[Atoms], columns: str = "id type element x y z") -> str:
    text = ""
    for step, atoms in enumerate(frames):
        low = atoms.positions.min(axis=0) - 1
        high = atoms.positions.max(axis=0) + 1
        text += f"ITEM: TIMESTEP\n{100 * step}\nITEM: NUMBER OF ATOMS\n{len(atoms)}\nITEM: BOX BOUNDS pp ff pp\n"
        text += "".join(f"{a!r} {b!r}\n" for a, b in zip(low.tolist(), high.tolist(), strict=True))
        text += f"ITEM: ATOMS {columns}\n"
        for k in reversed(range(len(atoms))):  # a parallel run writes atoms in any order
            place = atoms.positions[k].tolist()
            scaled = ((atoms.positions[k] - low) / (high - low)).tolist()
            value = dict(zip(["x", "y", "z", "xs", "ys", "zs"], map(repr, place + scaled), strict=True))
            value |= {"id": str(k + 1), "type": str(1 + k % 2), "element": atoms.symbols[k], "q": "0.5"}
            text += " ".join(value[name] for name in columns.split()) + "\n"
    return text


def pdb_atoms(atoms: Atoms) -> str:
    return "".join(
        f"ATOM  {k:5d} {symbol:>2}   MOL     1    {x:8.3f}{y:8.3f}{z:8.3f}  1.00  0.00          {symbol.upper():>2}\n"
        for k, (symbol, (x, y, z)) in enumerate(zip(atoms.symbols, atoms.positions, strict=True), 1)
    )


def write(path: Path, frames: list[Atoms]) -> Path:
    if path.suffix == ".dump":
        path.write_text(lammps(frames))
    elif path.suffix == ".cif":
        ase.io.write(path, [Atoms(f.symbols, f.positions, cell=np.eye(3) * 200, pbc=True) for f in frames])
    elif path.suffix == ".pdb":
        models = [f"MODEL     {k}\n{pdb_atoms(atoms)}ENDMDL\n" for k, atoms in enumerate(frames, 1)]
        path.write_text("".join(models) + "END\n")
    else:
        ase.io.write(path, frames, format={".xyz": "xyz", ".extxyz": "extxyz", ".traj": "traj"}[path.suffix])
    return path


@pytest.mark.parametrize("suffix", [".xyz", ".extxyz", ".pdb", ".dump", ".traj", ".cif"])
def test_frames_of_different_size_read_the_same_from_every_format(
    suffix: str, tmp_path: Path, frames: list[Atoms]
) -> None:
    source = open_source(write(tmp_path / f"t{suffix}", frames))
    assert source.n_frames == 4
    assert source.n_atoms.tolist() == [6, 10, 2, 40]
    for index, expected in enumerate(frames):
        frame = source.read(index)
        assert frame.index == index
        np.testing.assert_array_equal(frame.numbers, expected.numbers)
        if suffix == ".cif":  # fractions of the cell
            difference = frame.positions - expected.positions
            np.testing.assert_allclose(difference - 200 * np.round(difference / 200), 0, atol=1e-2)
        else:
            np.testing.assert_allclose(frame.positions, expected.positions, atol=0 if suffix != ".dump" else 1e-13)


def test_structures_in_files_are_frames_in_natural_order(tmp_path: Path, frames: list[Atoms]) -> None:
    for number, atoms in zip((1, 2, 10, 11), frames, strict=True):
        write(tmp_path / f"stage{number}.pdb", [atoms])
    source = open_source(str(tmp_path / "stage*.pdb"))
    assert source.n_atoms.tolist() == [6, 10, 2, 40]
    assert Path(source.file_of(2)).name == "stage10.pdb"
    np.testing.assert_array_equal(source.read(3).positions, frames[3].positions)


def test_a_subset_counts_from_its_own_first_frame(tmp_path: Path, frames: list[Atoms]) -> None:
    source = open_source(write(tmp_path / "t.xyz", frames), frames="2:")
    assert source.n_atoms.tolist() == [2, 40]
    assert source.read(0).index == 0
    np.testing.assert_array_equal(source.read(1).positions, frames[3].positions)


def test_a_source_survives_json_and_pickle(tmp_path: Path, frames: list[Atoms]) -> None:
    source = open_source(write(tmp_path / "t.xyz", frames))
    for copy in (
        source_from(json.loads(json.dumps(source.model_dump(mode="json")))),
        pickle.loads(pickle.dumps(source)),
    ):
        assert copy == source
        np.testing.assert_array_equal(copy.read(3).positions, frames[3].positions)


@given(st.lists(st.integers(-(2**40), 2**40), max_size=50))
def test_packed_integers_come_back(values: list[int]) -> None:
    assert unpack(pack(values)).tolist() == values


def test_an_index_of_many_frames_stays_small(tmp_path: Path) -> None:
    frame = "2\nstep=1\nPt 0.000 1.000 2.000\nPt 3.000 4.000 5.000\n"
    (tmp_path / "long.xyz").write_text(frame * 20_000)
    source = open_source(tmp_path / "long.xyz")
    assert source.n_frames == 20_000
    assert len(source.model_dump_json()) < 10_000
    np.testing.assert_array_equal(source.read(19_999).positions, [[0, 1, 2], [3, 4, 5]])


@pytest.mark.parametrize(
    ("comment", "time"),
    [
        ("time=2.5", 2.5),
        ("Time = 2.5e1 step=7", 25.0),
        ("step=100 energy=-3", 100.0),
        (" i =      5, time =       2.500, E = -17.1", 2.5),
        ("water at t= 12.0", 12.0),
        ("timestamp=5 last=3", None),
        ("made by hand", None),
    ],
)
def test_time_is_read_from_the_comment(comment: str, time: float | None, tmp_path: Path) -> None:
    (tmp_path / "t.xyz").write_text(f"1\n{comment}\nPt 0 0 0\n")
    assert open_source(tmp_path / "t.xyz").read(0).time == time


def test_lammps_states_time_order_box_and_periodicity(tmp_path: Path, frames: list[Atoms]) -> None:
    source = open_source(write(tmp_path / "t.dump", frames))
    frame = source.read(3)
    assert frame.time == 300
    assert frame.periodic == (True, False, True)
    np.testing.assert_allclose(np.diag(frame.cell), np.ptp(frames[3].positions, axis=0) + 2)


@pytest.mark.parametrize("columns", ["id type x y z element", "element xs ys zs id", "id element q x y z"])
def test_lammps_columns_are_found_by_name(columns: str, tmp_path: Path, frames: list[Atoms]) -> None:
    (tmp_path / "t.dump").write_text(lammps(frames, columns))
    frame = open_source(tmp_path / "t.dump").read(1)
    np.testing.assert_allclose(frame.positions, frames[1].positions, atol=1e-12)
    np.testing.assert_array_equal(frame.numbers, frames[1].numbers)


def test_lammps_types_can_be_told(tmp_path: Path, frames: list[Atoms]) -> None:
    (tmp_path / "t.dump").write_text(lammps(frames, "id type x y z"))
    anonymous = open_source(tmp_path / "t.dump").read(0).numbers
    assert len(set(anonymous.tolist()) & set(range(119))) == 0
    for elements in ({"type 1": "Pt", "type 2": "Au"}, {"1": "Pt", "2": "Au"}):
        source = open_source(tmp_path / "t.dump", elements=elements)
        np.testing.assert_array_equal(source.read(0).numbers, frames[0].numbers)


def test_lammps_tilted_box_is_that_of_its_manual(tmp_path: Path) -> None:
    head = "ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n1\nITEM: BOX BOUNDS xy xz yz pp pp pp\n"
    (tmp_path / "t.dump").write_text(
        head + "-1.0 12.5 2.0\n0.5 9.5 -1.5\n0.0 7.0 -0.5\nITEM: ATOMS id element xs ys zs\n1 Pt 0.25 0.5 0.75\n"
    )
    frame = open_source(tmp_path / "t.dump").read(0)
    with (tmp_path / "t.dump").open() as file:
        expected = ase.io.read(file, format="lammps-dump-text")
    np.testing.assert_allclose(frame.cell, expected.cell)
    # LAMMPS, "How-to triclinic": origin (0.5, 1, 0) and vectors (10, 0, 0), (2, 8.5, 0), (-1.5, -0.5, 7).
    np.testing.assert_allclose(frame.positions, [[0.5 + 2.5 + 1.0 - 1.125, 1.0 + 4.25 - 0.375, 5.25]])


def test_extended_xyz_keeps_cell_periodicity_and_any_columns(tmp_path: Path, frames: list[Atoms]) -> None:
    atoms = frames[1].copy()
    atoms.set_cell([[10, 1, 0], [0, 20, 2], [3, 0, 30]])
    atoms.pbc = (True, False, True)
    atoms.arrays["charge"] = np.arange(10.0)
    atoms.arrays["forces"] = np.ones((10, 3))
    ase.io.write(tmp_path / "t.extxyz", atoms, columns=["charge", "forces", "symbols", "positions"])
    frame = open_source(tmp_path / "t.extxyz").read(0)
    np.testing.assert_array_equal(frame.positions, atoms.positions)
    np.testing.assert_array_equal(frame.cell, atoms.cell)
    assert frame.periodic == (True, False, True)


def test_cell_of_pdb_before_the_first_model_holds_for_all(tmp_path: Path) -> None:
    atom = "ATOM      1 PT   MOL     1       1.000   2.000   3.000  1.00  0.00          PT\n"
    cell = "CRYST1   10.000   20.000   30.000  90.00  90.00  90.00 P 1\n"
    (tmp_path / "t.pdb").write_text(cell + "".join(f"MODEL     {k}\n{atom}ENDMDL\n" for k in (1, 2)) + "END\n")
    source = open_source(tmp_path / "t.pdb")
    for index in range(2):
        frame = source.read(index)
        np.testing.assert_allclose(frame.cell, np.diag([10, 20, 30]), atol=1e-12)
        assert frame.periodic == (True, True, True)


def pdb_atom(
    name: str = " PT ", element: str = "PT", record: str = "ATOM  ", serial: str = "    1", alt: str = " "
) -> str:
    place = f"{1.0:8.3f}{-100.5:8.3f}{-999.25:8.3f}"
    return f"{record}{serial} {name}{alt}MOL     1    {place}  1.00  0.00          {element:>2}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{0}\n", [1]),
        ("{0}\nEND\n", [1]),
        ("{0}\nTER\nEND\n\n", [1]),
        ("MODEL        1\n{0}\n{0}\nENDMDL\nEND\n", [2]),
        ("MODEL        1\n{0}\nENDMDL\nMODEL        2\n{0}\n{0}\nENDMDL\nEND\n", [1, 2]),
        ("{0}\nEND\n{0}\n{0}\nEND\n", [1, 2]),
        ("MODEL 1\n{0}\nMODEL 2\n{0}\n{0}\n", [1, 2]),
        ("REMARK\nMODEL        1\n{0}\nENDMDL\nMODEL        2\nENDMDL\n", [1, 0]),
        ("{0}\r\n{0}\r\nEND\r\n", [2]),
        ("{0}\n{0}", [2]),
    ],
)
def test_frames_of_pdb_are_models_or_what_end_closes(text: str, expected: list[int], tmp_path: Path) -> None:
    (tmp_path / "t.pdb").write_bytes(text.format(pdb_atom()).encode())
    source = open_source(tmp_path / "t.pdb")
    assert source.n_atoms.tolist() == expected
    for index, n_atoms in enumerate(expected):
        np.testing.assert_array_equal(source.read(index).positions, np.full((n_atoms, 3), [1.0, -100.5, -999.25]))


@pytest.mark.parametrize("serial", ["*****", "A0000", "     ", "zzzzz", "99999"])
def test_serial_numbers_of_pdb_do_not_matter(serial: str, tmp_path: Path) -> None:
    (tmp_path / "t.pdb").write_text(pdb_atom(serial=serial) + "\n")
    assert open_source(tmp_path / "t.pdb").read(0).numbers.tolist() == [78]


def test_a_pdb_of_a_hundred_thousand_atoms_is_read_whole(tmp_path: Path) -> None:
    line = pdb_atom(serial="*****") + "\n"
    (tmp_path / "t.pdb").write_text(line * 120_000)
    assert len(open_source(tmp_path / "t.pdb").read(0).numbers) == 120_000


@pytest.mark.parametrize(
    ("name", "element", "number"),
    [
        (" PT ", "PT", 78),
        ("PT1 ", "  ", 78),
        (" OW ", "  ", 8),
        (" OW ", " W", 74),
        (" AU ", "Au", 79),
        ("AU  ", "", 79),
    ],
)
def test_elements_of_pdb_come_from_their_column_or_the_atom_name(
    name: str, element: str, number: int, tmp_path: Path
) -> None:
    line = pdb_atom(name=name, element=element)
    (tmp_path / "t.pdb").write_text((line if element else line[:66]) + "\n")
    assert open_source(tmp_path / "t.pdb").read(0).numbers.tolist() == [number]


def test_of_alternative_locations_the_first_is_taken(tmp_path: Path) -> None:
    lines = [pdb_atom(), pdb_atom(alt="B"), pdb_atom(alt="C"), pdb_atom(alt="B")]
    (tmp_path / "t.pdb").write_text("\n".join(lines) + "\n")
    assert len(open_source(tmp_path / "t.pdb").read(0).numbers) == 3


def test_words_of_the_file_can_be_given_another_meaning(tmp_path: Path) -> None:
    (tmp_path / "t.pdb").write_text(pdb_atom(element=" W", record="HETATM") + "\n")
    assert open_source(tmp_path / "t.pdb", elements={"W": "Pt"}).read(0).numbers.tolist() == [78]


@pytest.mark.parametrize("symbol", ["Pt", "PT", "pt", "78"])
def test_elements_are_known_in_any_case_and_as_numbers(symbol: str, tmp_path: Path) -> None:
    (tmp_path / "t.xyz").write_text(f"1\n\n{symbol} 0 0 0\n")
    assert open_source(tmp_path / "t.xyz").read(0).numbers.tolist() == [78]


coordinates = st.lists(st.tuples(*[st.floats(-1e6, 1e6, allow_subnormal=False)] * 3), min_size=1, max_size=8)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=coordinates, form=st.sampled_from(["%r", "%.3f", "%16.8f", "%.17g", "%.6e"]))
def test_coordinates_are_those_that_float_reads(rows: list[tuple[float, ...]], form: str, tmp_path: Path) -> None:
    lines = ["Pt " + " ".join(form % value for value in row) for row in rows]
    (tmp_path / "t.xyz").write_text(f"{len(rows)}\n\n" + "\n".join(lines) + "\n")
    expected = [[float(form % value) for value in row] for row in rows]
    np.testing.assert_array_equal(open_source(tmp_path / "t.xyz").read(0).positions, expected)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(counts=st.lists(st.integers(0, 30), min_size=1, max_size=6), chunk=st.integers(20, 400))
def test_frames_are_found_whatever_the_size_of_a_chunk(counts: list[int], chunk: int, tmp_path: Path) -> None:
    counts[0] += 1
    rng = np.random.default_rng(0)
    positions = [rng.uniform(-9, 9, (n, 3)).round(3) for n in counts]
    atom = pdb_atom()
    rows = [[f"{x:8.3f}{y:8.3f}{z:8.3f}" for x, y, z in p.tolist()] for p in positions]
    (tmp_path / "t.pdb").write_text(
        "".join("MODEL\n" + "".join(f"{atom[:30]}{r}{atom[54:]}\n" for r in frame) + "ENDMDL\n" for frame in rows)
    )
    (tmp_path / "t.xyz").write_text(
        "".join(f"{len(p)}\n\n" + "".join(f"Pt {x!r} {y!r} {z!r}\n" for x, y, z in p.tolist()) for p in positions)
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("stemdask.sources.atoms.text_index._CHUNK", chunk)
        for name in ("t.pdb", "t.xyz"):
            source = open_source(tmp_path / name)
            assert source.n_atoms.tolist() == counts
            for index, expected in enumerate(positions):
                np.testing.assert_array_equal(source.read(index).positions, expected)


def test_open_atoms_is_a_lazy_sequence(tmp_path: Path, frames: list[Atoms]) -> None:
    sequence = sd.open_atoms(write(tmp_path / "t.xyz", frames))
    assert len(sequence) == 4
    assert [len(frame.numbers) for frame in sequence] == [6, 10, 2, 40]
    assert [len(frame.numbers) for frame in sequence[1:3]] == [10, 2]
    assert len(sequence[-1].numbers) == 40
    with pytest.raises(IndexError):
        sequence[4]
    assert "6 to" not in repr(sequence[2:])
    assert "2 to 40" in repr(sequence[2:])


def test_open_atoms_gives_a_padded_view_on_demand(tmp_path: Path, frames: list[Atoms]) -> None:
    view = sd.open_atoms(write(tmp_path / "t.xyz", frames)).to_xarray()
    assert view.positions.dims == ("frame", "atom", "xyz")
    assert view.sizes["atom"] == 40
    np.testing.assert_array_equal(view.n_atoms, [6, 10, 2, 40])
    np.testing.assert_array_equal(view.positions[1, :10], frames[1].positions)
    assert np.isnan(view.positions[1, 10:]).all()
    assert int((view.element[2] > 0).sum()) == 2


def test_xarray_opens_structures_by_engine(tmp_path: Path, frames: list[Atoms]) -> None:
    with xr.open_dataset(write(tmp_path / "t.xyz", frames), engine="stemdask", chunks={}) as dataset:
        np.testing.assert_array_equal(dataset.positions[3], frames[3].positions)


def test_description_is_in_words(tmp_path: Path, frames: list[Atoms]) -> None:
    described = open_source(write(tmp_path / "t.xyz", frames)).describe()
    assert described["frames"] == 4
    assert described["atoms"] == "2 to 40"
    assert described["elements"] == "Pt 3, Au 3"
    assert described["periodic"] == "no"
    apart, changes = described["warnings"]  # the places are random
    assert "angstrom apart" in apart
    assert changes == "the number of atoms changes from frame to frame: 2 to 40"


@pytest.mark.parametrize(
    ("lines", "warning"),
    [
        ("Pt 0 0 0\nPt 0 0 0\n", "one point"),
        ("Pt 0 0 0\nPt 1 0 0\nPt 1 0 0\n", "coincide"),
        ("Pt 0 0 0\nPt 1e30 0 0\n", "from the origin"),
    ],
)
def test_odd_structures_are_said(lines: str, warning: str, tmp_path: Path) -> None:
    (tmp_path / "t.xyz").write_text(f"{lines.count('Pt')}\n\n{lines}")
    assert warning in " ".join(open_source(tmp_path / "t.xyz").warnings)


def test_a_coordinate_that_is_not_finite_fails_its_frame_only(tmp_path: Path) -> None:
    (tmp_path / "t.xyz").write_text("1\n\nPt 0 0 0\n2\n\nPt 0 0 0\nPt 1 nan 0\n1\n\nPt 1 1 1\n")
    source = open_source(tmp_path / "t.xyz")
    with pytest.raises(FrameError, match="atom 1 of frame 1"):
        source.read(1)
    assert source.read(2).positions.tolist() == [[1, 1, 1]]


@pytest.mark.golden
@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("stage1", "stage1_docked_ATMS.pdb"),
        ("stage2", "stage2_docked_ATMS.pdb"),
        ("trunc_octa_ideal", "COM_trunc-octa-3_2.7nm.pdb"),
    ],
)
def test_published_structures_read_as_the_tutorial_reads_them(name: str, file: str, reference: Path) -> None:
    expected: Callable[[str], Any] = np.load(reference / f"golden/pyboo_{name}.npz").__getitem__
    np.testing.assert_array_equal(open_source(reference / "data" / file).read(0).positions, expected("pos"))
