"""Standard streams that whoever started this has closed: the files opened next would take their place."""

from __future__ import annotations

import os
import sys


def open_closed() -> None:
    """Open what is closed of the three on nothing, for this process and those that it starts."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # takes the lowest number that is free
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "r" if number == 0 else "w", closefd=False))
