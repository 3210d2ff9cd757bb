"""The job that runs the driver: a readable sbatch script beside the store, filled with the plan's numbers."""

from __future__ import annotations

import math
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

from stemdask.config import clusters as kinds
from stemdask.config import keys as configs
from stemdask.engine.isolate import ONE_THREAD
from stemdask.engine.queues.jobs import Jobs
from stemdask.engine.queues.script import WORKER_BYTES, too_long
from stemdask.errors import ClusterError, ConfigError
from stemdask.planning import plan as plans
from stemdask.store import place

#: Memory of a driver whose workers are elsewhere.
DRIVER_BYTES = 2 * 2**30
#: The time asked for is this many times the estimate, and never less than half an hour.
PATIENCE = 3

_SCRIPT = Template("""\
#!/bin/bash
# Runs the driver of $store; submitted by 'stemdask submit', and may be edited and submitted again.
#SBATCH --job-name=$name
#SBATCH --output=$log
#SBATCH --open-mode=append
#SBATCH --chdir=$folder
#SBATCH --time=$time
$resources
#SBATCH --requeue
#SBATCH --signal=B:TERM@120
$directives
set -euo pipefail
$threads

# The driver gets SLURM's warning before the walltime, saves its state and leaves with 75; then the job is requeued.
$python -m stemdask run $config &
driver=$$!
trap 'kill -TERM "$$driver"' TERM USR1
code=0
while kill -0 "$$driver" 2>/dev/null; do wait "$$driver" && code=0 || code=$$?; done
if [ "$$code" -eq 75 ]; then scontrol requeue "$$SLURM_JOB_ID" || true; fi
exit "$$code"
""")


@dataclass(frozen=True, slots=True)
class Submission:
    """A script that is written, and its job once it is submitted."""

    script: Path
    text: str
    log: str
    store: Path


def write(config: Path, document: configs.Document, directives: Sequence[str] = ()) -> Submission:
    """Write the script of a config beside its store.

    Raises
    ------
    ConfigError
        The config or a directive is wrong.
    ClusterError
        A path can't stand in a job script.
    """
    resolved = plans.resolve(document)
    store = Path(resolved.config.output).expanduser().absolute()
    place.is_taken(store)
    survey = plans.survey(resolved)
    plan = plans.draw(resolved, survey, store)
    cluster = resolved.config.cluster
    if isinstance(cluster, kinds.Slurm) and (why := too_long(cluster.walltime, plan.block_frames, survey.seconds)):
        raise ConfigError(why, where="cluster.walltime")
    for directive in directives:
        try:
            kinds.check_directive(directive)
        except ValueError as error:
            raise ConfigError(str(error), where="--directive") from None
    folder = place.open_run_directory(store)
    for path in (folder, Path.cwd(), config.absolute()):
        try:
            kinds.check_path(str(path))
        except ValueError as error:
            raise ClusterError(str(error)) from None
    workers, resources = _resources(cluster, plan.limits.memory, len(plans.blocks(plan)))
    minutes = max(30, math.ceil(PATIENCE * plans.estimate(plan, survey).minutes / workers))
    log = f"{folder}/driver-%j.log"
    text = _SCRIPT.substitute(
        store=store,
        name=f"stemdask-{store.name.removesuffix('.zarr')}",
        log=log,
        folder=Path.cwd(),
        time=f"{minutes // 60:02d}:{minutes % 60:02d}:00",
        resources="\n".join(f"#SBATCH {line}" for line in resources),
        directives="\n".join(f"#SBATCH {line}" for line in [*_site(cluster), *directives]),
        threads="\n".join(f"export {name}={value}" for name, value in ONE_THREAD.items()),
        python=shlex.quote(sys.executable),
        config=shlex.quote(str(config.absolute())),
    ).replace("\n\nset -euo", "\nset -euo")
    script = folder / "driver.sbatch"
    script.write_text(text)
    return Submission(script, text, log, store)


def send(submission: Submission) -> str:
    """Submit a script; return the id of its job. Raise ClusterError with SLURM's words where it is refused."""
    jobs = Jobs("stemdask-")
    jobs.test(submission.text)
    return jobs.submit(submission.text, f"stemdask-{submission.store.name.removesuffix('.zarr')}")


def _resources(cluster: kinds.Cluster, frame_memory: int, n_blocks: int) -> tuple[int, list[str]]:
    """Return the workers, and what the driver's job asks for."""
    one = WORKER_BYTES + frame_memory
    match cluster:
        case kinds.Slurm():
            most = cluster.workers if isinstance(cluster.workers, int) else cluster.workers.max
            return min(most, n_blocks), ["--ntasks=1", "--cpus-per-task=1", f"--mem={_mib(DRIVER_BYTES)}"]
        case kinds.Allocation():
            return cluster.workers, [f"--ntasks={cluster.workers}", "--cpus-per-task=1", f"--mem-per-cpu={_mib(one)}"]
        case kinds.Threads() | kinds.Processes():
            if cluster.workers == "auto":
                raise ConfigError(
                    "a job asks for a number of cores", where="cluster.workers", value="auto", allowed="a number"
                )
            cores = cluster.workers
            return cores, ["--ntasks=1", f"--cpus-per-task={cores}", f"--mem={_mib(DRIVER_BYTES + cores * one)}"]
        case kinds.Inline() | kinds.Address():
            return 1, ["--ntasks=1", "--cpus-per-task=1", f"--mem={_mib(DRIVER_BYTES + one)}"]


def _site(cluster: kinds.Cluster) -> list[str]:
    if not isinstance(cluster, kinds.Slurm):
        return []
    keys = {"partition": cluster.partition, "account": cluster.account}
    return [f"--{key}={value}" for key, value in keys.items() if value is not None]


def _mib(size: int) -> str:
    return f"{math.ceil(size / 2**20)}M"
