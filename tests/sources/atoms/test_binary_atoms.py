"""Binary trajectories of simulations read as their own libraries wrote them."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from foreign import write_ncdf
from scipy.io import netcdf_file

from stemdask.errors import InputError
from stemdask.sources.opening import open_source

STRUCTURE = "3\n\nPt 0 0 0\nPt 1 0 0\nAu 0 1 0\n"


@pytest.fixture
def positions() -> Any:
    return np.random.default_rng(0).uniform(-9, 9, (4, 3, 3)).astype(np.float32)


def write_xtc(path: Path, positions: Any) -> None:
    mdaxdr = pytest.importorskip("MDAnalysis.lib.formats.libmdaxdr", exc_type=ImportError)
    with mdaxdr.XTCFile(str(path), "w") as file:
        for k, frame in enumerate(positions):
            file.write(frame / 10, np.diag([2, 3, 4]).astype("f4"), 10 * k, 2.5 * k, 1e5)


def write_dcd(path: Path, positions: Any) -> None:
    dcd = pytest.importorskip("MDAnalysis.lib.formats.libdcd", exc_type=ImportError)
    with dcd.DCDFile(str(path), "w") as file:
        file.write_header("made for a test", len(positions[0]), istart=100, nsavc=10, delta=0.5, is_periodic=1)
        for frame in positions:
            file.write(frame, np.array([20.0, 90.0, 30.0, 90.0, 90.0, 40.0]))


def write_trr(path: Path, positions: Any) -> None:
    mdaxdr = pytest.importorskip("MDAnalysis.lib.formats.libmdaxdr", exc_type=ImportError)
    with mdaxdr.TRRFile(str(path), "w") as file:
        for k, frame in enumerate(positions):
            file.write(frame / 10, None, None, np.diag([2, 3, 4]).astype("f4"), 10 * k, 2.5 * k, 0.0, len(frame))


@pytest.mark.parametrize("name", ["water", "chain", "far apart"])
@pytest.mark.parametrize("precision", [100.0, 1e5])
def test_packed_coordinates_are_those_of_the_library_bit_by_bit(name: str, precision: float, tmp_path: Path) -> None:
    mdaxdr = pytest.importorskip("MDAnalysis.lib.formats.libmdaxdr", exc_type=ImportError)
    choose = np.random.default_rng(0)
    if name == "water":
        positions = (choose.uniform(0, 4, (3, 100, 1, 3)) + choose.normal(0, 0.06, (3, 100, 3, 3))).reshape(3, 300, 3)
    elif name == "chain":
        positions = np.cumsum(choose.normal(0, 0.02, (3, 300, 3)), axis=1)
    else:
        positions = choose.uniform(-4, 4, (3, 300, 3)) * [1, 1, 100]
    path = tmp_path / "run.xtc"
    with mdaxdr.XTCFile(str(path), "w") as file:
        for k, frame in enumerate(positions.astype("f4")):
            file.write(frame, np.diag([2, 3, 4]).astype("f4"), k, float(k), precision)
    with mdaxdr.XTCFile(str(path)) as file:
        expected = [10 * frame.x.astype(float) for frame in file]
    (tmp_path / "run.xyz").write_text("300\n\n" + "Pt 0 0 0\n" * 300)
    source = open_source(path)
    for k in (2, 0, 1):
        np.testing.assert_array_equal(source.read(k).positions, expected[k])


@pytest.mark.parametrize(("number", "item"), [(">f4", 4), (">f8", 8)])
def test_a_trr_of_either_precision_is_read_without_a_library(number: str, item: int, tmp_path: Path) -> None:
    head = struct.pack(
        ">3i12s10i3i", 1993, 13, 12, b"GMX_trn_file", 0, 0, 9 * item, 0, 0, 0, 0, 9 * item, 0, 0, 3, 7, 0
    )
    numbers = [2.5, 0.0, *np.diag([2.0, 3, 4]).ravel(), 0, 0, 0, 0.1, 0, 0, 0, 0.1, 0]
    (tmp_path / "run.trr").write_bytes(2 * (head + np.array(numbers, number).tobytes()))
    (tmp_path / "run.xyz").write_text(STRUCTURE)
    frame = open_source(tmp_path / "run.trr").read(1)
    np.testing.assert_allclose(frame.positions, [[0, 0, 0], [1, 0, 0], [0, 1, 0]], atol=1e-6)
    np.testing.assert_allclose(frame.cell, np.diag([20, 30, 40]))
    assert frame.time == 2.5


WRITERS = {"xtc": write_xtc, "trr": write_trr, "dcd": write_dcd, "ncdf": write_ncdf}


@pytest.mark.parametrize("suffix", WRITERS)
def test_trajectories_without_elements_take_them_from_beside(suffix: str, positions: Any, tmp_path: Path) -> None:
    WRITERS[suffix](tmp_path / f"run.{suffix}", positions)
    with pytest.raises(InputError, match=r"run\.pdb"):
        open_source(tmp_path / f"run.{suffix}")
    (tmp_path / "run.xyz").write_text(STRUCTURE)
    source = open_source(tmp_path / f"run.{suffix}")
    assert source.n_atoms.tolist() == [3] * 4
    for k in (3, 0, 2):
        frame = source.read(k)
        np.testing.assert_allclose(frame.positions, positions[k], atol=2e-4)
        assert frame.numbers.tolist() == [78, 78, 79]
        np.testing.assert_allclose(frame.cell, np.diag([20, 30, 40]), atol=1e-5)
        assert frame.time == (100 + 10 * k if suffix == "dcd" else 2.5 * k)


@pytest.mark.parametrize("suffix", WRITERS)
@pytest.mark.parametrize("name", ["run.0001", "run"])
def test_a_trajectory_is_known_by_its_content_whatever_its_name(
    suffix: str, name: str, positions: Any, tmp_path: Path
) -> None:
    (tmp_path / "run.xyz").write_text(STRUCTURE)
    named, other = tmp_path / f"named.{suffix}", tmp_path / name
    WRITERS[suffix](named, positions)
    named.rename(other)
    source = open_source(str(other))
    assert source.n_frames == len(positions)
    np.testing.assert_allclose(source.read(2).positions, positions[2], atol=0.006)


@pytest.mark.parametrize(("suffix", "other"), [("xtc", "trr"), ("trr", "dcd"), ("dcd", "xtc")])
def test_a_trajectory_under_the_suffix_of_another_is_refused(
    suffix: str, other: str, positions: Any, tmp_path: Path
) -> None:
    path = tmp_path / f"run.{other}"
    WRITERS[suffix](path, positions)
    with pytest.raises(InputError, match=rf"the content is an? {suffix.upper()} file, the suffix says .{other}"):
        open_source(str(path))


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_trajectory_cut_at_every_tenth_is_an_error(suffix: str, positions: Any, tmp_path: Path) -> None:
    path = tmp_path / f"run.{suffix}"
    WRITERS[suffix](path, np.concatenate([positions] * 2)[:7])  # of which no tenth ends with a frame
    (tmp_path / "run.xyz").write_text(STRUCTURE)
    assert open_source(path).n_frames == 7
    data = path.read_bytes()
    for tenth in range(1, 10):
        path.write_bytes(data[: len(data) * tenth // 10])
        with pytest.raises(InputError):
            open_source(path)


def test_elements_beside_may_be_those_of_a_gro(positions: Any, tmp_path: Path) -> None:
    write_ncdf(tmp_path / "run.ncdf", positions)
    names = enumerate(("PT1", "PT2", "AU"), 1)
    atoms = "".join(f"    1MOL  {name:>5}{k:5d}   0.000   0.000   0.000\n" for k, name in names)
    (tmp_path / "run.gro").write_text(f"made for a test\n3\n{atoms}   2.0   3.0   4.0\n")
    assert open_source(tmp_path / "run.ncdf").read(3).numbers.tolist() == [78, 78, 79]


@pytest.mark.parametrize("suffix", ["xtc", "dcd"])
@pytest.mark.parametrize("n_atoms", [3, 40])
def test_a_trajectory_cut_within_a_frame_is_refused_at_any_length(suffix: str, n_atoms: int, tmp_path: Path) -> None:
    """Both libraries leave the last frame out without a word."""
    path = tmp_path / f"run.{suffix}"
    write, whole = (
        {"xtc": write_xtc, "dcd": write_dcd}[suffix],
        np.random.default_rng(0).uniform(-9, 9, (4, n_atoms, 3)),
    )
    lengths = []
    for n in (1, 2, 3, 4):
        write(path, whole[:n].astype(np.float32))
        lengths.append(path.stat().st_size)
    (tmp_path / "run.xyz").write_text(f"{n_atoms}\n\n" + n_atoms * "Pt 0 0 0\n")
    data = path.read_bytes()
    for length in range(lengths[0] + 1, lengths[3]):
        path.write_bytes(data[:length])
        if length in lengths and suffix == "xtc":  # a DCD file states how many frames it has
            assert open_source(path).n_frames == lengths.index(length) + 1
        else:
            with pytest.raises(InputError, match=r"doesn't end with a whole frame|frames, \d are there"):
                open_source(path)


@pytest.mark.parametrize(
    ("suffix", "at", "number", "stated"),
    [
        ("xtc", 4, 2**31 - 1, "2147483647 atoms and coordinates of 40"),
        ("xtc", 12, 0x7FC00000, "a time or a box that isn't finite"),
        ("xtc", 56, 0, "a precision of 0"),
        ("xtc", 60, 2**30, "a box of negative size"),
        ("xtc", 84, 74, "place 74 in a table of 74"),
        ("xtc", 88, 10**6, "1000000 bytes for 40 atoms"),
        ("trr", 8, 11, "another kind of file"),
        ("trr", 64, 41, "another size of 41 atoms"),
        ("trr", 36, 10**9, "a box or a virial of another size"),
        ("trr", 44, 4, "parts that no program writes"),
    ],
)
def test_a_head_that_can_not_be_is_refused_with_what_it_states(
    suffix: str, at: int, number: int, stated: str, tmp_path: Path
) -> None:
    path = tmp_path / f"run.{suffix}"
    WRITERS[suffix](path, np.random.default_rng(0).uniform(-9, 9, (3, 40, 3)).astype(np.float32))
    (tmp_path / "run.xyz").write_text("40\n\n" + 40 * "Pt 0 0 0\n")
    assert open_source(path).n_frames == 3
    data = bytearray(path.read_bytes())
    data[at : at + 4] = number.to_bytes(4, "big")
    path.write_bytes(data)
    with pytest.raises(InputError, match=f"frame 0 is damaged: it states {stated}"):
        open_source(path)


@pytest.mark.parametrize(
    ("frame", "stated"), [(0, "content doesn't match the suffix"), (2, "frame 2 is damaged: it states the number 7")]
)
def test_a_frame_that_begins_otherwise_is_none_of_an_xtc(frame: int, stated: str, tmp_path: Path) -> None:
    path = tmp_path / "run.xtc"
    write_xtc(path, np.random.default_rng(0).uniform(-9, 9, (3, 40, 3)).astype(np.float32))
    (tmp_path / "run.xyz").write_text("40\n\n" + 40 * "Pt 0 0 0\n")
    data, at = bytearray(path.read_bytes()), -1
    for _ in range(frame + 1):
        at = data.index(b"\0\0\x07\xcb", at + 1)
    data[at : at + 4] = (7).to_bytes(4, "big")
    path.write_bytes(data)
    with pytest.raises(InputError, match=stated):
        open_source(path)


def test_frames_of_an_xtc_that_differ_in_atoms_are_refused(positions: Any, tmp_path: Path) -> None:
    write_xtc(tmp_path / "run.xtc", positions)
    write_xtc(tmp_path / "other.xtc", positions[:, :2])
    with (tmp_path / "run.xtc").open("ab") as file:
        file.write((tmp_path / "other.xtc").read_bytes())
    (tmp_path / "run.xyz").write_text(STRUCTURE)
    with pytest.raises(InputError, match="frame 4 is damaged: it states 2 atoms where the frames before have 3"):
        open_source(tmp_path / "run.xtc")


def test_another_number_of_atoms_beside_is_refused(positions: Any, tmp_path: Path) -> None:
    write_xtc(tmp_path / "run.xtc", positions)
    (tmp_path / "run.xyz").write_text("1\n\nPt 0 0 0\n")
    with pytest.raises(InputError, match="3 atoms, but the structure file beside it has 1"):
        open_source(tmp_path / "run.xtc")


def test_gsd_holds_frames_of_any_number_of_atoms(tmp_path: Path) -> None:
    hoomd = pytest.importorskip("gsd.hoomd")
    rng = np.random.default_rng(0)
    written = [rng.uniform(-4, 4, (n, 3)).astype(np.float32) for n in (3, 5, 5, 2)]
    with hoomd.open(str(tmp_path / "run.gsd"), "w") as file:
        for k, positions in enumerate(written):
            frame = hoomd.Frame()
            frame.configuration.step = 100 * k
            frame.configuration.box = [10, 20, 30, 0.1, 0, 0]
            frame.particles.N = len(positions)
            frame.particles.position = positions
            frame.particles.types = ["A", "Au"]
            frame.particles.typeid = [0] * (len(positions) - 1) + [1]
            file.append(frame)
    with pytest.raises(InputError, match="no chemical elements"):
        open_source(tmp_path / "run.gsd")
    source = open_source(tmp_path / "run.gsd", elements={"A": "Pt"})
    assert source.n_atoms.tolist() == [3, 5, 5, 2]
    for k in (3, 1):
        frame = source.read(k)
        np.testing.assert_array_equal(frame.positions, written[k])
        assert frame.numbers.tolist() == [78] * (len(written[k]) - 1) + [79]
        assert frame.time == 100 * k
        np.testing.assert_allclose(frame.cell, [[10, 0, 0], [2, 20, 0], [0, 0, 30]])


@pytest.mark.long
def test_a_gsd_left_open_says_nothing_when_the_program_ends(tmp_path: Path) -> None:
    pytest.importorskip("gsd.hoomd")
    script = (
        "import sys, gsd.hoomd, numpy as np\n"
        "with gsd.hoomd.open(sys.argv[1], 'w') as file:\n"
        "    frame = gsd.hoomd.Frame()\n"
        "    frame.particles.N, frame.particles.types = 1, ['Pt']\n"
        "    frame.particles.position = np.zeros((1, 3))\n"
        "    file.append(frame)\n"
        "from stemdask.sources.opening import open_source\n"
        "open_source(sys.argv[1]).read(0)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "run.gsd")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""


@pytest.mark.parametrize("suffix", ["gsd", "xtc", "trr", "dcd", "ncdf"])
@pytest.mark.parametrize("content", [b"\0" * 500, bytes(range(256)) * 9, b"a text\n" * 99])
def test_other_content_is_refused(suffix: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"other.{suffix}"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"other\.{suffix}"):
        open_source(path)


@pytest.mark.parametrize(("suffix", "module"), [("gsd", "gsd"), ("dcd", "MDAnalysis")])
def test_a_missing_library_is_named(suffix: str, module: str, tmp_path: Path, monkeypatch: Any) -> None:
    import sys

    monkeypatch.setitem(sys.modules, module, None)
    for name in [name for name in sys.modules if name.startswith(f"{module}.")]:
        monkeypatch.setitem(sys.modules, name, None)
    head = {"gsd": 4 * b"\xdf\x65", "dcd": b"\x54\0\0\0CORD"}[suffix]
    (tmp_path / f"run.{suffix}").write_bytes(head + b"content")
    with pytest.raises(InputError, match=rf"needs {module}.*stemdask\[trajectories\]"):
        open_source(tmp_path / f"run.{suffix}")


def test_a_netcdf_of_64_bit_data_is_refused_with_how_to_convert_it(tmp_path: Path) -> None:
    (tmp_path / "run.nc").write_bytes(b"CDF\x05" + bytes(400))
    with pytest.raises(InputError, match=r"64-bit data \(CDF-5\).*nccopy"):
        open_source(tmp_path / "run.nc")


def test_a_netcdf_of_a_fixed_number_of_frames_holds_no_more(positions: Any, tmp_path: Path) -> None:
    (tmp_path / "run.xyz").write_text(STRUCTURE)
    with netcdf_file(tmp_path / "run.nc", "w", version=2) as file:
        for name, length in (("frame", 4), ("atom", 3), ("spatial", 3)):
            file.createDimension(name, length)
        file.createVariable("coordinates", "f4", ("frame", "atom", "spatial"))[:] = positions
    assert open_source(tmp_path / "run.nc").n_frames == 4
    whole = (tmp_path / "run.nc").read_bytes()
    assert whole.count(b"frame\0\0\0\0\0\0\4") == 1
    (tmp_path / "run.nc").write_bytes(whole.replace(b"frame\0\0\0\0\0\0\4", b"frame\0\0\0\0\0\0\2"))
    with pytest.raises(InputError, match="states 2 frames, and it holds more"):
        open_source(tmp_path / "run.nc")


@pytest.mark.parametrize("stated", [1, 3, 5])
def test_a_netcdf_that_states_other_frames_than_it_holds_is_refused(
    stated: int, positions: Any, tmp_path: Path
) -> None:
    (tmp_path / "run.xyz").write_text(STRUCTURE)
    write_ncdf(tmp_path / "run.ncdf", positions)
    assert open_source(tmp_path / "run.ncdf").n_frames == 4
    whole = (tmp_path / "run.ncdf").read_bytes()
    (tmp_path / "run.ncdf").write_bytes(whole[:4] + stated.to_bytes(4, "big") + whole[8:])
    with pytest.raises(InputError, match=f"states {stated} frames, and it holds more" if stated < 4 else "truncated"):
        open_source(tmp_path / "run.ncdf")
