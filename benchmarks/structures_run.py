"""One structure, analysed as a run does."""

from __future__ import annotations

import numpy as np

from stemdask.analyses import chain
from stemdask.config.document import Document
from stemdask.model import AtomsFrame
from stemdask.planning.steps import steps


def analysed(positions: np.ndarray, numbers: np.ndarray, **analyses: object) -> dict[str, np.ndarray]:
    """Analyse one structure as a run does, with the cutoff of its own g(r)."""
    frame = AtomsFrame(0, positions, np.asarray(numbers, np.uint8))
    chosen, problems = steps(Document({"analyses": {"rdf": {"cutoff": "frame"}, **analyses}}), "atoms")
    assert not problems, problems
    frame.results.update(chain.prepare("atoms", chosen, [frame]))
    return {**frame.results, **chain.analyse("atoms", chosen, frame)}
