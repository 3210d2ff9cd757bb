"""How many domains the maps of a stack hold: in single frames, or in their mean where these are too noisy to tell."""

from __future__ import annotations

import numpy as np

from stemdask.analyses.images.maps.domain_cells import SAMPLE_CELLS, DomainCells
from stemdask.analyses.images.maps.domain_params import DomainsParams
from stemdask.kernels.images.domains.domain_count import DomainCount, count_domains

#: Fewest cells that can be told apart.
_LEAST_CELLS = 5


def count_in_maps(measured: DomainCells, params: DomainsParams) -> DomainCount | None:
    """Count the domains of displacements as measured, whose noise is independent from cell to cell.

    Single frames come first: a wall that moves makes the mean continuous.

    Returns
    -------
    None where there are too few cells.
    """
    sample = measured.sample()
    if len(sample.points) < _LEAST_CELLS:
        return None
    asked = params.n_domains if params.n_domains != "auto" else 1
    most, effective, seed = max(params.max_domains, asked), measured.cells_per_frame, params.seed
    found = count_domains(sample.points, sample.noise, effective, most, measured.whole_frames(), seed)
    if found.n > 1 or len(measured.maps.frames) < 2:
        return found
    vectors, errors = measured.mean()
    present = np.isfinite(vectors).all(axis=-1)
    points, noise = vectors[present], errors[present]
    drawn = np.linspace(0, len(points) - 1, min(len(points), SAMPLE_CELLS)).round().astype(np.int64)
    return count_domains(points[drawn], noise[drawn], effective, most, (vectors, errors), seed)
