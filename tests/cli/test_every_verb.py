"""Every verb runs on the stores of both halves with all their analyses, and on what they were made of."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import typer.main
from typer.testing import CliRunner

from stemdask import export, report
from stemdask.cli.main import app
from stemdask.export import EXPORTS
from stemdask.view.reading import Frames

#: Arguments of each verb that reads a store, or the input of one; {out} is an empty folder.
OF_A_STORE = {
    "cite": ["{store}"],
    "status": ["{store}"],
    "verify": ["{store}"],
    "report": ["{store}", "-o", "{out}/report.html"],
    "figures": ["{store}", "-o", "{out}", "--format", "png", "--only", "{figure}"],
}
OF_AN_INPUT = {
    "init": ["{input}"],
    "inspect": ["{input}"],
    "preview": ["{input}", "-o", "{out}/preview.png"],
    "check": ["{input}"],
    "plan": ["{input}", "-o", "{out}/a.zarr"],
    "run": ["{input}", "-o", "{out}/a.zarr", "--cluster", "inline", "--no-report"],
}
#: Verbs that other tests run, with the file of these.
ELSEWHERE = {
    "demo": "cli/test_demo.py",
    "doctor": "slurm/test_jobs.py",
    "export": "cli/test_every_verb.py",
    "pack": "cli/test_every_verb.py",
    "schema": "cli/test_main.py",
    "submit": "engine/queues/test_submit.py",
    "tune": "tuning/test_images.py",
    "view": "view/test_server.py",
}
#: Formats that hold one half alone.
OF_ATOMS, OF_IMAGES = ("pdb", "extxyz"), ("hspy",)
#: Bytes of a page with pictures.
LEAST_PAGE = 100_000


def test_the_table_has_every_verb() -> None:
    verbs = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    assert OF_A_STORE.keys() | OF_AN_INPUT.keys() | ELSEWHERE.keys() == verbs
    for verb, file in ELSEWHERE.items():
        assert verb in (Path(__file__).parents[1] / file).read_text()


@pytest.fixture(params=["images", "atoms"])
def store(request: pytest.FixtureRequest) -> Path:
    made: Path = request.getfixturevalue(f"every_{'image' if request.param == 'images' else 'atoms'}_analysis")
    return made


@pytest.mark.long
@pytest.mark.processes
@pytest.mark.parametrize(
    "verb",
    [pytest.param(verb, marks=pytest.mark.slow if verb == "report" else ()) for verb in OF_A_STORE | OF_AN_INPUT],
)
def test_a_verb_runs_on_both_halves(verb: str, store: Path, tmp_path: Path) -> None:
    given = next(path for path in store.parent.iterdir() if path.suffix in (".npy", ".xyz"))
    figure = "columns" if given.suffix == ".npy" else "rdf"
    words = (OF_A_STORE | OF_AN_INPUT)[verb]
    told = [word.format(store=store, input=given, out=tmp_path, figure=figure) for word in words]
    done = CliRunner().invoke(app, [verb, *told])
    assert done.exit_code == 0, done.output
    assert done.stdout.strip()


@pytest.fixture
def copied(store: Path, tmp_path: Path) -> Path:
    """A copy of the store, its run directory and its input."""
    return Path(shutil.copytree(store.parent, tmp_path / "copy")) / store.name


def test_pack_says_how_many_files_there_were_and_are_and_a_second_time_that_it_is_done(copied: Path) -> None:
    first, again = (CliRunner().invoke(app, ["pack", str(copied)]) for _ in range(2))
    n_files = sum(path.is_file() for path in copied.rglob("*"))
    assert (first.exit_code, again.exit_code) == (0, 0)
    assert re.fullmatch(rf"{copied}: \d+ files became {n_files}\n", first.stdout)
    assert again.stdout == f"{copied}: nothing to join, {n_files} files\n"


@pytest.mark.long
@pytest.mark.processes
def test_every_verb_that_reads_a_store_says_and_writes_the_same_of_a_packed_one(copied: Path, tmp_path: Path) -> None:
    half = "images" if "image" in copied.name else "atoms"
    formats = [name for name in EXPORTS if name not in (OF_ATOMS if half == "images" else OF_IMAGES)]
    ways = {verb: words for verb, words in OF_A_STORE.items() if verb != "report"}
    ways |= {f"export {name}": ["{store}", "--format", name, "-o", "{out}"] for name in formats}
    figure = "columns" if half == "images" else "rdf"

    def found(out: Path) -> dict[str, object]:
        said: dict[str, object] = {}
        for way, words in ways.items():
            told = [word.format(store=copied, out=out / way, figure=figure) for word in words]
            done = CliRunner().invoke(app, [way.split()[0], *told])
            assert done.exit_code == 0, done.output
            said[way] = done.stdout.replace(str(out), "")
        said |= {str(path.relative_to(out)): _content(path) for path in sorted(out.rglob("[!.]*")) if path.is_file()}
        return said | {"summary": report.summary(copied), "view": _seen(Frames(copied))}

    before = found(tmp_path / "before")
    assert CliRunner().invoke(app, ["pack", str(copied)]).exit_code == 0
    assert found(tmp_path / "after") == before
    assert report.write(copied, tmp_path / "report.html").stat().st_size > LEAST_PAGE


def _seen(frames: Frames) -> str:
    """Return what the viewer shows of a thing, in its frame and in all of them."""
    shown = frames.first_property()
    assert shown is not None
    thing = frames.thing(shown, 1, 2)
    assert thing is not None
    return repr((frames.things(shown, 1), frames.told(shown, 1, 2), list(frames.series(shown, thing))))


def _content(path: Path) -> object:
    """Return the bytes of a file; nothing of an HDF5 file, in which times stand."""
    return None if path.suffix == ".hspy" else path.read_bytes()


@pytest.mark.long
def test_no_file_of_an_export_takes_the_place_of_another(store: Path, tmp_path: Path) -> None:
    written: list[Path] = []
    for name in EXPORTS:
        if name in (OF_ATOMS if "image" in store.name else OF_IMAGES):
            continue  # it holds the other half alone
        paths = export.write(store, name, tmp_path)
        assert paths, name
        written += paths
    names = [path.name.casefold() for path in written]
    assert len(set(names)) == len(names) > len(EXPORTS) - len(OF_ATOMS)
    assert all(path.exists() for path in written)
