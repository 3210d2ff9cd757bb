"""Domains: the same label for the same domain in every frame, and none where the data show none."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.ndimage import binary_dilation

from stemdask.analyses.images.maps import denoise, domain_series
from stemdask.analyses.images.maps.displacement_maps import MapStack
from stemdask.analyses.images.maps.domain_cells import CellBlock, CellSample, DomainCells
from stemdask.analyses.images.maps.domain_embedding import EMBEDDING, write_embedding
from stemdask.analyses.images.maps.domain_params import DomainsParams
from stemdask.analyses.images.maps.domain_training import learn
from stemdask.errors import InputError
from stemdask.kernels.images.denoising.cell_grid import gather
from stemdask.kernels.images.domains import directions, domain_models
from stemdask.kernels.images.domains.clusterings import Clustering, cluster
from stemdask.kernels.images.domains.domain_count import STRONG, DomainCount, count_domains
from stemdask.kernels.images.domains.domain_models import DomainModel
from stemdask.model import Analysis, Array, Stack, Variable

#: Cells without a label that a wall may be wide, on each side.
_BRIDGED = 2


@dataclass(frozen=True, slots=True)
class Partition:
    """A fitted partition and what speaks for it."""

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
SILHOUETTE = _variable("silhouette", _CURVE, "float32", "1", "mean silhouette")
STABILITY = _variable("stability", _CURVE, "float32", "1", "mean adjusted Rand index of bootstrap repeats")
_CURVES = (BIC, EVIDENCE, SILHOUETTE, STABILITY)


def outputs(params: DomainsParams) -> tuple[Variable, ...]:
    """Declare the labels, the series over the frames and what speaks for the domains."""
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
        Labels or a model can't be read or used.
    """
    source = params.source if params.source != "auto" else "denoised" if stack.has(denoise.U.path) else "displacement"
    if source == "denoised" and not stack.has(denoise.U.path):
        raise InputError("the run has no denoised maps", where="analyses.domains.source", remedy="Add 'denoise: {}'")
    cells = DomainCells(stack, source, params.neighbourhood, params.significance)
    partition = _partition(cells, params)
    if params.save_model is not None:
        partition.model.save(Path(params.save_model))
    _write_frames(stack, cells, partition.model)
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


def statement(count: DomainCount, model: DomainModel) -> str:
    """Say in words what the evidence shows."""
    k = len(count.bic)
    if count.n == 0:
        return "No domains: the displacements don't differ from noise about zero."
    if count.n == 1:
        u, v = count.mixtures[0].means[0]
        spread = np.sqrt(np.linalg.eigvalsh(count.mixtures[0].covariances[0]))
        more = int(np.argmin(count.bic)) + 1
        gains = count.evidence[1:more]
        strongest = max(float(np.nanmax(gains)), 0.0) if np.isfinite(gains).any() else 0.0
        said = (
            f"No domains to tell apart: the displacements form a single population about {np.hypot(u, v):.1f} pm "
            f"towards {directions.in_words(u, v)}, spread by {spread[0]:.1f} to {spread[1]:.1f} pm "
            f"beyond the errors."
        )
        if k > 1 and more > 1:
            said += (
                f" {more} Gaussians fit its shape better than one, but no peaks of their own stand out (log likelihood "
                f"gain {strongest:.1f}, {STRONG:g} needed): more labels would divide what is continuous."
            )
        return said
    parts = ", ".join(f"{np.hypot(u, v):.1f} pm towards {directions.in_words(u, v)}" for u, v in model.centres)
    return (
        f"{model.n_domains} domains: {parts}. Every pair is told apart (log likelihood gain at least "
        f"{count.evidence[count.n - 1]:.1f}, {STRONG:g} needed) and the partition is stable (adjusted Rand index "
        f"{count.stability[count.n - 1]:.2f} under the bootstrap)."
    )


def _partition(cells: DomainCells, params: DomainsParams) -> Partition:
    if params.model is not None:
        try:
            return Partition(domain_models.load(Path(params.model)), f"Labelled by the model {params.model}.")
        except (OSError, ValueError, KeyError) as error:
            raise InputError(
                f"the model can't be read: {error}", where=params.model, remedy="Name a model that stemdask wrote"
            ) from error
    if params.supervised:
        model, confusion = learn(cells, params)
        right = float(np.trace(confusion) / confusion.sum()) if np.isfinite(confusion).all() else np.nan
        learnt = "ideal directions" if params.classes is not None else "labelled cells"
        said = f"{model.n_domains} classes learnt from {learnt} by {params.method}"
        checked = (
            f"; {100 * right:.1f} % right in cross-validation." if np.isfinite(right) else ", not cross-validated."
        )
        return Partition(model, said + checked, confusion=confusion)
    sample = cells.sample()
    if len(sample.points) < 5:
        empty = DomainModel("centres", {"centres": np.zeros((0, 2))}, features=params.features)
        return Partition(empty, "No domains: there are too few cells.")
    most = max(params.max_domains, params.n_domains if params.n_domains != "auto" else 1)
    count = count_domains(sample.points, sample.noise, sample.effective, most, seed=params.seed)
    return _found(sample, count, params)


def _found(sample: CellSample, count: DomainCount, params: DomainsParams) -> Partition:
    method: Clustering = params.method  # type: ignore[assignment]
    wanted = count.n if params.n_domains == "auto" else params.n_domains
    points, noise = sample.points[sample.significant], sample.noise[sample.significant]
    if wanted <= 1 and params.n_domains == "auto":
        method = "gmm"  # nothing to divide
    if method == "gmm":
        # The distribution of all cells: that of the significant ones has a hole about zero.
        points, noise = sample.points, sample.noise
    if wanted == 0 or len(points) == 0:
        model = DomainModel("centres", {"centres": np.zeros((0, 2))}, features=params.features)
    else:
        model = cluster(method, points, noise, wanted, params.features, params.seed)
    said = statement(count, model)
    if params.n_domains != "auto":
        asked = f"{wanted} domain{'s' if wanted != 1 else ''} as asked for. "
        evidence = "The data by themselves: " if count.n != wanted else ""
        said = asked + evidence + said
    return Partition(model, said, count=count)


def _write_frames(stack: Stack, cells: DomainCells, model: DomainModel) -> None:
    raw_maps = cells.maps if cells.maps.group == "displacement" else MapStack(stack)
    k = max(model.n_domains, 1)
    for block in cells.blocks():
        label, probability, bridged = _predict(model, block)
        raw = raw_maps.read(block.frames)
        positions = cells.maps.positions(block.frames, block.maps.places)
        series = domain_series.SeriesBlock(len(label), k)
        at_wall = np.zeros(label.shape)
        for frame in range(len(label)):
            noise = np.nan_to_num(raw.noise[frame])
            at_wall[frame] = series.measure(
                frame, label[frame], bridged[frame], raw.values[frame], noise, positions[frame], cells.maps.vectors
            )
        series.write(stack, block.frames)
        places = block.maps.places
        cell = [gather(array.reshape(len(label), -1).astype(float), places) for array in (label, probability, at_wall)]
        stack.write(LABEL.path, np.nan_to_num(cell[0], nan=-1).astype(np.int8), block.frames)
        stack.write(PROBABILITY.path, cell[1].astype(np.float32), block.frames)
        stack.write(AT_WALL.path, np.nan_to_num(cell[2], nan=-1).astype(np.int8), block.frames)


def _predict(model: DomainModel, block: CellBlock) -> tuple[Array, Array, Array]:
    """Label and probability of every grid place, (frame, row, column), and labels bridged across walls.

    At a wall displacements pass through zero, so that its own cells have no label; for the walls they get their more
    probable one where a labelled cell is near.
    """
    label = np.full(block.significant.shape, -1, dtype=np.int64)
    probability = np.full(block.significant.shape, np.nan)
    chosen = block.significant
    label[chosen], probability[chosen] = model.predict(block.vectors[chosen], block.errors[chosen])
    bridged = label.copy()
    near = binary_dilation(label >= 0, np.ones((1, 3, 3), dtype=bool), iterations=_BRIDGED)
    weak = near & (label < 0) & np.isfinite(block.vectors).all(axis=-1)
    bridged[weak], _ = model.predict(block.vectors[weak], block.errors[weak])
    return label, probability, bridged


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
