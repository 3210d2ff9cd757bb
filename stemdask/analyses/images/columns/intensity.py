"""Intensity: what each column scatters, fitted and summed over its Voronoi cell, and how many atoms that makes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from stemdask.kernels.images.crystal.atom_counting import AtomCounts, count_atoms
from stemdask.kernels.images.crystal.voronoi import voronoi_cells
from stemdask.kernels.images.stacks.pixel_grid import PixelGrid
from stemdask.model import Analysis, Array, ImageFrame, Params, Stack, Variable

#: Intensities taken from the whole stack to find the steps; more don't make them clearer.
_SAMPLE = 20_000


class IntensityParams(Params):
    """How the intensity of a column is measured."""

    count_atoms: bool = False
    """Count the atoms of each column from the steps in the intensities of all frames."""
    count_on: Literal["gaussian", "voronoi"] = "gaussian"
    """The intensity on which atoms are counted."""
    max_atoms: Annotated[int, Field(ge=2, le=60)] = 20
    """Most different numbers of atoms in the stack."""
    first_count: Annotated[int, Field(ge=1, le=200)] | None = None
    """Atoms of the weakest columns; absent: the number for which intensity is best proportional to it."""


def outputs(params: IntensityParams) -> tuple[Variable, ...]:
    """Declare the intensities, and the counts where they are asked for."""
    dims = ("frame", "column")
    variables = [
        Variable(
            "intensity/gaussian", dims, "float64", "1", "integral of the fitted column", error="intensity/gaussian_err"
        ),
        Variable("intensity/gaussian_err", dims, "float64", "1", "its standard error, for a known width"),
        Variable("intensity/voronoi", dims, "float64", "1", "sum over the Voronoi cell"),
        Variable("intensity/voronoi_area", dims, "float64", "nm2", "area of the Voronoi cell"),
    ]
    if params.count_atoms:
        variables += [
            Variable("intensity/n_atoms", dims, "int16", "1", "atoms in the column, -1 unknown", stage="finish"),
            Variable(
                "intensity/n_atoms_probability", dims, "float32", "1", "probability of that number", stage="finish"
            ),
        ]
    return tuple(variables)


def run(frame: ImageFrame, params: IntensityParams) -> Mapping[str, Array]:
    """Measure the intensity of each column of a frame.

    A Voronoi cell that is cut by the border or holds a missing pixel has no sum.
    """
    columns = {name: frame.results[f"columns/{name}"] for name in ("y", "x", "amplitude", "sigma_major", "sigma_minor")}
    pixel = frame.pixel_size[0] * frame.pixel_size[1]
    area = 2 * np.pi * columns["sigma_major"] * columns["sigma_minor"] / pixel
    source = (np.column_stack([columns["y"], columns["x"]]) - frame.offset) / frame.pixel_size
    pixels = frame.results.get("_pixels", frame.pixels)
    grid = PixelGrid(frame.results.get("_grid_matrix", np.eye(2)), frame.results.get("_grid_origin", np.zeros(2)))
    finer = abs(float(np.linalg.det(grid.matrix)))  # a new pixel is this part of an old one
    cells = voronoi_cells(pixels, grid.from_source(source))
    return {
        "intensity/gaussian": columns["amplitude"] * area,
        "intensity/gaussian_err": frame.results["columns/amplitude_err"] * area,
        "intensity/voronoi": cells.total * finer,
        "intensity/voronoi_area": cells.n_pixels * finer * pixel,
    }


def finish(stack: Stack, params: IntensityParams) -> None:
    """Count the atoms: one set of steps for each sublattice, from the intensities of all frames."""
    if not params.count_atoms:
        return
    samples: dict[int, list[Array]] = {}
    share = max(1, _SAMPLE // max(len(stack.blocks), 1))
    for _, sublattice, intensity in _blocks(stack, params):
        for number in np.unique(sublattice[sublattice >= 0]):
            values = intensity[(sublattice == number) & np.isfinite(intensity)]
            samples.setdefault(int(number), []).append(values[:: -(-len(values) // share) or 1])
    found = {
        number: count_atoms(np.concatenate(values), params.max_atoms, params.first_count)
        for number, values in sorted(samples.items())
    }
    steps = {number: counts for number, counts in found.items() if counts is not None}
    for frames, sublattice, intensity in _blocks(stack, params):
        n_atoms = np.full(intensity.shape, -1, dtype=np.int16)
        probability = np.full(intensity.shape, np.nan, dtype=np.float32)
        for number, counts in steps.items():
            of = sublattice == number
            n_atoms[of], probability[of] = counts.count(intensity[of])
        stack.write("intensity/n_atoms", n_atoms, frames)
        stack.write("intensity/n_atoms_probability", probability, frames)
    stack.set_attributes("intensity", {f"sublattice_{number}": _described(counts) for number, counts in steps.items()})


def _blocks(stack: Stack, params: IntensityParams) -> Iterator[tuple[slice, Array, Array]]:
    for frames in stack.blocks:
        yield frames, stack.read("columns/sublattice", frames), stack.read(f"intensity/{params.count_on}", frames)


def _described(counts: AtomCounts) -> dict[str, object]:
    return {
        "n_atoms": [int(number) for number in counts.first + np.arange(len(counts.means))]
        if counts.first
        else "unknown",
        "mean_intensity": [float(mean) for mean in counts.means],
        "weight": [float(weight) for weight in counts.weights],
        "sigma": counts.sigma,
        "integrated_completed_likelihood": [float(value) for value in counts.criterion],
        "deviation_from_proportionality": counts.linearity if counts.first else "unknown",
    }


ANALYSIS = Analysis(
    name="intensity",
    kind="images",
    summary="Intensity of each column, and its number of atoms",
    params=IntensityParams,
    outputs=outputs,
    needs=("columns", "lattice"),
    run=run,
    finish=finish,
)
