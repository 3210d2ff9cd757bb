"""Commands of a real SLURM that can be told to fail, first in the PATH of a driver."""

from __future__ import annotations

import shutil
from pathlib import Path

_WRAPPER = """\
#!/bin/bash
# Does what the file beside it says, then what the real command does.
echo "$(date +%s.%N) $*" >>"$0.calls"
[ -e "$0.does" ] && . "$0.does"
exec {real} "$@"
"""


class Wrapped:
    """Wrappers of sbatch, squeue and scancel in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        for name in ("sbatch", "squeue", "scancel"):
            path = folder / name
            path.write_text(_WRAPPER.format(real=shutil.which(name)))
            path.chmod(0o755)

    def does(self, name: str, shell: str) -> None:
        """Let a command run some shell first, from its next call on; "" for nothing."""
        new = self.folder / f"{name}.new"
        new.write_text(shell + "\n")
        new.replace(self.folder / f"{name}.does")

    def calls(self, name: str) -> int:
        """Return how often a command was called."""
        path = self.folder / f"{name}.calls"
        return len(path.read_text().splitlines()) if path.exists() else 0
