"""``lattice: {structure: ..., zone: ...}``: elements, scale and places from a crystal structure."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import write

import stemdask as sd
from stemdask import simulate
from stemdask.analyses.given_file import GivenFile
from stemdask.analyses.images.cells.displacement import DisplacementParams
from stemdask.analyses.images.columns import structure
from stemdask.analyses.images.columns.columns import ColumnsParams
from stemdask.analyses.images.columns.lattice import DIFFERENT, PLAUSIBLE, LatticeParams
from stemdask.errors import FrameError, InputError

SPACING = 14.0
NM = 0.4 / SPACING


def perovskite(a: str, b: str, edge: float, shift: float = 0.0) -> Atoms:
    """A perovskite whose B is shifted along its first vector, angstrom."""
    places = [[0, 0, 0], [0.5 + shift / edge, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]
    return Atoms([a, b, "O", "O", "O"], scaled_positions=places, cell=[edge] * 3, pbc=True)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("structures")
    write(folder / "BaTiO3.cif", perovskite("Ba", "Ti", 4.0))
    write(folder / "polar.cif", perovskite("Ba", "Ti", 4.0, 0.1))
    write(folder / "SrTiO3.cif", perovskite("Sr", "Ti", 3.905))
    write(folder / "Pt.cif", bulk("Pt", cubic=True))
    sulphide = [[1 / 3, 2 / 3, 0.25], [2 / 3, 1 / 3, 0.12], [2 / 3, 1 / 3, 0.38]]
    write(
        folder / "MoS2.cif",
        Atoms("MoS2", scaled_positions=sulphide, cell=[[3.16, 0, 0], [-1.58, 2.7366, 0], [0, 0, 12.3]], pbc=True),
    )
    return folder


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    """A perovskite whose B is 0.6 px = 17 pm to the right of the middle."""
    pixels: np.ndarray = simulate.perovskite((180, 180), SPACING, displacement=(0.6, 0.0), seed=1)[0]
    return pixels


@pytest.fixture
def along(analysed: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that analyses an image of pixels of some nm with a structure."""

    def run(pixels: np.ndarray, file: Path, zone: tuple[int, int, int] = (0, 0, 1), nm: float = NM) -> Any:
        lattice = LatticeParams(structure=str(file), zone=zone)
        steps = ("columns", ColumnsParams()), ("lattice", lattice), ("displacement", DisplacementParams())
        return analysed([pixels], *steps, pixel_size=(nm, nm))

    return run


def test_sublattices_have_the_names_of_their_elements(
    along: Callable[..., Any], image: np.ndarray, files: Path
) -> None:
    found = along(image, files / "BaTiO3.cif")
    assert found.attributes["columns"]["elements"] == ["Ba", "Ti/O"]
    assert found.attributes["displacement"]["comment"].startswith("B (Ti/O) against A (Ba): ")
    assert found.results["lattice/scale"][0] == pytest.approx(1.0, abs=0.002)
    assert found.results["lattice/calibration"][0] == PLAUSIBLE
    assert "lattice" not in found.attributes


@pytest.mark.parametrize("wrong", [1.12, 0.8, 10.0])
def test_a_wrong_pixel_size_is_named_with_its_factor(
    along: Callable[..., Any], image: np.ndarray, files: Path, wrong: float
) -> None:
    found = along(image, files / "BaTiO3.cif", nm=wrong * NM)
    assert found.attributes["columns"]["elements"] == ["Ba", "Ti/O"]
    assert found.results["lattice/calibration"][0] == DIFFERENT
    said = found.attributes["lattice"]["warning"]
    assert "BaTiO3.cif is right, multiply the pixel size by" in said
    assert float(said.partition("pixel size by ")[2].partition(":")[0]) == pytest.approx(1 / wrong, rel=0.003)


def test_displacements_are_from_the_places_of_the_structure(
    along: Callable[..., Any], image: np.ndarray, files: Path
) -> None:
    """Ti of the polar structure is 10 pm along its a, which an image may show in any of four directions."""
    from_cubic, from_polar = (along(image, files / f"{name}.cif") for name in ("BaTiO3", "polar"))
    u, v = (from_cubic.results[f"displacement/{part}"][0] for part in "uv")
    assert np.median(u) == pytest.approx(0.6 * NM * 1e3, abs=1.5)
    assert np.median(v) == pytest.approx(0.0, abs=1.5)
    off = np.array([from_polar.results[f"displacement/{part}"][0] - of for part, of in (("u", u), ("v", v))])
    np.testing.assert_allclose(off, off[:, :1] @ np.ones((1, off.shape[1])), atol=1e-6)
    # Of Ti/O the brightness is 0.85 that of Ti: its middle is displaced by 8.5 pm.
    assert np.hypot(*off[:, 0]) == pytest.approx(8.5, abs=0.2)
    x = np.array([along.results["displacement/x"][0] for along in (from_cubic, from_polar)])
    np.testing.assert_allclose(1e3 * (x[1] - x[0]), -off[0], atol=1e-6)


@pytest.mark.parametrize(("name", "zone"), [("BaTiO3", (1, 1, 0)), ("Pt", (0, 0, 1)), ("MoS2", (0, 0, 1))])
def test_an_image_of_another_lattice_is_refused(
    along: Callable[..., Any], image: np.ndarray, files: Path, name: str, zone: tuple[int, int, int]
) -> None:
    with pytest.raises(FrameError, match=r"isn't that of the structure along this zone axis \(got '0\.400 × 0\.400 nm"):
        along(image, files / f"{name}.cif", zone)


def test_a_file_that_is_no_crystal_is_refused(tmp_path: Path) -> None:
    for text in ("", "data_\n", "frame,action\n"):
        (tmp_path / "none.cif").write_text(text)
        with pytest.raises(InputError, match="the structure"):
            structure.read(GivenFile(path=str(tmp_path / "none.cif")), (0, 0, 1))


def test_a_site_that_elements_share_has_the_names_of_all(tmp_path: Path) -> None:
    atoms = perovskite("La", "Mn", 3.88)
    atoms.info["occupancy"] = {"0": {"La": 0.7, "Sr": 0.3}, "1": {"Mn": 1.0}, "2": {"O": 1.0}}
    atoms.arrays["spacegroup_kinds"] = np.array([0, 1, 2, 2, 2])
    write(tmp_path / "LSMO.cif", atoms)
    found = structure.read(GivenFile(path=str(tmp_path / "LSMO.cif")), (0, 0, 1))
    assert [57, 38] in found[structure.NUMBERS.path].tolist()


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"zone": [0, 0, 0]}, "a zone axis can't be"),
        ({"structure": "a.cif", "constant": "4 angstrom"}, "give either structure or constant"),
    ],
)
def test_keys_that_contradict_each_other_are_refused(keys: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        LatticeParams(**keys)


def test_real_and_multislice_images_are_named(along: Callable[..., Any], files: Path, reference: Path) -> None:
    """Where the truth of a multislice image says which element is where, it is what the sublattice is called."""
    data = reference / "data"
    cases = [
        ("STO_ADF_experimental.hspy", "SrTiO3", (1, 1, 0), 0.0093, ["Sr/O", "Ti"]),
        ("BTO_crystal_1.dm4", "BaTiO3", (0, 0, 1), 0.02966, ["Ba", "Ti/O"]),
    ]
    for file, name, zone, nm, elements in cases:
        pixels = np.asarray(sd.open_images(str(data / file))[0], float)[:200, :200]
        found = along(pixels, files / f"{name}.cif", zone, nm)
        assert found.attributes["columns"]["elements"] == elements
        assert found.results["lattice/scale"][0] == pytest.approx(1.0, abs=0.05)
    for file, name, elements in (("sto001.npz", "SrTiO3", ["Sr", "Ti/O"]), ("mos2.npz", "MoS2", ["Mo", "S"])):
        with np.load(data / "gallery" / file) as given:
            pixels, nm = np.tile(given["image"], (3, 3)), float(given["sampling_A"].mean()) / 10
        found = along(1e4 * pixels / pixels.max(), files / f"{name}.cif", (0, 0, 1), nm)
        assert found.attributes["columns"]["elements"] == elements
        assert found.results["lattice/scale"][0] == pytest.approx(1.0, abs=0.02)
