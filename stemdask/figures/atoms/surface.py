"""Surface and core of the particle."""

from __future__ import annotations

from matplotlib.figure import Figure

from stemdask.analyses.atoms.shape import positions, surface
from stemdask.figures.atoms.projection import by_property
from stemdask.figures.atoms.rdf import cutoff_of
from stemdask.figures.numbers import mean_row, rows_of
from stemdask.results.shows import Method, Part, Shows
from stemdask.results.views import Results


def plot_depth(results: Results, frame: int = 0) -> Figure:
    """Draw the atoms by their depth below the surface."""
    return by_property(results.at(positions.X.group, frame), surface.DEPTH.name, greatest_in_front=True)


def parts(results: Results, frame: int) -> list[Part]:
    """Count the atoms at the surface, and show the depth of all."""
    part = Part(f"Surface of frame {frame}", rows=rows_of(results, "surface", frame))
    part.sentences.append(
        f"Neighbours are atoms up to {cutoff_of(results, frame)}; atoms up to {surface.REACH:g} times that distance "
        "can cover others."
    )
    text = f"mean {surface.GENERALIZED_COORDINATION.long_name}"
    part.rows.append(mean_row(results, surface.GENERALIZED_COORDINATION, frame, text))
    part.show(
        "Atoms by their depth below the surface; the deepest are drawn in front.", lambda: plot_depth(results, frame)
    )
    return [part]


def method(params: surface.SurfaceParams) -> Method:
    """Say which atoms are at the surface."""
    return Method(
        f"Surface atoms are those on which an empty cone of half angle {params.cone:g}° stands; generalized "
        f"coordination numbers are relative to a bulk coordination of {params.bulk_coordination}.",
        ("wang2005", "callevallejo2014"),
    )


SHOWS = Shows(parts, {"depth": plot_depth}, method=method)
