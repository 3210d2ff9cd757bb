"""What shows a store in a notebook, as this room knows it: the package puts it here, since the viewer lies above."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

#: Takes an opened store, and returns what a notebook displays.
in_notebook: Callable[[Any], Any]
