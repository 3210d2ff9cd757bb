"""What to do with a column of text that is no number."""

from __future__ import annotations

#: Nothing, or tell which word it is.
SKIP, WORD = -1, -2
