"""Every verb runs on the stores of both halves with all their analyses, and on what they were made of."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer.main
from typer.testing import CliRunner

from stemdask import export
from stemdask.cli.main import app
from stemdask.export import EXPORTS

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
    "schema": "cli/test_main.py",
    "submit": "engine/queues/test_submit.py",
    "tune": "tuning/test_images.py",
    "view": "view/test_server.py",
}
#: Formats that hold one half alone.
OF_ATOMS, OF_IMAGES = ("pdb", "extxyz"), ("hspy",)


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
