"""What the pages tell a reader to type, typed: the README, the tables of equivalents, and the site as a whole."""

from __future__ import annotations

import doctest
import os
import re
import runpy
import shutil
import subprocess
import sys
from inspect import isfunction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

import stemdask
from stemdask import simulate
from stemdask.results.accessor import Accessor, Plots
from stemdask.results.group import GroupAccessor

ROOT = Path(__file__).parents[1]


def blocks(page: Path, language: str) -> list[str]:
    """Return the code of a page in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the pages speak of, in formats that can be written."""
    monkeypatch.chdir(tmp_path)
    image, _ = simulate.perovskite((128, 128), 13.5, displacement=(0.6, 0.0), seed=1)
    np.save("stack.npy", image)
    particle = simulate.nanocrystal(14.0, "Pt")
    for name in ("stage1.pdb", "stage2.pdb", "particle.pdb"):
        lines = [
            f"HETATM{k + 1:5d} PT    PT A   1    {x:8.3f}{y:8.3f}{z:8.3f}  1.00  0.00          PT\n"
            for k, (x, y, z) in enumerate(particle.positions)
        ]
        Path(name).write_text("".join([*lines, "END\n"]))
    return tmp_path


@pytest.mark.long
@pytest.mark.processes
def test_the_readme_the_first_page_and_the_guide_do_what_they_say(folder: Path) -> None:
    typed = [
        line.partition("#")[0].strip()
        for block in blocks(ROOT / "README.md", "sh")
        for line in block.splitlines()
        if line.startswith("stemdask run")
    ]
    assert len(typed) == 2
    for line in typed:
        line = line.replace("stack.dm4", "stack.npy --set input.pixel_size='0.0297 nm'")
        subprocess.run(
            f"{sys.executable} -m {line} --cluster inline", shell=True, check=True, capture_output=True, cwd=folder
        )
    with_xarray, with_stemdask = blocks(ROOT / "README.md", "python")
    space: dict[str, Any] = {}
    exec(with_xarray, space)
    assert float(space["tree"]["displacement"].u.mean()) == pytest.approx(0.6 * 29.7, rel=0.05)
    _the_guide_runs()
    shutil.rmtree("bto.zarr")
    shutil.rmtree("bto.stemdask")
    exec(with_stemdask.replace("stack.dm4", "stack.npy"), space)
    assert space["frames"][0].positions.shape[1] == 3
    assert "displacement" in space["tree"].children


def _the_guide_runs() -> None:
    """Type what the first page and the guide do in Python with the stores of the README."""
    (first,) = blocks(ROOT / "docs" / "start.md", "python")
    exec(first, {})
    figures, corrections = blocks(ROOT / "docs" / "guide.md", "python")
    images: dict[str, Any] = {}
    Path("map.png").unlink()
    exec(figures, images)
    assert Path("map.png").stat().st_size > 10_000
    layers = {options["name"]: data for data, options, _ in images["tree"].stemdask.to_napari()}
    images["viewer"] = SimpleNamespace(layers={"columns": SimpleNamespace(data=layers["columns"][1:])})
    exec(corrections, images)
    assert Path("edits.csv").read_text().splitlines()[1].startswith("0,remove,")

    text = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")
    table = text.partition("| what | how |\n")[2].partition("\n\n")[0]
    atoms = {"tree": stemdask.open_results("pt.zarr")}
    given: dict[str, Any] = {}
    for code in re.findall(r"`((?:tree\.|d\.assign)[^`]+)`", table):
        if ".track(" not in code:  # of a run with that analysis
            given[code] = eval(code, atoms if "to_ase" in code else images)
    assert len(given) == 4
    assert given["tree.stemdask.select(3, 5)"].sizes == {"frame": 1}
    assert len(given["tree.stemdask.to_ase(frame=0)"]) == len(atoms["tree"]["atoms"].x[0].dropna("atom"))
    assert Path("displacement.nc").exists()


@pytest.mark.long
def test_examples_of_public_functions_give_what_they_say(folder: Path) -> None:
    """Every function of the page of the API that has parameters has an example, and the examples are true."""
    here = {"cluster": {"kind": "inline"}}
    stemdask.run({"input": {"path": "stack.npy"}, "output": "stack.zarr"} | here)
    of_atoms = {"input": {"path": "stage*.pdb"}, "output": "pt.zarr", "analyses": {"bond_order": {}, "tracks": {}}}
    stemdask.run(of_atoms | here)
    public = [getattr(stemdask, name) for name in stemdask.__all__ if name != "__version__"]
    public += [getattr(simulate, name) for name in simulate.__all__ if not isinstance(getattr(simulate, name), type)]
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    ways = [one for name, one in vars(Accessor).items() if isfunction(one) and name[0] != "_" and name != "view"]
    for thing in [*public, *ways, GroupAccessor, Plots]:
        (test,) = doctest.DocTestFinder(recurse=False).find(thing, thing.__name__)
        assert test.examples, f"{thing.__name__} has no example"
        runner.run(test)
    assert runner.summarize(verbose=False).failed == 0


@pytest.mark.claims
@pytest.mark.long
def test_freud_and_the_code_in_its_place_give_the_same(folder: Path) -> None:
    pytest.importorskip("freud")
    theirs, ours = blocks(ROOT / "docs" / "coming_from" / "freud.md", "python")
    space: dict[str, Any] = {}
    exec(theirs, space)
    expected = np.asarray(space["q6_avg"])
    exec(ours, space)
    np.testing.assert_allclose(space["q6_avg"], expected, atol=1e-5)


@pytest.mark.long
@pytest.mark.parametrize("page", ["atomap", "topotem", "statstem", "pyboo", "ovito"])
def test_the_code_in_the_place_of_another_program_runs(page: str, folder: Path) -> None:
    (code,) = (code for code in blocks(ROOT / "docs" / "coming_from" / f"{page}.md", "python") if "sd.run" in code)
    for named, there in {"image.hspy": "stack.npy", "image.dm4": "stack.npy", "particle.dm4": "stack.npy"}.items():
        code = code.replace(named, there)
    code = code.replace("trajectory.xyz", "particle.pdb").replace(
        '"output":', '"cluster": {"kind": "inline"}, "output":'
    )
    space: dict[str, Any] = {}
    exec(code, space)
    assert {"displacement", "intensity", "atoms"} & set(space["tree"].children)


def test_pyboo_s_particle_has_the_same_order_on_arrays(folder: Path) -> None:
    from ase.io import read

    *_, on_arrays = blocks(ROOT / "docs" / "coming_from" / "pyboo.md", "python")
    space: dict[str, Any] = {"x": read("particle.pdb").positions}
    exec(on_arrays, space)
    assert np.median(space["q6"]) == pytest.approx(0.5745, abs=0.01)  # of fcc


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout, with the site that was built from it in `site`."""
    for package in ("myst_nb", "pydata_sphinx_theme", "sphinx_copybutton", "sphinx_gallery"):
        pytest.importorskip(package)
    made = shutil.ignore_patterns(
        ".*", "build", "tests", "stemdask-demo", "auto_gallery", "auto_reports", "api", "__pycache__"
    )
    copy = shutil.copytree(ROOT, tmp_path_factory.mktemp("site") / "copy", ignore=made)
    subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", str(copy / "docs"), str(copy / "site")],
        check=True,
        env=os.environ | {"PYTHONPATH": str(copy)},
    )
    return copy


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_site_builds_without_a_warning(built: Path) -> None:
    assert (built / "site" / "tutorials" / "batio3.html").exists()


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_formulas_need_neither_a_script_nor_the_network(built: Path) -> None:
    page = (built / "site" / "numbers.html").read_text(encoding="utf-8")
    assert page.count("<math ") > 40
    assert "mathjax" not in page.lower()


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_pictures_of_the_readme_are_those_of_the_demo(built: Path, tmp_path: Path) -> None:
    draw = runpy.run_path(str(ROOT / "docs" / "make_pictures.py"))["draw"]
    draw(built / "docs" / "gallery" / "stemdask-demo", tmp_path)
    for name in ("images.png", "atoms.png"):
        drawn, kept = (_look(folder / name) for folder in (tmp_path, ROOT / "docs" / "_static"))
        assert np.abs(drawn - kept).mean() < 3, f"{name}: run python docs/make_pictures.py stemdask-demo"


def _look(picture: Path) -> np.ndarray:
    """Return a picture in colour, so small that fonts make no difference, from 0 to 255."""
    with Image.open(picture) as image:
        return np.asarray(image.convert("RGB").resize((96, 64), Image.Resampling.BOX), float)
