"""What a site, or the user once for all, says in dask-jobqueue's file; and profiles."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import dask.config
import pytest
import yaml

from stemdask.config import profiles, site
from stemdask.config.clusters import Batch
from stemdask.config.document import Document
from stemdask.config.problems import validate
from stemdask.config.values import walltime_text
from stemdask.errors import ConfigError


@pytest.fixture
def says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Write a jobqueue.yaml, the only one there is."""
    monkeypatch.setattr(dask.config, "paths", [str(tmp_path / "dask")])

    def write(**keys: Any) -> None:
        (tmp_path / "dask").mkdir(exist_ok=True)
        text = yaml.safe_dump({"jobqueue": {"slurm": {key.replace("_", "-"): value for key, value in keys.items()}}})
        (tmp_path / "dask" / "jobqueue.yaml").write_text(text)

    return write


def test_the_file_of_a_site_fills_what_the_config_leaves_open(says: Any) -> None:
    says(queue="theirs", account="theirs", walltime="02:00:00", memory="8 GiB", cores=4, interface="ib0")
    filled = site.filled(Batch(kind="slurm", account="mine"))
    assert (filled.partition, filled.account, filled.walltime) == ("theirs", "mine", "02:00:00")
    assert (filled.memory, filled.cores, filled.interface) == (8 * 2**30, 4, "ib0")


@pytest.mark.processes
def test_the_file_of_all_users_and_ones_own_are_both_read(tmp_path: Path) -> None:
    """As Dask finds them; one's own has the last word, key by key."""
    theirs, mine = tmp_path / "etc", tmp_path / "home/.config/dask"
    for folder, keys in ((theirs, {"queue": "theirs", "account": "theirs"}), (mine, {"account": "mine"})):
        folder.mkdir(parents=True)
        (folder / "jobqueue.yaml").write_text(yaml.safe_dump({"jobqueue": {"slurm": keys}}))
    show = "from stemdask.config import site; print(sorted(site.settings('slurm').items()))"
    where = {"HOME": str(tmp_path / "home"), "DASK_ROOT_CONFIG": str(theirs)}
    clean = {key: value for key, value in os.environ.items() if not key.startswith("DASK_")}
    command = [sys.executable, "-c", show]
    said = subprocess.run(command, env=clean | where, capture_output=True, text=True, check=True).stdout
    assert said == "[('account', 'mine'), ('queue', 'theirs')]\n"


def test_without_a_file_nothing_changes(says: Any) -> None:
    assert site.filled(Batch(kind="slurm", walltime="03:00:00")) == Batch(kind="slurm", walltime="03:00:00")


def test_lists_hold_what_both_say(says: Any) -> None:
    says(
        job_extra_directives=["--clusters=a"],
        job_script_prologue=["ml gcc && ulimit -c 0"],
        worker_extra_args=["--x"],
        job_directives_skip=["--mem"],
    )
    mine = Batch(
        kind="slurm",
        job_extra_directives=("--nice=5",),
        prologue=("module load b",),
        options={"job_directives_skip": ["-t"]},
    )
    filled = site.filled(mine)
    assert filled.job_extra_directives == ("--clusters=a", "--nice=5")
    assert filled.prologue == ("ml gcc && ulimit -c 0", "module load b"), "the site's own lines aren't checked"
    assert filled.options == {"worker_extra_args": ["--x"], "job_directives_skip": ["--mem", "-t"]}


def test_directives_of_htcondor_are_keys_and_values(monkeypatch: pytest.MonkeyPatch) -> None:
    written = {"job-extra-directives": {"requirements": "HasGPFS"}}
    monkeypatch.setattr("dask.config.collect", lambda paths: {"jobqueue": {"htcondor": written}})
    filled = site.filled(Batch(kind="htcondor", job_extra_directives=("--x",)))
    assert filled.job_extra_directives == ("requirements = HasGPFS", "--x")


def test_a_size_that_the_config_names_is_the_last_word(says: Any) -> None:
    says(job_mem="7G", job_cpu=8, cores=8)
    assert site.filled(Batch(kind="slurm")).options == {"job_mem": "7G", "job_cpu": 8}
    assert site.filled(Batch(kind="slurm", memory="4 GiB", cores=2)).options == {}


def test_names_of_old_are_understood(says: Any) -> None:
    says(env_extra=["a"], job_extra=["-b"], extra=["--c"], header_skip=["-d"], project="e")
    filled = site.filled(Batch(kind="slurm"))
    assert (filled.prologue, filled.job_extra_directives, filled.account) == (("a",), ("-b",), "e")
    assert filled.options == {"worker_extra_args": ["--c"], "job_directives_skip": ["-d"]}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (90, "01:30:00"),
        ("30:00", "00:30:00"),
        ("12:30:45", "12:30:45"),
        ("2-12", "2-12:00:00"),
        ("1-01:30", "1-01:30:00"),
        ("48:00:00", "2-00:00:00"),
    ],
)
def test_walltimes_of_slurm_are_read_in_all_its_forms(value: object, text: str) -> None:
    assert walltime_text(value, 60) == text


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Write profiles, the user's or the site's."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(tmp_path / "site"))

    def write(where: str, **named: Any) -> None:
        path = tmp_path / where / "stemdask" / "profiles.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(named))

    return write


def _config(**cluster: Any) -> Document:
    return Document({"input": {"path": "a.tif"}, "output": "a.zarr", "cluster": cluster})


def test_a_profile_lies_under_the_keys_of_the_config(written: Any) -> None:
    written("home", hpc2={"kind": "slurm", "partition": "long", "walltime": "04:00:00", "prologue": ["ml python"]})
    document = profiles.lay_under(_config(profile="hpc2", walltime="01:00:00", prologue=["export A=B"]))
    config, problems = validate(document)
    assert problems == []
    assert config is not None
    cluster = config.cluster
    assert isinstance(cluster, Batch)
    assert (cluster.partition, cluster.walltime) == ("long", "01:00:00")
    assert cluster.prologue == ("ml python", "export A=B")


def test_the_users_profile_has_the_last_word(written: Any) -> None:
    written("site", hpc={"kind": "slurm", "partition": "site"}, other={"kind": "slurm"})
    written("home", hpc={"kind": "slurm", "partition": "user"})
    assert profiles.known()["hpc"]["partition"] == "user"
    assert set(profiles.known()) == {"hpc", "other"}


@pytest.mark.parametrize(
    "line",
    ["ml gcc", "module --force purge", "conda activate stem", ". venv/bin/activate", "ulimit -s 1", "export A=$HOME/x"],
)
def test_lines_that_people_have_are_allowed_in_their_own_file_and_not_in_a_config(written: Any, line: str) -> None:
    written("home", mine={"kind": "slurm", "prologue": [line]})
    assert validate(profiles.lay_under(_config(profile="mine")))[1] == []
    written("home", mine={"kind": "slurm"})
    (problem,) = validate(profiles.lay_under(_config(profile="mine", prologue=[line])))[1]
    assert "put it into your own profile" in problem


def test_a_command_at_the_end_may_only_stand_in_their_own_file(written: Any) -> None:
    written("home", mine={"kind": "slurm", "on_end": "notify $STEMDASK_STORE"})
    assert validate(profiles.lay_under(_config(profile="mine")))[1] == []
    (problem,) = validate(profiles.lay_under(_config(profile="mine", on_end="reboot")))[1]
    assert "is only allowed in your own profile" in problem


def test_a_profile_that_is_not_there_names_those_that_are(written: Any) -> None:
    written("home", hpc1={"kind": "slurm"}, hpc2={"kind": "slurm"})
    with pytest.raises(ConfigError, match=r"got 'hpc3'; allowed: hpc1, hpc2"):
        profiles.lay_under(_config(profile="hpc3"))


def test_other_keys_of_a_profile_are_held_against_the_same_rules(written: Any) -> None:
    written("home", bad={"kind": "slurm", "partition": "a; reboot"})
    assert "is not a valid name" in validate(profiles.lay_under(_config(profile="bad")))[1][0]
