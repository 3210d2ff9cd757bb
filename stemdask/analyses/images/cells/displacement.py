"""Displacement: how far each B column is from where its A columns would have it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from stemdask.kernels.images.crystal.displacement import REFERENCES, Displacements, displacements, noise_floor
from stemdask.model import Analysis, Array, ImageFrame, Params, Variable
from stemdask.units import LengthAngstrom

_LETTERS = "ABCDEFGH"
_PM = 1e3
#: µC/cm² of one electron charge on a square angstrom.
_CHARGE = 1602.1766


class DisplacementParams(Params):
    """What is displaced, against what."""

    displaced: Literal["A", "B", "C", "D", "E", "F", "G", "H"] = "B"
    """Sublattice whose displacement is measured."""
    framework: Literal["A", "B", "C", "D", "E", "F", "G", "H"] = "A"
    """Sublattice that is the reference."""
    reference: Literal["neighbours", "line", "lattice"] = "neighbours"
    """Against the centre of the framework's columns around it, the straight lines through their planes, or their mean
    lattice. All three are measured: how far they differ is the disagreement."""
    remove: Literal["none", "mean", "tilt"] = "none"
    """What a mistilt of the specimen adds to all displacements: subtract nothing, their mean, or the plane through
    them. A uniform polarisation goes with it."""
    born_charge: Annotated[float, Field(gt=-20, lt=20)] | None = None
    """Effective (Born) charge, in electron charges, that the displacement moves: stores the polarisation it makes."""
    depth: LengthAngstrom | None = None
    """Third edge of the cell, along the beam, for the polarisation; absent: as long as the square root of its area."""

    @model_validator(mode="after")
    def _differ(self) -> DisplacementParams:
        if self.displaced == self.framework:
            raise ValueError(f"displaced and framework must be two sublattices, got {self.displaced} for both")
        return self


def outputs(params: DisplacementParams) -> tuple[Variable, ...]:
    """Declare the displacements."""
    dims = ("frame", "cell")
    yes = {-1: "unknown", 0: "within its error", 1: "beyond the 95 % ellipse of its error"}
    variables = [
        Variable("displacement/y", dims, "float64", "nm", "reference position along y"),
        Variable("displacement/x", dims, "float64", "nm", "reference position along x"),
        Variable("displacement/i", dims, "int32", "1", "index of the cell along a, to the right"),
        Variable("displacement/j", dims, "int32", "1", "index of the cell along b, downwards"),
        Variable("displacement/column", dims, "int32", "1", "number of the displaced column in the frame"),
        Variable("displacement/u", dims, "float64", "pm", "displacement along +x", error="displacement/u_err"),
        Variable(
            "displacement/v", dims, "float64", "pm", "displacement along +y, downwards", error="displacement/v_err"
        ),
        Variable("displacement/u_err", dims, "float64", "pm", "standard error of the displacement along x"),
        Variable("displacement/v_err", dims, "float64", "pm", "standard error of the displacement along y"),
        Variable("displacement/magnitude", dims, "float64", "pm", "length of the displacement"),
        Variable("displacement/angle", dims, "float64", "degree", "direction, counter-clockwise from +x as displayed"),
        Variable("displacement/significant", dims, "int8", "1", "whether it is more than its error", flags=yes),
        Variable("displacement/disagreement", dims, "float64", "pm", "largest difference between the three references"),
        Variable("displacement/noise_floor", ("frame",), "float64", "pm", "scatter of one component from cell to cell"),
    ]
    if params.born_charge is not None:
        variables += [
            Variable(
                f"displacement/polarisation_{axis}", dims, "float64", "uC/cm2", f"polarisation along {words}, by model"
            )
            for axis, words in (("u", "+x"), ("v", "+y, downwards"))
        ]
    return tuple(variables)


def run(frame: ImageFrame, params: DisplacementParams) -> Mapping[str, Array]:
    """Measure the displacement of every column that has its neighbours; no column of that sublattice, no cells."""
    results = frame.results
    positions = _PM * np.column_stack(
        [results.get(f"_columns_{axis}", results[f"columns/{axis}"]) for axis in ("y", "x")]
    )
    errors = _PM * np.column_stack([results["columns/y_err"], results["columns/x_err"]]).astype(np.float64)
    sublattice, i, j, grain = (results[f"columns/{name}"] for name in ("sublattice", "i", "j", "grain"))
    parts, others = [], []
    for number in np.unique(grain[grain >= 0]):
        of = np.flatnonzero(grain == number)
        measured = {
            reference: _removed(
                displacements(
                    positions[of],
                    errors[of],
                    sublattice[of],
                    i[of],
                    j[of],
                    displaced=_LETTERS.index(params.displaced),
                    framework=_LETTERS.index(params.framework),
                    reference=reference,
                ),
                params.remove,
            )
            for reference in REFERENCES
        }
        chosen = measured[params.reference]
        parts.append(replace(chosen, column=of[chosen.column]))
        others.append(np.stack([entry.vector for entry in measured.values()]))
    found = _joined(parts)
    vectors = np.concatenate(others, axis=1) if others else np.empty((len(REFERENCES), 0, 2))
    differences = vectors[:, None] - vectors
    values = {
        "y": found.centre[:, 0] / _PM,
        "x": found.centre[:, 1] / _PM,
        "i": i[found.column],
        "j": j[found.column],
        "column": found.column.astype(np.int32),
        "u": found.vector[:, 0],
        "v": found.vector[:, 1],
        "u_err": found.error[:, 0],
        "v_err": found.error[:, 1],
        "magnitude": found.magnitude,
        "angle": found.angle,
        "significant": found.significant,
        "disagreement": np.hypot(differences[..., 0], differences[..., 1]).max(axis=(0, 1)),
        "noise_floor": np.asarray(noise_floor(found.vector, i[found.column], j[found.column])),
    }
    if params.born_charge is not None:
        area = abs(results["lattice/a_x"] * results["lattice/b_y"] - results["lattice/a_y"] * results["lattice/b_x"])
        depth = 0.1 * params.depth.angstrom() if params.depth is not None else np.sqrt(area)
        # pm, and nm³: electron charges on a square angstrom are Z d / V with d in angstrom, V in cubic angstrom.
        scale = _CHARGE * params.born_charge * 0.01 / (1e3 * area * depth)
        values["polarisation_u"], values["polarisation_v"] = found.vector[:, 0] * scale, found.vector[:, 1] * scale
    return {f"displacement/{name}": value for name, value in values.items()}


def _removed(found: Displacements, remove: str) -> Displacements:
    """Subtract what a mistilt adds."""
    if remove == "none" or len(found.column) < 3:
        return found
    terms = np.ones((len(found.column), 1))
    if remove == "tilt":
        terms = np.column_stack([terms, found.centre - found.centre.mean(axis=0)])
    return found.without(terms @ np.linalg.lstsq(terms, found.vector, rcond=None)[0])


def _joined(parts: list[Displacements]) -> Displacements:
    if not parts:
        return Displacements(np.empty(0, np.int64), *(np.empty((0, 2)) for _ in range(3)))
    return Displacements(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in ("column", "centre", "vector", "error"))
    )


ANALYSIS = Analysis(
    name="displacement",
    kind="images",
    summary="Displacement of B against its A columns, with errors",
    params=DisplacementParams,
    outputs=outputs,
    needs=("columns", "lattice"),
    run=run,
)
