"""Intensity: what each column scatters, fitted and summed over its Voronoi cell, and how many atoms that makes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from stemdask.analyses.images.columns import columns, lattice
from stemdask.analyses.images.stack.pixels import pixels_of
from stemdask.kernels.images.crystal.atom_counting import AtomCounts, count_atoms
from stemdask.kernels.images.crystal.voronoi import voronoi_cells
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
    """Largest number of different atom counts in the stack."""
    first_count: Annotated[int, Field(ge=1, le=200)] | None = None
    """Number of atoms in the weakest columns; absent: the number for which intensity is best proportional to it."""


_COLUMN = ("frame", "column")
GAUSSIAN = Variable(
    "intensity/gaussian", _COLUMN, "float64", "1", "integral of the fitted column", error="intensity/gaussian_err"
)
GAUSSIAN_ERR = Variable("intensity/gaussian_err", _COLUMN, "float64", "1", "its standard error, for a known width")
VORONOI = Variable("intensity/voronoi", _COLUMN, "float64", "1", "sum over the Voronoi cell")
VORONOI_AREA = Variable("intensity/voronoi_area", _COLUMN, "float64", "nm^2", "area of the Voronoi cell")
N_ATOMS = Variable("intensity/n_atoms", _COLUMN, "int16", "1", "atoms in the column, -1 unknown", stage="finish")
N_ATOMS_PROBABILITY = Variable(
    "intensity/n_atoms_probability", _COLUMN, "float32", "1", "probability of that number", stage="finish"
)
COUNTED_ON = {"gaussian": GAUSSIAN, "voronoi": VORONOI}


def outputs(params: IntensityParams) -> tuple[Variable, ...]:
    """Declare the intensities, and the counts where they are asked for."""
    counts = (N_ATOMS, N_ATOMS_PROBABILITY) if params.count_atoms else ()
    return (GAUSSIAN, GAUSSIAN_ERR, VORONOI, VORONOI_AREA, *counts)


def run(frame: ImageFrame, params: IntensityParams) -> Mapping[str, Array]:
    """Measure the intensity of each column of a frame.

    A Voronoi cell that is cut by the border or holds a missing pixel has no sum.
    """
    pixel = frame.pixel_size[0] * frame.pixel_size[1]
    area = 2 * np.pi * frame[columns.SIGMA_MAJOR] * frame[columns.SIGMA_MINOR] / pixel
    area = np.where(frame[lattice.SUBLATTICE] >= 0, area, np.nan)  # others couldn't be measured
    source = (np.column_stack([frame[columns.Y], frame[columns.X]]) - frame.offset) / frame.pixel_size
    pixels, _, grid = pixels_of(frame)
    finer = abs(float(np.linalg.det(grid.matrix)))  # a new pixel is this part of an old one
    cells = voronoi_cells(pixels, grid.from_source(source))
    return {
        GAUSSIAN.path: frame[columns.AMPLITUDE] * area,
        GAUSSIAN_ERR.path: frame[columns.AMPLITUDE_ERR] * area,
        VORONOI.path: cells.total * finer,
        VORONOI_AREA.path: cells.n_pixels * finer * pixel,
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
        stack.write(N_ATOMS.path, n_atoms, frames)
        stack.write(N_ATOMS_PROBABILITY.path, probability, frames)
    stack.set_attributes(
        N_ATOMS.group, {f"sublattice_{number}": _described(counts) for number, counts in steps.items()}
    )


def _blocks(stack: Stack, params: IntensityParams) -> Iterator[tuple[slice, Array, Array]]:
    for frames in stack.blocks:
        yield frames, stack.read(lattice.SUBLATTICE.path, frames), stack.read(COUNTED_ON[params.count_on].path, frames)


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
    shows="stemdask.figures.images.intensity",
    needs=("columns", "lattice"),
    after=("preprocess", "denoise_images"),
    run=run,
    finish=finish,
)
