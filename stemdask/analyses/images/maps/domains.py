"""Domains: the same label for the same domain in every frame, and none where the data show none."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stemdask.analyses.images.maps import denoise, domain_series, domain_words
from stemdask.analyses.images.maps.displacement_maps import MapStack
from stemdask.analyses.images.maps.domain_cells import DomainCells
from stemdask.analyses.images.maps.domain_counting import count_in_maps
from stemdask.analyses.images.maps.domain_embedding import EMBEDDING, write_embedding
from stemdask.analyses.images.maps.domain_labels import label_block
from stemdask.analyses.images.maps.domain_params import DomainsParams
from stemdask.analyses.images.maps.domain_training import learn
from stemdask.errors import InputError
from stemdask.kernels.images.denoising.cell_grid import gather
from stemdask.kernels.images.domains import directions, domain_models
from stemdask.kernels.images.domains.classifiers import expected_accuracy
from stemdask.kernels.images.domains.clusterings import Clustering, cluster, cluster_maps
from stemdask.kernels.images.domains.domain_count import DomainCount
from stemdask.kernels.images.domains.domain_models import DomainModel
from stemdask.model import Analysis, Array, Stack, Variable


@dataclass(frozen=True, slots=True)
class Partition:
    """A fitted partition and the evidence for it."""

    model: DomainModel
    statement: str
    count: DomainCount | None = None
    confusion: Array | None = None


def _variable(
    name: str, dims: tuple[str, ...], dtype: str, units: str, long_name: str, flags: dict[int, str] | None = None
) -> Variable:
    return Variable(f"domains/{name}", dims, dtype, units, long_name, flags=flags, stage="finish")


_CELL, _CURVE = ("frame", "cell"), ("n_clusters",)
LABEL = _variable("label", _CELL, "int8", "1", "domain of the cell; -1 not significant or no domain")
PROBABILITY = _variable("probability", _CELL, "float32", "1", "probability of the label")
AT_WALL = _variable("at_wall", _CELL, "int8", "1", "whether a neighbour belongs to another domain", {0: "no", 1: "yes"})
CENTRE_U = _variable("centre_u", ("domain",), "float32", "pm", "mean of the domain in the fit along +x")
CENTRE_V = _variable("centre_v", ("domain",), "float32", "pm", "mean of the domain in the fit along +y (down)")
CONFUSION = _variable("confusion", ("true_class", "predicted_class"), "float32", "1", "cross-validated cells")
BIC = _variable("bic", _CURVE, "float32", "1", "Bayesian information criterion of 0, 1, 2, ... components")
EVIDENCE = _variable("evidence", _CURVE, "float32", "1", "weakest log likelihood gain of two peaks over one")
SPATIAL = _variable(
    "spatial",
    _CURVE,
    "float32",
    "1",
    "log likelihood gain per frame of domains in predicting cells from those about them",
)
SILHOUETTE = _variable("silhouette", _CURVE, "float32", "1", "mean silhouette")
STABILITY = _variable("stability", _CURVE, "float32", "1", "mean adjusted Rand index of bootstrap repeats")
_CURVES = (BIC, EVIDENCE, SPATIAL, SILHOUETTE, STABILITY)


def outputs(params: DomainsParams) -> tuple[Variable, ...]:
    """Declare the labels, the series over the frames and the evidence for the domains."""
    found: tuple[Variable, ...] = (LABEL, PROBABILITY, AT_WALL, CENTRE_U, CENTRE_V, *domain_series.SERIES)
    if params.supervised:
        found += (CONFUSION,)
    elif params.model is None:
        found += _CURVES
    return found + (EMBEDDING if params.embedding != "none" else ())


def finish(stack: Stack, params: DomainsParams) -> None:
    """Fit the domains to cells of the whole stack and label every frame, block by block.

    Raises
    ------
    InputError
        Labels or a model can't be read or used, or another file is in the place of the one to write.
    """
    source = params.source if params.source != "auto" else "denoised" if stack.has(denoise.U.path) else "displacement"
    if source == "denoised" and not stack.has(denoise.U.path):
        raise InputError("the run has no denoised maps", where="analyses.domains.source", remedy="Add 'denoise: {}'")
    cells = DomainCells(stack, source, params.neighbourhood, params.significance)
    partition = _partition(cells, params, stack.units(CENTRE_U))
    if params.save_model is not None:
        _check_free(Path(params.save_model))
        stack.write_file(params.save_model, partition.model.packed())
    _write_frames(stack, cells, partition.model, params.significance)
    _write_evidence(stack, partition, params)
    if params.embedding == "tsne":
        write_embedding(stack, cells, partition.model, params.seed)
    centres = partition.model.centres
    stack.set_attributes(
        LABEL.group,
        {
            "method": "saved model" if params.model else params.method,
            "source": source,
            "n_domains": partition.model.n_domains,
            "classes": list(partition.model.names or map(str, range(partition.model.n_domains))),
            "directions": [round(float(a), 2) for a in np.nan_to_num(directions.angle(centres[:, 0], centres[:, 1]))],
            "statement": partition.statement,
        },
    )


def _partition(cells: DomainCells, params: DomainsParams, units: str) -> Partition:
    if params.model is not None:
        try:
            return Partition(domain_models.unpacked(params.model.read()), f"Labelled by the model {params.model.path}.")
        except ValueError as error:
            raise InputError(
                f"the model can't be read: {error}", where=params.model.path, remedy="Name a model that stemdask wrote"
            ) from error
    if params.supervised:
        return _learnt(cells, params)
    # Denoised maps can't tell how many domains there are: their neighbours share noise, and what denoising took of
    # the truth makes peaks of its own.
    count = count_in_maps(DomainCells(cells.maps.stack, "displacement", 0.0, params.significance), params)
    if count is None:
        empty = DomainModel("centres", {"centres": np.zeros((0, 2))}, features=params.features)
        return Partition(empty, "No domains: there are too few cells.")
    wanted = count.n if params.n_domains == "auto" else params.n_domains
    model = _divided(cells, wanted, params)
    if params.n_domains == "auto":
        said = domain_words.found_by_itself(count, model, units)
    else:
        said = domain_words.asked_for(wanted, count, model, units)
    return Partition(model, said, count=count)


def _check_free(path: Path) -> None:
    """Refuse a place for the model that holds anything but another model."""
    if not path.exists():
        return
    try:
        domain_models.unpacked(path.read_bytes())
    except (OSError, ValueError):
        raise InputError(
            "the file is not a model of domains, and no other kind of file is overwritten",
            where=path,
            remedy="Name another file as analyses.domains.save_model",
        ) from None


def _learnt(cells: DomainCells, params: DomainsParams) -> Partition:
    model, confusion = learn(cells, params)
    sample = cells.sample()
    chosen = sample.significant
    expected = expected_accuracy(model, sample.points[chosen], sample.noise[chosen], params.seed)
    right = float(np.trace(confusion) / confusion.sum()) if np.isfinite(confusion).all() else np.nan
    said = domain_words.learnt(model, params.method, params.classes is not None, right, expected)
    return Partition(model, said, confusion=confusion)


def _divided(cells: DomainCells, wanted: int, params: DomainsParams) -> DomainModel:
    """Divide the cells into so many domains, or as many as a method finds that settles the number itself."""
    method: Clustering = params.method  # type: ignore[assignment]
    if wanted <= 1 and params.n_domains == "auto":
        method = "gmm"  # nothing to divide
    if wanted > 0 and method == "gmm" and params.features == "vector" and params.coupling != 0:
        coupling = None if params.coupling == "auto" else params.coupling
        return cluster_maps(*cells.whole_frames(), wanted, coupling, params.seed)
    sample = cells.sample()
    points, noise = sample.points, sample.noise
    if method != "gmm":  # which wants the distribution of all cells: that of the significant ones has a hole about zero
        points, noise = points[sample.significant], noise[sample.significant]
    if wanted == 0 or len(points) == 0:
        return DomainModel("centres", {"centres": np.zeros((0, 2))}, features=params.features)
    return cluster(method, points, noise, wanted, params.features, params.seed)


def _write_frames(stack: Stack, cells: DomainCells, model: DomainModel, significance: float) -> None:
    raw_maps = cells.maps if cells.maps.group == "displacement" else MapStack(stack)
    k = max(model.n_domains, 1)
    for block in cells.blocks():
        found = label_block(model, block, significance)
        label = found.label
        raw = raw_maps.read(block.frames)
        positions = cells.maps.positions(block.frames, block.maps.places)
        series = domain_series.SeriesBlock(len(label), k)
        at_wall = np.zeros(label.shape)
        for frame in range(len(label)):
            noise = np.nan_to_num(raw.noise[frame])
            at_wall[frame] = series.measure(
                frame,
                label[frame],
                found.bridged[frame],
                raw.values[frame],
                noise,
                positions[frame],
                cells.maps.vectors,
            )
        series.write(stack, block.frames)
        places = block.maps.places
        cell = [
            gather(array.reshape(len(label), -1).astype(float), places) for array in (label, found.probability, at_wall)
        ]
        stack.write(LABEL.path, np.nan_to_num(cell[0], nan=-1).astype(np.int8), block.frames)
        stack.write(PROBABILITY.path, cell[1].astype(np.float32), block.frames)
        stack.write(AT_WALL.path, np.nan_to_num(cell[2], nan=-1).astype(np.int8), block.frames)


def _write_evidence(stack: Stack, partition: Partition, params: DomainsParams) -> None:
    centres = partition.model.centres if partition.model.n_domains else np.full((1, 2), np.nan)
    stack.write(CENTRE_U.path, centres[:, 0].astype(np.float32))
    stack.write(CENTRE_V.path, centres[:, 1].astype(np.float32))
    if params.supervised and partition.confusion is not None:
        stack.write(CONFUSION.path, partition.confusion.astype(np.float32))
    elif params.model is None:
        count = partition.count
        for variable in _CURVES:
            curve = np.full(params.max_domains + 1, np.nan)
            if count is not None:
                found = getattr(count, variable.name)[: params.max_domains]
                curve[1 : len(found) + 1] = found
                if variable is BIC:
                    curve[0] = count.noise_bic
            stack.write(variable.path, curve.astype(np.float32))


ANALYSIS = Analysis(
    name="domains",
    kind="images",
    summary="Domains of like displacement, the same label in every frame; areas, walls and mean polarisation",
    params=DomainsParams,
    outputs=outputs,
    shows="stemdask.figures.images.domains",
    needs=("displacement",),
    after=("registration", "denoise"),
    finish=finish,
)
