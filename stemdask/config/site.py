"""What a site or a user sets once for all configs: dask-jobqueue's own file, whose every key is honoured."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stemdask.config.clusters import Batch
from stemdask.config.values import walltime_text

#: Keys of ours that are set there under other names.
_OURS = {
    "partition": "queue",
    "account": "account",
    "cores": "cores",
    "interface": "interface",
    "local_directory": "local-directory",
    "log_directory": "log-directory",
}
#: Lists, which are joined: the file's entries first.
_LISTS = {"job_extra_directives": "job-extra-directives", "prologue": "job-script-prologue"}
#: Keys of ours that, once a config sets them, override the file's under any of its names.
_SIZES = {"cores": ("job-cpu", "ncpus"), "memory": ("job-mem", "mem", "resource-spec")}
#: Old names that dask-jobqueue still accepts.
_OLD = {
    "job-extra": "job-extra-directives",
    "env-extra": "job-script-prologue",
    "extra": "worker-extra-args",
    "header-skip": "job-directives-skip",
    "project": "account",
}
#: What is ours to decide: jobs are named by their run, keys lie in its folder, and a worker is one process.
_NOT_THEIRS = {"name", "processes", "shared-temp-directory", "config-name"}
#: Seconds that a walltime without colons means to each batch system.
_UNIT = {"slurm": 60, "lsf": 60}


def settings(kind: str) -> dict[str, Any]:
    """Return what jobqueue.yaml says of a batch system in /etc/dask, ~/.config/dask and the environment.

    The defaults of dask-jobqueue itself aren't included, so that its 30 minutes aren't mistaken for a setting.
    """
    import dask.config

    found = dask.config.collect(dask.config.paths).get("jobqueue", {})
    section = found.get(kind) if isinstance(found, Mapping) else None
    keys = {str(key).replace("_", "-"): value for key, value in (section or {}).items() if value is not None}
    for old, new in _OLD.items():
        if old in keys and (new != "account" or kind in ("slurm", "pbs")):
            keys.setdefault(new, keys.pop(old))
    return {key: value for key, value in keys.items() if key not in _NOT_THEIRS}


def filled(cluster: Batch) -> Batch:
    """Return a cluster with the site's values for keys that the config omits; lists are joined.

    Entries of the site's or the user's own file are theirs, and aren't restricted to what a config may contain.
    """
    theirs = settings(cluster.kind)
    written = cluster.model_fields_set
    for key, names in _SIZES.items():
        if key in written:
            theirs = {name: value for name, value in theirs.items() if name not in names}
    new: dict[str, Any] = {}
    for ours, name in _OURS.items():
        if (value := theirs.pop(name, None)) is not None and ours not in written:
            new[ours] = str(Path(os.path.expandvars(value)).expanduser()) if ours == "log_directory" else value
    for ours, name in _LISTS.items():
        new[ours] = (*_entries(theirs.pop(name, ())), *getattr(cluster, ours))
    if (value := theirs.pop("walltime", None)) is not None and "walltime" not in written:
        new["walltime"] = walltime_text(value, _UNIT.get(cluster.kind, 1))
    if (value := theirs.pop("memory", None)) is not None and "memory" not in written:
        from dask.utils import parse_bytes

        new["memory"] = parse_bytes(value)
    new["options"] = _merged({key.replace("-", "_"): value for key, value in theirs.items()}, cluster.options)
    return cluster.model_copy(update=new)


def _entries(given: Any) -> list[str]:
    """Return a list, or what HTCondor's section has in its place: keys and values."""
    return [f"{key} = {value}" for key, value in given.items()] if isinstance(given, Mapping) else list(given)


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Override one mapping by another; lists are joined, mappings are merged."""
    found = dict(below)
    for key, value in above.items():
        before = found.get(key)
        if isinstance(before, Mapping) and isinstance(value, Mapping):
            found[key] = _merged(before, value)
        elif isinstance(before, list | tuple) and isinstance(value, list | tuple):
            found[key] = [*before, *value]
        else:
            found[key] = value
    return found
