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
    part.sentences.append(
        f"± is the standard error that errors of {params.coordinate_error} of the coordinates give a number; in "
        "brackets, how far they move its mean, where that is more. First minimum and lattice parameter have errors of "
        "their own."
    )
    for found in map(uncertainty.variables_of, params.of):
        for variable in (found.error, found.slope):
            part.rows.append((variable.long_name, number(results.read(variable, frame), 3)))
    return [part]


SHOWS = Shows(parts, {})
