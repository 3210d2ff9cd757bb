"""The facets of a particle beside those of the Wulff shape."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from stemdask.analyses.atoms.order import structure
from stemdask.analyses.atoms.shape import facets
from stemdask.figures.numbers import number, rows_of, with_error
from stemdask.figures.style import ACCENT, MUTED, new, style
from stemdask.results.shows import Part, Shows
from stemdask.results.views import Results


def families(found: xr.Dataset) -> Figure:
    """Draw which part of the surface of one frame each family of facets has, beside the Wulff shape.

    Parameters
    ----------
    found
        ``/facets`` of one frame: `fraction`, `wulff_fraction` (facet_family), and the Miller indices `h`, `k`, `l`.
    """
    measured, ideal = (found[v.name].values for v in (facets.FACET_FRACTION, facets.WULFF_FRACTION))
    rest = [1 - np.nansum(measured)], [0.0]
    labels = [*names(found), "none"]
    place = np.arange(len(labels))
    with style():
        figure, axes = new(5.6, 3.2)
        pairs = (np.append(measured, rest[0]), "particle", ACCENT), (np.append(ideal, rest[1]), "Wulff shape", MUTED)
        for sign, (values, name, colour) in zip((-1, 1), pairs, strict=True):
            axes.bar(place + 0.2 * sign, 100 * values, 0.4, color=colour, label=name)
        axes.set(xticks=place, xticklabels=labels, xlabel="facets", ylabel="surface / %")
        axes.legend()
    return figure


def names(found: xr.Dataset) -> list[str]:
    """Return the families as they are written in the field."""
    return [
        "{" + " ".join(str(int(found[v.name][k])) for v in facets.MILLER) + "}"
        for k in range(found.sizes["facet_family"])
    ]


def hexagonal_names(found: xr.Dataset) -> list[str]:
    """Return the families of hexagonal crystals by four indices, {h k i l}."""
    indices = np.stack([found[v.name].values for v in facets.HEXAGONAL_MILLER], axis=1)
    return ["{" + f"{h} {k} {-h - k} {along_c}" + "}" for h, k, along_c in indices.tolist()]


def plot_facets(results: Results, frame: int = 0) -> Figure:
    """Draw the families of facets beside those of the Wulff shape."""
    return families(results.at(facets.AREA.group, frame))


def parts(results: Results, frame: int) -> list[Part]:
    """State area and volume, the facets and their distances, and show them beside the Wulff shape."""
    part = Part(f"Surface and facets of frame {frame}", rows=rows_of(results, "facets", frame))
    found = results.at(facets.AREA.group, frame)
    if not np.isfinite(found[facets.AREA.name]):
        part.sentences.append("There is no surface: the box is periodic, or the atoms fill no volume.")
        return [part]
    part.sentences.append("The surface passes through the middles of the outermost atoms.")
    cubic, hexagonal = (np.isfinite(found[v.name]).any() for v in (facets.FACET_AREA, facets.HEXAGONAL_AREA))
    if hexagonal:
        for k, name in enumerate(hexagonal_names(found)):
            part.rows.append((f"area of {name}", number(found[facets.HEXAGONAL_AREA.name][k], 4)))
            share = 100 * float(found[facets.HEXAGONAL_FRACTION.name][k])
            part.rows.append((f"part of the surface on {name}", f"{share:.0f} %"))
        part.sentences.append(
            "Facets {h k i l} of hexagonal grains are those of a surface that passes over the lower rows of atoms."
        )
    if not cubic:
        if not hexagonal:
            part.sentences.append(
                "There is no cubic or hexagonal close-packed grain by whose axes facets could be named."
            )
        return [part]
    distance, error = (found[v.name].values for v in (facets.DISTANCE, facets.DISTANCE_ERR))
    for k, name in enumerate(names(found)):
        part.rows.append((f"area of {name}", number(found[facets.FACET_AREA.name][k], 4)))
        if np.isfinite(distance[k]):
            part.rows.append((f"distance of {name} from the centre", f"{with_error(distance[k], error[k])} Å"))
    part.sentences.append(_wulff(results, frame))
    part.show("Parts of the surface, and of the Wulff shape.", lambda: plot_facets(results, frame))
    return [part]


def _wulff(results: Results, frame: int) -> str:
    """Say by which energies the Wulff shape is made, and whether it can be the particle's."""
    params = results.params("facets")
    assert isinstance(params, facets.FacetsParams)
    if not np.isfinite(results.at(facets.AREA.group, frame)[facets.WULFF_FRACTION.name].values).any():
        return (
            "There is no Wulff shape beside: facets are named by the sublattice of one element, and which bonds the "
            "surfaces of this compound break isn't known."
        )
    by = "the bonds that each surface breaks" if params.surface_energies == "broken_bonds" else "the given energies"
    n_grains = int(results.read(structure.N_GRAINS, frame))
    several = f"; the particle has {n_grains} grains, and no single Wulff shape" if n_grains > 1 else ""
    return f"The Wulff shape is that of a single crystal by {by}{several}."


SHOWS = Shows(parts, {"facets": plot_facets})
