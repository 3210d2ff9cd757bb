"""Numerics: arrays in, arrays out; nothing of stemdask is imported here.

Compiled kernels are kept between runs. numba recognises a change of a kernel's own file but not of those that it calls
from, so the folder in which they are kept is named after the contents of all of them.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
from pathlib import Path
from typing import Any

import numba
from platformdirs import user_cache_path


def _keep_compiled() -> None:
    config: Any = numba.config
    root = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(str(path.relative_to(root)).encode() + path.read_bytes())
    # A cache of one machine: kernels are compiled for its processor, and numba's cache may not be shared by network.
    base = Path(config.CACHE_DIR) if config.CACHE_DIR else user_cache_path("stemdask") / platform.node()
    folder = base / f"kernels-{digest.hexdigest()[:16]}"
    with contextlib.suppress(OSError):  # where it can't be kept, numba keeps it beside the files or not at all
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if os.access(folder, os.W_OK):
            config.CACHE_DIR = str(folder)


_keep_compiled()
