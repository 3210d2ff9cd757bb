"""The size of the particle."""

from __future__ import annotations

from stemdask.analyses.atoms.shape import shape
from stemdask.figures.numbers import rows_of
from stemdask.results.shows import Method, Part, Shows
from stemdask.results.views import Results
from stemdask.units import amount


def parts(results: Results, frame: int) -> list[Part]:
    """State diameter and volume."""
    return [Part(f"Size of frame {frame}", rows=rows_of(results, "shape", frame))]


def words(results: Results, frame: int) -> list[str]:
    """State the diameter."""
    diameter = results.read(shape.DIAMETER, frame)
    return [f"diameter {amount(f'{float(diameter):.2f}', diameter.attrs['units'])}"]


def method(_: object) -> Method:
    """Say what volume and diameter are."""
    return Method(
        "The volume of a particle is that of the convex hull of its atomic centres, and its diameter that of a sphere "
        "of this volume."
    )


SHOWS = Shows(parts, {}, words, method=method)
