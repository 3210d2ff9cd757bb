"""The command line as a user meets it: exit codes, sentences, and no traceback."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

from stemdask import report, simulate
from stemdask.cli.main import _ended, app
from stemdask.config.document import store_beside
from stemdask.engine.driver import Outcome
from stemdask.errors import StemdaskError
from stemdask.model import FrameStatus

pytestmark = pytest.mark.processes


def stemdask(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "stemdask", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=240, check=False)


def write_atoms(path: Path, n_frames: int = 4) -> None:
    trajectory = simulate.trajectory(simulate.nanocrystal(14.0), n_frames, sigma=0.05, seed=2)
    with path.open("w") as handle:
        for frame in map(trajectory.read, range(n_frames)):
            handle.write(f"{len(frame.positions)}\n\n")
            handle.writelines(f"Pt {x:.5f} {y:.5f} {z:.5f}\n" for x, y, z in frame.positions)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    write_atoms(folder / "pt.xyz")
    done = stemdask("run", "pt.xyz", "-o", "pt.zarr", "--cluster", "inline", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_a_run_without_config_writes_a_store_a_report_and_a_line_a_frame(finished: Path) -> None:
    tree = xr.open_datatree(finished / "pt.zarr", engine="zarr")
    assert tree.attrs["state"] == "complete"
    assert (tree["frames"]["frame_status"].values == 1).all()
    assert (finished / "pt.stemdask" / "report.html").stat().st_size > 50_000


def test_running_again_does_nothing_and_says_so(finished: Path) -> None:
    again = stemdask("run", "pt.xyz", "-o", "pt.zarr", "--cluster", "inline", cwd=finished)
    assert again.returncode == 0
    assert "0 frames done" in again.stdout
    assert "diameter" in again.stdout


def test_the_end_of_a_run_says_what_was_found_without_a_report_too(finished: Path) -> None:
    page = finished / "pt.stemdask" / "report.html"
    written = page.stat().st_mtime_ns
    done = stemdask("run", "pt.xyz", "-o", "pt.zarr", "--cluster", "inline", "--no-report", cwd=finished)
    assert done.returncode == 0
    _, *lines = done.stdout.splitlines()
    assert lines == [*report.summary(finished / "pt.zarr"), f"store:  {finished / 'pt.zarr'}"]
    assert sum(line.startswith("frame ") for line in lines) == 4
    assert page.stat().st_mtime_ns == written


def test_a_run_that_cannot_be_summed_up_is_none_the_worse(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    error = StemdaskError("the summary failed: its process was ended by SIGKILL")

    def ends(store: Path) -> None:
        raise error

    outcome = Outcome(tmp_path / "o.zarr", "complete", dict.fromkeys(FrameStatus, 0), fresh=0, seconds=0.1)
    monkeypatch.setattr("stemdask.engine.run.execute", lambda *arguments, **options: outcome)
    monkeypatch.setattr("stemdask.report.fenced.sum_up", ends)
    done = CliRunner().invoke(app, ["run", "pt.xyz", "-o", "o.zarr", "--no-report"])
    assert done.exit_code == 0
    assert done.stdout.splitlines()[1:] == [str(error), f"store:  {tmp_path / 'o.zarr'}"]


def test_a_run_whose_listener_goes_is_continued_where_there_never_was_one(finished: Path, tmp_path: Path) -> None:
    run = f"{sys.executable} -m stemdask run {finished / 'pt.xyz'} -o pt.zarr --cluster inline"
    for how in ("2>&1 | true", "<&- >&- 2>&-"):
        subprocess.run(["bash", "-c", f"{run} {how}"], cwd=tmp_path, check=False, timeout=240)
    status = stemdask("status", "pt.zarr", cwd=tmp_path)
    assert "complete, 4 of 4 frames done" in status.stdout
    assert stemdask("verify", "pt.zarr", cwd=tmp_path).returncode == 0


def test_a_quiet_run_says_nothing_unless_something_went_wrong(finished: Path, tmp_path: Path) -> None:
    quiet = stemdask("run", finished / "pt.xyz", "-o", "pt.zarr", "-q", "--cluster", "inline", cwd=tmp_path)
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")
    assert (tmp_path / "pt.stemdask" / "report.html").exists()
    bad = tmp_path / "bad.xyz"
    bad.write_text((finished / "pt.xyz").read_text().replace("Pt ", "Pt nan ", 1))
    wrong = stemdask("run", bad, "-o", "bad.zarr", "-q", "--cluster", "inline", cwd=tmp_path)
    assert wrong.returncode != 0
    assert wrong.stdout + wrong.stderr


def test_every_variable_of_a_store_has_units_and_a_long_name(finished: Path) -> None:
    tree = xr.open_datatree(finished / "pt.zarr", engine="zarr")
    for group in tree.subtree:
        for name, variable in group.variables.items():
            is_text = variable.dtype.kind not in "biuf"
            assert is_text or variable.attrs.get("units"), f"{group.path}/{name}"
            assert variable.attrs.get("long_name"), f"{group.path}/{name}"


def test_the_report_holds_its_pictures_and_asks_the_network_for_nothing(finished: Path) -> None:
    page = (finished / "pt.stemdask" / "report.html").read_text()
    assert page.count("data:image/webp;base64,") >= 5
    assert 'src="http' not in page
    assert "default-src 'none'" in page


def test_status_and_verify_need_the_store_alone(finished: Path) -> None:
    status = stemdask("status", "pt.zarr", cwd=finished)
    assert status.returncode == 0
    assert "4 of 4 frames done" in status.stdout
    verify = stemdask("verify", "pt.zarr", cwd=finished)
    assert verify.returncode == 0
    assert "all sound" in verify.stdout


def test_a_plan_says_what_a_run_will_take(finished: Path) -> None:
    plan = stemdask("plan", "pt.xyz", cwd=finished)
    assert plan.returncode == 0
    for word in ("frames: 4", "blocks", "GiB", "time: ", "files"):
        assert word in plan.stdout


def test_a_starter_config_passes_its_own_check(finished: Path) -> None:
    written = stemdask("init", "pt.xyz", cwd=finished)
    assert written.returncode == 0, written.stderr
    (finished / "run.yaml").write_text(written.stdout)
    check = stemdask("check", "run.yaml", cwd=finished)
    assert check.returncode == 0, check.stderr
    assert "The config is valid" in check.stdout


def test_the_schema_is_json_and_names_every_analysis(tmp_path: Path) -> None:
    schema = json.loads(stemdask("schema", cwd=tmp_path).stdout)
    assert {"columns", "bond_order"} <= set(schema["properties"]["analyses"]["properties"])


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["run", "none.dm4", "-o", "x.zarr"], 4, "no such file"),
        (["run", "bad.yaml"], 2, "line 2"),
        (["check", "bad.yaml"], 2, "did you mean 'path'"),
        (["status", "none.zarr"], 2, "no store here"),
        (["inspect", "empty.pdb"], 4, "empty.pdb"),
        (["inspect", "pt.xyz", "--set", "input.elements={Pt: Qq}"], 4, "no chemical elements"),
        (["inspect", "pt.xyz", "--set", "input.skale=2"], 2, "did you mean 'scale'"),
        (["run", "pt.xyz", "-o", "thesis"], 2, "not a store that stemdask made"),
        (["frobnicate"], 2, "No such command"),
        (["run", "--retry", "everything", "pt.xyz"], 2, "failed, overflow"),
        (["check", "pt.xyz", "--cluster"], 2, "No such option"),
        (["run", "pt.xyz", "--cluster", "proceses"], 2, "did you mean 'processes'?"),
        (["verify", "none.zarr"], 2, "no store here"),
        (["demo", "-o", "pt.xyz"], 74, "can't be created"),
        (["preview", "pt.xyz", "-o", "x" * 300 + ".png"], 2, "File name too long. Choose another name"),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, list) else None,
)
def test_a_mistake_gets_a_sentence_and_its_exit_code(
    tmp_path: Path, arguments: list[str], code: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bad.yaml").write_text("input:\n  paht: x.dm4\noutput: x.zarr\n")
    (tmp_path / "empty.pdb").touch()
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.tex").write_text("years of work")
    write_atoms(tmp_path / "pt.xyz", 1)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == code, done.output
    assert words in " ".join(done.output.split())
    assert "Traceback" not in done.output
    assert (tmp_path / "thesis" / "thesis.tex").read_text() == "years of work"


def test_a_process_ends_with_the_exit_code_and_the_sentence_of_its_mistake(tmp_path: Path) -> None:
    done = stemdask("run", "none.dm4", "-o", "x.zarr", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (4, "")
    assert "no such file" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_report_is_written_over_a_report_and_over_nothing_else(finished: Path) -> None:
    page, thesis = finished / "page.html", finished / "thesis.tex"
    thesis.write_text("years of work")
    shutil.copy(finished / "pt.stemdask" / "report.html", page)
    os.utime(page, (0, 0))
    assert stemdask("report", "pt.zarr", "-o", page, cwd=finished).returncode == 0
    assert page.stat().st_mtime > 0
    done = stemdask("report", "pt.zarr", "-o", thesis, cwd=finished)
    assert done.returncode == 2
    assert "nothing else is overwritten" in done.stderr
    assert thesis.read_text() == "years of work"


def test_a_setting_without_config_keeps_the_usual_analyses(finished: Path) -> None:
    done = stemdask("check", "pt.xyz", "--set", "analyses.bond_order.threshold=0.7", cwd=finished)
    assert done.returncode == 0, done.stderr
    assert {"shape", "rdf", "coordination", "bond_order"} <= set(re.findall(r"\w+", done.stdout))


def test_a_cluster_without_a_kind_is_one_of_processes(finished: Path) -> None:
    assert stemdask("check", "pt.xyz", "--set", "cluster.workers=1", cwd=finished).returncode == 0
    done = stemdask("check", "pt.xyz", "--set", "cluster.partition=long", cwd=finished)
    assert done.returncode == 2
    assert "cluster.partition: unknown key" in done.stderr


def test_a_check_says_what_is_odd_about_the_input(tmp_path: Path) -> None:
    np.save(tmp_path / "image.npy", np.ones((32, 32)))
    done = stemdask("check", "image.npy", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "warning: the file states no pixel size" in done.stdout


def test_a_check_refuses_an_output_that_is_no_store(tmp_path: Path) -> None:
    np.save(tmp_path / "image.npy", np.ones((32, 32)))
    done = stemdask("check", "image.npy", "--set", "output=image.npy", cwd=tmp_path)
    assert done.returncode == 2
    assert "image.npy: this is not a store that stemdask made" in done.stderr


def test_long_planning_is_told_beside_the_time_of_the_frames() -> None:
    outcome = Outcome(Path("a.zarr"), "complete", {FrameStatus.OK: 1}, 1, 0.6)
    assert _ended(outcome, 0.9) == "complete: 1 ok; 1 frame done in 0.6 s"
    assert _ended(outcome, 40.9) == "complete: 1 ok; 1 frame done in 0.6 s, after 40 s of planning"


@pytest.mark.parametrize(
    ("item", "store"),
    [
        ("data/COM_3-2_2.7nm.pdb", "COM_3-2_2.7nm.zarr"),
        ("stage*_docked.pdb", "stage.zarr"),
        ("frames/*.tif", "results.zarr"),
        ("frames/", "frames.zarr"),
        ("stack.zarr", "stack-results.zarr"),
    ],
)
def test_a_store_without_a_name_is_called_like_its_input(item: str, store: str) -> None:
    assert store_beside(item) == store


def test_a_doubtful_contrast_is_refused_with_both_pictures_and_dark_columns_are_said_in_the_first_line(
    tmp_path: Path,
) -> None:
    y, x = np.indices((120, 130)) * (2 * np.pi / 13.0)
    np.save(tmp_path / "waves.npy", np.cos(y) + np.cos(x))
    refused = stemdask("run", "waves.npy", "-o", "waves.zarr", "--cluster", "inline", cwd=tmp_path)
    assert refused.returncode == 4
    assert "input.invert" in refused.stderr
    picture = Path(refused.stdout.removeprefix("both contrasts: ").strip())
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert not (tmp_path / "waves.zarr").exists()
    image, _ = simulate.perovskite((120, 130), 13.0, seed=1)
    np.save(tmp_path / "abf.npy", image.max() - image)
    done = stemdask("run", "abf.npy", "-o", "abf.zarr", "--cluster", "inline", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.search(r"frame 0: \d+ dark columns;", done.stdout)
