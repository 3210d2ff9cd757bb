"""How uncertain the numbers of a frame are."""

from __future__ import annotations

from stemdask.analyses.atoms.derived import uncertainty
from stemdask.figures.numbers import number
from stemdask.results.shows import Part, Shows
from stemdask.results.views import Results


def parts(results: Results, frame: int) -> list[Part]:
    """State the error of each number, and what hangs on the cutoff; the numbers stand with their analyses."""
    params = results.params("uncertainty")
    assert isinstance(params, uncertainty.UncertaintyParams)
    part = Part(f"Uncertainty of frame {frame}")
    error, source = (
        results.read(variable, frame) for variable in (uncertainty.COORDINATE_ERROR, uncertainty.COORDINATE_ERROR_FROM)
    )
    part.sentences.append(
        f"± is the standard error that errors of {float(error):.2g} Å of the coordinates along each axis give a "
        "number; in brackets, how far they move its mean, where that is more. First minimum and lattice parameter have "
        f"errors of their own. {_WHY[int(source)]}"
    )
    for found in map(uncertainty.variables_of, params.of):
        for variable in (found.error, found.slope):
            part.rows.append((variable.long_name, number(results.read(variable, frame), 3)))
    return [part]


_WHY = {
    uncertainty.GIVEN: "The error of the coordinates is as given.",
    uncertainty.ASSUMED: "The error of the coordinates isn't known; that of usual reconstructions is assumed.",
    uncertainty.BOUND: (
        "The error of the coordinates is at most that: the atoms inside lie so near to a lattice that the "
        f"{uncertainty.USUAL:g} Å of usual reconstructions can't hold."
    ),
}

SHOWS = Shows(parts, {})
