"""What the page says in words, as HTML; whatever a file or a user named is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from html import escape

from matplotlib.colors import to_hex

from stemdask.figures.canvas import wheel
from stemdask.report.verdicts import Verdict
from stemdask.store import lock
from stemdask.store.layout import run_directory
from stemdask.units import amount
from stemdask.view.reading import Frames

#: Frames without results that are named.
NAMED = 20


def head(frames: Frames) -> str:
    """Return the name of the store, what became of its frames, and how far the run is."""
    found, state = frames.verdicts, frames.state
    if state == "running":
        driver = lock.holder(run_directory(frames.store))
        state = f"running ({driver})" if driver else "not finished, and no driver is running"
    n, pending = len(found.frames), found.count("pending")
    bar = f"<progress value='{n - pending}' max='{n}' aria-label='frames done'></progress>" if pending else ""
    said = f"<p>{escape(found.sentence())} <span class='soft'>The run is {escape(state)}.</span> {bar}</p>"
    return f"<h1>{escape(frames.store.name)}</h1><div class='verdict {found.level}'>{said}</div>"


def failures(frames: Frames) -> str:
    """Return the frames without results, and why they have none."""
    failed = [verdict for verdict in frames.verdicts.frames if verdict.level == "failed"]
    if not failed:
        return ""
    more = f"<p class='soft'>and {len(failed) - NAMED} more</p>" if len(failed) > NAMED else ""
    rows = _table([(f"frame {one.frame}", "; ".join(one.reasons)) for one in failed[:NAMED]])
    return f"<h2>Frames without results</h2>{rows}{more}"


def of_frame(verdict: Verdict, trouble: str) -> str:
    """Return what became of a frame, and what is wrong with its image."""
    reasons = f": {'; '.join(verdict.reasons)}" if verdict.reasons else ""
    said = f"<span class='badge {verdict.level}'>{verdict.level}</span> {escape(verdict.file + reasons)}"
    return f"<p class='frame'>{said}</p>" + (f"<p class='trouble'>{escape(trouble)}</p>" if trouble else "")


def values(title: str, rows: Sequence[tuple[str, str]]) -> str:
    """Return all values of a column, a cell or an atom."""
    return f"<h2>{escape(title)}</h2>{_table(rows)}"


def note(text: str) -> str:
    """Return a remark."""
    return f"<p class='soft'>{escape(text)}</p>"


def arrow_key(typical: float, units: str) -> str:
    """Return what the colours and the lengths of the arrows mean; `typical` is one that reaches a neighbour."""
    long = escape(amount(f"{typical:.2g}", units))
    return (
        f"<p class='key'><span class='wheel' style='background:{_wheel()}'></span> <span>The colour of an arrow is its "
        f"direction. An arrow of {long} is as long as the distance between neighbours.</span></p>"
    )


@cache
def _wheel() -> str:
    """Return the colours of directions as CSS, which counts clockwise from the top."""
    colours = [to_hex(wheel()(((90.0 - degrees) / 360.0 + 0.5) % 1.0)) for degrees in range(0, 361, 10)]
    return f"conic-gradient({','.join(colours)})"


def _table(rows: Sequence[tuple[str, str]]) -> str:
    inside = "".join(f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>" for name, value in rows)
    return f"<div class='scroll' tabindex='0'><table>{inside}</table></div>"
