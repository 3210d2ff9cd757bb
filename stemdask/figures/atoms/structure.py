"""Structure types of the atoms: where they are, how many, and how that changes."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from stemdask.analyses.atoms.derived.other_results import in_words
from stemdask.analyses.atoms.order import bond_order, structure
from stemdask.analyses.atoms.shape import positions
from stemdask.figures.atoms.projection import from_far, project
from stemdask.figures.canvas import curve
from stemdask.figures.numbers import Row, rows_of
from stemdask.figures.style import MUTED, frame_axis, new, style
from stemdask.kernels.atoms import kinds as codes
from stemdask.results.shows import Method, Part, Shows
from stemdask.results.views import Results

#: Colour of each structure type, by its name in the store.
KINDS = {
    "fcc": "#0072B2",
    "hcp": "#D55E00",
    "bcc": "#CC79A7",
    "ico": "#E69F00",
    "five_fold_axis": "#F0E442",
    "cubic_diamond": "#009E73",
    "hexagonal_diamond": "#56B4E9",
    "simple_cubic": "#8C564B",
    "other_crystalline": "#7F3C8D",
    "in_molecule": "#B8860B",
    "incomplete_shell": "#8FA9C4",
    "surface": "#B5B5B5",
    "disordered": "#222222",
}
#: Layers counted as defects, and the part of hcp among close-packed atoms, from which they may be those of a polytype.
_FEWEST_DEFECTS, _ALTERNATING = 3, 0.3
#: Kinds at which neighbours are turned against the atom, so that bonds aren't alike at both ends.
_TURNED = (codes.HCP, codes.ICOSAHEDRAL, codes.FIVE_FOLD_AXIS)


def structure_types(atoms: xr.Dataset) -> Figure:
    """Draw the atoms of one frame in two projections, coloured by structure type, and how many there are of each.

    Parameters
    ----------
    atoms
        ``/atoms`` of one frame: `x`, `y`, `z` in angstrom and `structure`.
    """
    names, kinds = structure.KINDS, atoms[structure.STRUCTURE.name].values
    with style():
        figure, (left, right, bars) = new(10.2, 3.8, 1, 3, width_ratios=(1, 1, 0.7))
        for axes, plane in ((left, "xy"), (right, "xz")):
            order = from_far(atoms, plane)
            outside = np.array([names.get(kind) == "surface" for kind in kinds[order]], bool)
            for chosen in (order[outside], order[~outside]):  # the surface would hide what is inside
                colours = [KINDS.get(names.get(kind, ""), "none") for kind in kinds[chosen]]
                project(axes, atoms, chosen, plane, color=colours)
        counted = [(KINDS[name], in_words(name), int((kinds == kind).sum())) for kind, name in names.items()]
        shown = [row for row in counted if row[2]]
        shown.sort(key=lambda row: list(KINDS.values()).index(row[0]), reverse=True)
        drawn = bars.barh([row[1] for row in shown], [row[2] for row in shown], color=[row[0] for row in shown])
        bars.bar_label(drawn, padding=3, fontsize=8)
        bars.set(xlabel="atoms", xlim=(0, 1.2 * max([1, *(row[2] for row in shown)])))
    return figure


def structure_in_time(counts: xr.DataArray) -> Figure:
    """Draw the number of atoms of each structure type, of those that occur, by frame.

    Parameters
    ----------
    counts
        (frame, structure_kind), NaN where a frame has no results.
    """
    frames = np.arange(counts.sizes["frame"])
    with style():
        figure, axes = new(7.0, 3.2)
        for name, values in zip(structure.KINDS.values(), counts.values.T, strict=True):
            if np.nanmax(values, initial=0) > 0:
                curve(axes, frames, values, color=KINDS.get(name, MUTED), label=in_words(name), lw=1.2)
        axes.set(ylabel="atoms", ylim=(0, None))
        frame_axis(axes)
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def plot_structure_types(results: Results, frame: int = 0) -> Figure:
    """Draw the atoms in two projections, coloured by structure type, and how many there are of each."""
    return structure_types(results.at(positions.X.group, frame))


def plot_structure_in_time(results: Results) -> Figure:
    """Draw the number of atoms of each structure type by frame; frames without results are gaps."""
    return structure_in_time(results.by_frame(structure.COUNT))


def parts(results: Results, frame: int) -> list[Part]:
    """Count grains, twins and stacking faults, show the types, and explain where bond order tells another story."""
    part = Part(f"Structure types of frame {frame}", rows=rows_of(results, "structure", frame))
    atoms = results.at(positions.X.group, frame)
    part.rows += _lattices(atoms)
    part.sentences += disputed(atoms) + of_no_template(atoms) + of_molecules(atoms) + _stacked(results, atoms, frame)
    caption = "Atoms by the structure of their surroundings; those at the surface lie behind."
    part.show(caption, lambda: plot_structure_types(results, frame))
    if results.n_frames > 1:
        part.show("Atoms of each structure type, frame after frame.", lambda: plot_structure_in_time(results))
    return [part]


def _lattices(atoms: xr.Dataset) -> list[Row]:
    """Return how many atoms are part of each lattice, each sublattice of an element and each ordered structure."""
    alone = atoms[structure.SUBLATTICE.name].values == 1
    lattice, order = atoms[structure.LATTICE.name].values, atoms[structure.ORDERING.name].values
    rows = []
    for variable, text, found in (
        (structure.LATTICE, "atoms of the lattice", np.where(alone, 0, lattice)),
        (structure.LATTICE, "atoms of one element whose sublattice is", np.where(alone, lattice, 0)),
        (structure.ORDERING, "atoms ordered as", order),
    ):
        assert variable.flags is not None
        numbers = {in_words(name): int((found == flag).sum()) for flag, name in variable.flags.items() if flag > 0}
        rows += [(f"{text} {name}", str(number)) for name, number in numbers.items() if number]
    return rows


def disputed(atoms: xr.Dataset) -> list[str]:
    """Explain the atoms on a lattice that aren't crystalline by s6."""
    lattice, kind = atoms[structure.LATTICE.name].values, atoms[structure.STRUCTURE.name].values
    disputed = (lattice > 0) & (atoms[bond_order.CRYSTALLINE.name].values == 0)
    if not disputed.any():
        return []
    lacking = disputed & np.isin(kind, (structure.SURFACE, structure.INCOMPLETE_SHELL))
    turned = disputed & ~lacking & np.isin(lattice, _TURNED)
    left = int(disputed.sum() - lacking.sum() - turned.sum())
    causes = [(int(lacking.sum()), "lack neighbours"), (left, "have strained, noisy or turned surroundings")]
    causes.insert(1, (int(turned.sum()), "lie where twins meet, with neighbours that are turned against them"))
    told = [(number, why) for number, why in causes if number]
    alone = len(told) == 1 and told[0][0] > 1
    reasons = f"All of them {told[0][1]}" if alone else ", ".join(f"{number} {why}" for number, why in told)
    return [
        f"{disputed.sum()} atoms lie on a lattice but are not crystalline by s6. The lattice depends on where the "
        "neighbours of an atom are, s6 on whether both ends of each bond have similar surroundings. "
        + (reasons if alone else f"Of these atoms, {reasons}")
        + "."
    ]


def of_no_template(atoms: xr.Dataset) -> list[str]:
    """Say what atoms are that are crystalline and yet on no lattice known here."""
    number = int((atoms[structure.STRUCTURE.name].values == structure.OTHER_CRYSTALLINE).sum())
    if not number:
        return []
    alone = (atoms[structure.SUBLATTICE.name].values == 1).any()
    return [
        f"{number} atoms are crystalline but match no template: either they are crystalline by bond order, or further "
        "atoms of their element have the same neighbours in the same directions"
        + (", or the atoms of their element alone form a sublattice that does." if alone else ".")
    ]


def of_molecules(atoms: xr.Dataset) -> list[str]:
    """Say that of atoms in molecules order isn't told."""
    number = int((atoms[structure.STRUCTURE.name].values == structure.IN_MOLECULE).sum())
    if not number:
        return []
    return [
        f"{number} atoms are in molecules of at most 100 atoms whose surroundings don't recur; whether the molecules "
        "are ordered, turned or not, isn't told here."
    ]


def _stacked(results: Results, atoms: xr.Dataset, frame: int) -> list[str]:
    """Say where close-packed layers of both kinds alternate so often that there may be no fault in them."""
    kind = atoms[structure.STRUCTURE.name].values
    fcc, hcp = ((kind == code).sum() for code in (codes.FCC, codes.HCP))
    defects = sum(int(results.read(v, frame)) for v in (structure.N_TWIN_BOUNDARIES, structure.N_STACKING_FAULTS))
    if defects < _FEWEST_DEFECTS or hcp < _ALTERNATING * max(fcc + hcp, 1):
        return []
    return [
        f"{hcp} of {fcc + hcp} close-packed atoms are hcp, in thin layers between fcc ones: if the layers alternate "
        "regularly this is a crystal of longer period, as dhcp or 9R, and the twin boundaries and faults are none."
    ]


def words(results: Results, frame: int) -> list[str]:
    """Say how many atoms there are of the two most frequent types."""
    counts = results.at(structure.COUNT.group, frame)[structure.COUNT.name].values
    order = [k for k in np.argsort(-counts, kind="stable")[:2] if counts[k]]
    names = list(structure.KINDS.values())
    return [", ".join(f"{counts[k]} {in_words(names[k])}" for k in order)] if order else []


def method(params: structure.StructureParams) -> Method:
    """Say how structure types were found."""
    types = "Structure types were assigned by adaptive common neighbour analysis"
    if params.method == "ptm":
        types = f"Structure types were assigned by polyhedral template matching (RMSD of at most {params.max_rmsd:g})"
    return Method(
        f"{types}; grains are regions of at least {params.min_grain} atoms in which neighbours are misoriented by "
        f"less than {params.max_misorientation:g}°.",
        ("larsen2016",) if params.method == "ptm" else (),
    )


SHOWS = Shows(
    parts,
    {"structure_types": plot_structure_types, "structure_in_time": plot_structure_in_time},
    words,
    slides=("structure_types",),
    method=method,
)
