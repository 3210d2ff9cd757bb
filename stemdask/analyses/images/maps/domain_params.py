"""The parameters of the domains."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from stemdask.analyses.given_file import ReadFile
from stemdask.kernels.images.domains.classifiers import CLASSIFIERS, Classifier
from stemdask.kernels.images.domains.clusterings import OWN_NUMBER, Clustering
from stemdask.kernels.images.domains.domain_models import Features
from stemdask.model import Params

_DEGREE = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+))\s*(?:degrees?|deg|°)?\s*\Z")


def _direction(value: Any) -> float:
    match = _DEGREE.match(str(value)) if not isinstance(value, bool) else None
    if match is None:
        raise ValueError(f"{value!r} is not a direction; write for example '90 degree'")
    return float(match[1])


#: Degree, counter-clockwise from +x as displayed.
Direction = Annotated[float, BeforeValidator(_direction)]


class Region(Params):
    """Cells whose domain is known."""

    name: str = Field(min_length=1)
    """Class that they belong to."""
    polygon: tuple[tuple[float, float], ...] | None = Field(None, min_length=3)
    """Corners (x, y) in nm around them."""
    cells: tuple[tuple[int, int], ...] | None = Field(None, min_length=1)
    """Their indices (i, j)."""
    frame: int | None = Field(None, ge=0)
    """Frame in which they lie; all frames if absent."""

    @model_validator(mode="after")
    def _one_way(self) -> Region:
        if (self.polygon is None) == (self.cells is None):
            raise ValueError(f"the region of '{self.name}' needs either a polygon or cells")
        return self


class DomainsParams(Params):
    """How the cells are divided into domains.

    Without classes, regions, labels or a model the domains are found in the data.
    """

    method: Clustering | Classifier = "gmm"
    """How domains are found in the data (gmm ... agglomerative) or learnt from examples (logistic ... knn)."""
    n_domains: Literal["auto"] | Annotated[int, Field(ge=1, le=16)] = "auto"
    """Number of domains; `auto` claims more than one only on strong evidence."""
    max_domains: int = Field(6, ge=2, le=16)
    """Largest number of domains tried by `auto`."""
    source: Literal["auto", "denoised", "displacement"] = "auto"
    """Maps to divide into domains; `auto` uses the denoised ones if the run has them."""
    features: Features = "vector"
    """Divide by the displacement vector, or by its direction only."""
    coupling: Literal["auto"] | Annotated[float, Field(ge=0, le=10)] = "auto"
    """Coupling of the Potts field, for `gmm` by vector: by how much (natural logarithm) equal labels of neighbours are
    favoured; 0 ignores neighbours."""
    neighbourhood: float = Field(0.0, ge=0, le=10)
    """Weight of each of the four neighbouring cells in the vector of a cell; 0 ignores them."""
    significance: float = Field(0.95, gt=0.5, lt=1)
    """Confidence with which a displacement must differ from zero; other cells get no label."""
    classes: dict[str, Direction] | None = Field(None, min_length=2)
    """Ideal direction of each class, counter-clockwise from +x as displayed: {up: 90 degree, right: 0}."""
    regions: tuple[Region, ...] | None = Field(None, min_length=2)
    """Regions of known class to learn from."""
    labels: ReadFile | None = None
    """CSV file of cells of known class to learn from: columns class, i, j and, for cells of one frame, frame."""
    model: ReadFile | None = None
    """Model file saved by an earlier run; nothing is fitted."""
    save_model: str | None = None
    """Where to save the fitted model: a .npz file of plain numbers; only another such file is replaced."""
    embedding: Literal["none", "tsne"] = "none"
    """Also map the surroundings of a sample of cells to the plane, for viewing."""
    seed: int = Field(0, ge=0)
    """Random seed."""

    @property
    def supervised(self) -> bool:
        """Whether domains are learnt from examples."""
        return self.classes is not None or self.regions is not None or self.labels is not None

    @model_validator(mode="after")
    def _consistent(self) -> DomainsParams:
        given = [key for key in ("classes", "regions", "labels", "model") if getattr(self, key) is not None]
        if len(given) > 1:
            raise ValueError(f"give one of classes, regions, labels and model, not {' and '.join(given)}")
        if self.method in CLASSIFIERS and not given:
            raise ValueError(f"method {self.method} learns from examples: give classes, regions or labels")
        if self.supervised and self.method not in CLASSIFIERS:
            raise ValueError(f"{given[0]} needs a method that learns from examples: {', '.join(CLASSIFIERS)}")
        if self.n_domains != "auto" and (given or self.method in OWN_NUMBER):
            why = given[0] if given else f"method {self.method}"
            raise ValueError(f"{why} settles the number of domains itself; leave n_domains out")
        if self.regions is not None and len({region.name for region in self.regions}) < 2:
            raise ValueError("the regions name only one class; at least two are needed")
        return self
