"""What a bad file must meet."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from stemdask.errors import InputError
from stemdask.sources.opening import open_source


def refused(path: Any, reason: str) -> str:
    """Open a file that must be refused by less than ten seconds of work, in one line with its name and the reason."""
    start = time.process_time()
    with pytest.raises(InputError, match=reason) as caught:
        open_source(path)
    assert time.process_time() - start < 10
    message = str(caught.value)
    assert "\n" not in message
    assert Path(str(path)).name.split("*")[0] in message
    assert caught.value.exit_code == 4
    return message
