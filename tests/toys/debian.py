"""Debian packages that tests need: installed by themselves only where CI is set."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence


def missing(packages: Sequence[str], *, there: bool) -> str | None:
    """Return why packages can't be used, or None; `there` tells whether their programs are."""
    if os.geteuid() != 0:
        return f"daemons of {packages[0]} need root"
    if there:
        return None
    if shutil.which("apt-get") is None or not os.environ.get("CI"):
        return f"not installed: {' '.join(packages)} (installed by themselves only where CI is set)"
    quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for command in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
        done = subprocess.run(["apt-get", "-qq", *command], env=quiet, capture_output=True, text=True, check=False)
        if done.returncode:
            return f"apt-get {command[0]} failed: {done.stderr.strip()[-200:]}"
    return None
