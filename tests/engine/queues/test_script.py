"""The script of a worker's job: what stands in it, and what a config can't put there."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import toy
from pydantic import ValidationError

from stemdask.config import clusters as kinds
from stemdask.config.shell_safe import check_path
from stemdask.engine.queues import script as scripts
from stemdask.engine.queues.script import WorkerScript
from stemdask.engine.queues.slurm import QUEUE
from stemdask.engine.workers.leaving import BEGAN, LEAVE_AFTER
from stemdask.fence.process import ONE_THREAD

CONFIG = kinds.Batch(kind="slurm", walltime="00:30:00", prologue=("module load python",))
BASE = """\
#!/usr/bin/env bash

#SBATCH -p compute
#SBATCH --mem=4096M

/env/bin/python -m distributed.cli.dask_worker tls://10.0.0.1:8786 --name dummy-name --nthreads 4 --nthreads 1
"""
#: What runs a command where it reaches a shell, or ends the line that it stands in.
HOSTILE = [
    "a; touch {canary}", "$(touch {canary})", "`touch {canary}`", "a\ntouch {canary}", "a & touch {canary}",
"a' touch {canary}", 'a" touch {canary}', "a | touch {canary}", "a > {canary}", "a #", "a\x00b", "a\u2028b", "",
]  # fmt: skip


@pytest.fixture
def script(tmp_path: Path) -> WorkerScript:
    return WorkerScript(
        QUEUE, CONFIG, BASE, tmp_path / "scheduler.json", tmp_path, 4 * 2**30, {"STEMDASK_LOG": "/a b/log"}
    )


@pytest.mark.processes
def test_a_script_names_its_job_and_its_log_and_ends_in_exec(script: WorkerScript, tmp_path: Path) -> None:
    lines = script.text("stemdask-ab-1-0-1", 0).splitlines()
    assert lines[0] == "#!/usr/bin/env bash"
    first_command = next(i for i, line in enumerate(lines[1:], 1) if not line.startswith("#"))
    assert all(line.startswith("#SBATCH ") for line in lines[1:first_command]), "SLURM reads no directive after these"
    assert not any(line.startswith("#SBATCH") for line in lines[first_command:])
    assert "#SBATCH -J stemdask-ab-1-0-1" in lines
    assert f"#SBATCH -o {tmp_path}/%j.log" in lines
    assert "#SBATCH --no-requeue --open-mode=append --signal=B:USR1@90" in lines
    assert "export STEMDASK_LOG='/a b/log'" in lines
    assert lines[-1].startswith("exec /env/bin/python")
    assert "--name stemdask-ab-1-0-1" in lines[-1]
    assert {f"export {name}=1" for name in ONE_THREAD} <= set(lines)
    assert subprocess.run(["bash", "-n"], input="\n".join(lines), text=True, check=False).returncode == 0


def test_nothing_but_a_handful_of_variables_is_exported(script: WorkerScript, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TOKEN", "hunter2")
    text = script.text("a", 0)
    exported = next(line for line in text.splitlines() if "--export=" in line).partition("--export=")[2].split(",")
    numeric = {name for name in os.environ if name.startswith(scripts.NUMERIC)}
    assert set(exported) == {name for name in (*scripts.EXPORTED, *QUEUE.kept) if name in os.environ} | numeric
    assert "hunter2" not in text


def test_workers_leave_before_the_walltime_and_not_all_at_once(script: WorkerScript) -> None:
    ends = [script.leaves_after(slot) for slot in range(8)]
    assert len(set(ends)) == 8
    assert all(1800 - 2 * scripts.MARGIN < end <= 1800 - scripts.MARGIN for end in ends)
    assert f"export {LEAVE_AFTER}=1710" in script.text("a", 0)


@pytest.mark.parametrize(
    ("walltime", "margin", "longest"), [("00:01:00", 15, 15), ("01:00:00", 90, 1710), ("1-00:00:00", 90, 43110)]
)
def test_a_short_walltime_has_a_short_margin(walltime: str, margin: float, longest: float) -> None:
    assert scripts.margin(walltime) == margin
    assert scripts.longest_block(walltime) == longest


def test_blocks_that_do_not_fit_twice_into_the_life_of_a_worker_are_named_with_what_would() -> None:
    assert scripts.too_long("01:00:00", 100, 17.0) == ""
    said = scripts.too_long("01:00:00", 100, 18.0)
    assert "a block of 100 frames takes about 1800 s" in said
    assert "block_frames to at most 95" in said
    assert "block_frames to" not in scripts.too_long("01:00:00", 1, 1800.0)


def test_more_memory_is_the_last_word(script: WorkerScript) -> None:
    lines = script.text("a", 0, memory_factor=1.5).splitlines()
    assert [line for line in lines if "--mem=" in line] == ["#SBATCH --mem=4096M", "#SBATCH --mem=6144M"]


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize(
    "key",
    ["partition", "account", "interface", "walltime", "local_directory", "job_extra_directives", "prologue", "options"],
)
def test_what_a_shell_would_act_on_is_refused(key: str, hostile: str) -> None:
    text = hostile.format(canary="/x")
    prefixed = {
        "job_extra_directives": [f"--comment={text}" if text else ""],
        "prologue": [f"module load {text}"],
        "options": {"resource_spec": text},
    }
    value: Any = prefixed.get(key, text)
    with pytest.raises(ValidationError):
        kinds.Batch.model_validate({"kind": "slurm", key: value})


@pytest.mark.parametrize("key", ["partition", "account", "interface", "local_directory", "prologue", "options"])
@pytest.mark.parametrize("sign", list("&|;<>$`(){}*?!~#'\"\\"))
def test_no_sign_that_a_shell_acts_on_is_allowed_within_a_word(key: str, sign: str) -> None:
    text = f"lo{sign}reboot"
    value: Any = {"prologue": [f"source /{text}"], "options": {"job_directives_skip": [text]}}.get(key, text)
    with pytest.raises(ValidationError):
        kinds.Batch.model_validate({"kind": "slurm", key: value})


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_path_that_a_shell_would_act_on_is_refused(hostile: str) -> None:
    with pytest.raises(ValueError, match="can't be used in a job script"):
        check_path(hostile)


@pytest.mark.parametrize(
    "options",
    [
        {"python": "/bin/touch /x"},
        {"job_script_prologue": ["/bin/touch /x"]},
        {"env_extra": ["/bin/touch /x"]},
        {"worker_extra_args": ["--preload", "/x.py"]},
        {"worker_command": "/x"},
        {"scheduler_options": {"preload": "/x.py"}},
        {"scheduler_options": {"dashboard_address": "0.0.0.0:80"}},
        {"scheduler_options": "port"},
        {"job_extra_directives": ["--output=/x"]},
        {"log_directory": "/x"},
        {"security": "none"},
        {"protocol": "tcp"},
        {"shebang": "#!/bin/touch /x"},
        {"shebang": "#!/bin/bash -c reboot"},
        {"job_mem": "1 --wrap=x"},
        {"resource_spec": "--x"},
    ],
)
def test_an_option_that_could_start_a_program_or_open_a_run_is_refused_by_name(options: dict[str, Any]) -> None:
    key = next(iter(options))
    with pytest.raises(ValidationError, match=key if key != "scheduler_options" else "preload|dashboard_address|port"):
        kinds.Batch.model_validate({"kind": "slurm", "options": options})


@pytest.mark.parametrize("key", ["partition", "account", "qos", "reservation", "licenses", "gres", "interface"])
def test_a_name_that_would_read_as_an_option_is_refused(key: str) -> None:
    with pytest.raises(ValidationError, match="is not a valid name"):
        kinds.Batch.model_validate({"kind": "slurm", key: "--wrap=reboot"})


@pytest.mark.parametrize("key", ["constraint", "local_directory", "log_directory"])
def test_a_word_that_would_read_as_an_option_is_refused(key: str) -> None:
    with pytest.raises(ValidationError, match="can't be used in a"):
        kinds.Batch.model_validate({"kind": "slurm", key: "--preload=/x.py"})


def test_what_sites_ask_for_is_allowed() -> None:
    kinds.Batch(
        kind="slurm",
        partition="compute,gpu-long",
        account="proj_1.a",
        interface="ib0",
        walltime="1-12:00:00",
        local_directory="/scratch/me",
        job_extra_directives=("--constraint=[haswell|skylake]&ssd", "--qos=high", "--exclusive"),
        options={
            "shebang": "#!/bin/bash -l",
            "job_cpu": 2,
            "job_mem": "4GB",
            "job_directives_skip": ["--mem", "-t"],
            "resource_spec": "select=1:ncpus=4:mem=8gb",
            "scheduler_options": {"port": 8786},
        },
        prologue=("module load python/3.12", "source /env/bin/activate", "export OMP_PLACES=cores"),
    )


@pytest.mark.processes
def test_several_workers_of_a_job_get_names_of_their_own_and_its_signals(script: WorkerScript, tmp_path: Path) -> None:
    worker = f"{sys.executable} {tmp_path}/worker.py --name dummy-name"
    (tmp_path / "worker.py").write_text(
        "import pathlib, signal, sys, time\n"
        f"mine = pathlib.Path('{tmp_path}', sys.argv[2])\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(mine.write_text('told')))\n"
        "mine.write_text('began')\n"
        "time.sleep(600)\n"
    )
    (tmp_path / "scheduler.json").touch()
    config = CONFIG.model_copy(update={"workers_per_job": 3})
    several = dataclasses.replace(script, config=config, base=f"#!/bin/bash\n{worker}\n", environment={})
    job = subprocess.Popen(["bash", "-c", several.text("a", 0)], env=os.environ | {"TMPDIR": str(tmp_path)})
    names = [tmp_path / f"a-{k}" for k in (1, 2, 3)]
    toy.wait_until(lambda: all(path.exists() and path.read_text() == "began" for path in names), 60)
    job.terminate()
    assert job.wait(60) == 0
    assert [path.read_text() for path in names] == ["told"] * 3


@pytest.mark.processes
def test_the_variables_of_a_job_are_taken_as_they_are(tmp_path: Path) -> None:
    """The script runs up to its exec, with values that a shell would act on."""
    values = {"A": "$(touch canary)", "B": 'it\'s "quoted"; `touch canary`'}
    program = f'import os; print(*map(os.environ.get, ("A", "B", "{BEGAN}")), sep="\\n")'
    show = f"{sys.executable} -c '{program}' --name dummy-name"
    file = tmp_path / "scheduler.json"
    file.touch()
    script = WorkerScript(QUEUE, CONFIG, f"#!/bin/bash\n{show}\n", file, tmp_path, 2**30, values)
    done = subprocess.run(
        ["bash", "-c", script.text("a", 0)],
        cwd=tmp_path,
        env=os.environ | {"TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    *shown, began = done.stdout.splitlines()
    assert shown == list(values.values())
    assert 0 < time.clock_gettime(time.CLOCK_BOOTTIME) - float(began) < 100
    assert not (tmp_path / "canary").exists()
    assert (tmp_path / f"stemdask-numba-{os.getuid()}").stat().st_mode & 0o777 == 0o700
