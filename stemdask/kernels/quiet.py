"""Calls into scikit-learn: one thread, so that sums are the same on any machine, and no warnings for the user.

It warns of fits that stopped short of a tolerance and of fewer distinct points than clusters; whether that mattered is
what the scores and the stability say.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits


@contextmanager
def quiet() -> Iterator[None]:
    """Run what is inside with one thread and without warnings."""
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
