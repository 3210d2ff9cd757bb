"""What every analysis promises, held against each one in the table."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from stemdask import simulate
from stemdask.analyses import chain, registry
from stemdask.config.keys import Document, steps
from stemdask.errors import FrameError
from stemdask.model import RAGGED, Analysis, AtomsFrame, Frame, ImageFrame, Step

ALL = [pytest.param(analysis, id=f"{analysis.kind}-{analysis.name}") for analysis in registry.ANALYSES]
PIXEL = (0.03, 0.03)


def image(pixels: object, index: int = 0) -> ImageFrame:
    return ImageFrame(index, np.asarray(pixels, dtype=np.float32), PIXEL)


def atoms(positions: object, index: int = 0) -> AtomsFrame:
    array = np.asarray(positions, dtype=np.float64).reshape(-1, 3)
    return AtomsFrame(index, array, np.full(len(array), 78, dtype=np.uint8))


def good(kind: str) -> Frame:
    if kind == "images":
        return image(simulate.perovskite((160, 160), 14.0, seed=3)[0])
    return simulate.trajectory(simulate.nanocrystal(14.0), 1, sigma=0.05).read(0)


def odd(kind: str) -> Iterator[tuple[str, Frame]]:
    if kind == "images":
        yield "all NaN", image(np.full((64, 64), np.nan))
        yield "flat", image(np.ones((64, 64)))
        yield "zero", image(np.zeros((64, 64)))
        yield "noise alone", image(np.random.default_rng(0).poisson(5.0, (64, 64)))
        yield "huge values", image(np.full((64, 64), 3e38))
        yield "small", image(np.ones((8, 8)))
        holed = np.array(good("images").pixels)  # type: ignore[union-attr]
        holed[40:44, 40:44] = np.nan
        yield "NaN pixels", image(holed)
    else:
        yield "no atom", atoms([])
        yield "one atom", atoms([0, 0, 0])
        yield "two atoms", atoms([[0, 0, 0], [2.7, 0, 0]])
        yield "coincident", atoms([[0, 0, 0], [0, 0, 0], [2.7, 0, 0], [0, 2.7, 0], [0, 0, 2.7]])
        yield "collinear", atoms([[2.7 * k, 0, 0] for k in range(5)])
        yield "coplanar", atoms([[2.7 * (k % 4), 2.7 * (k // 4), 0] for k in range(16)])
        yield "far apart", atoms([[0, 0, 0], [1e4, 0, 0], [0, 1e4, 0], [0, 0, 1e4]])


def chosen(analysis: Analysis) -> tuple[Step, ...]:
    found, problems = steps(Document({"analyses": {analysis.name: {}}}), analysis.kind)
    assert problems == []
    return found


def run(analysis: Analysis, frame: Frame) -> dict[str, np.ndarray]:
    frame.results.clear()
    frame.results.update(chain.prepare(analysis.kind, chosen(analysis), [frame]))
    return chain.analyse(analysis.kind, chosen(analysis), frame)


@pytest.mark.parametrize("analysis", ALL)
def test_every_variable_says_what_it_is(analysis: Analysis) -> None:
    for variable in analysis.outputs(analysis.params()):
        assert variable.units
        assert variable.long_name
        assert "/" in variable.path
        assert variable.dtype == "string" or np.dtype(variable.dtype)
        assert (variable.dims[:1] == ("frame",)) or variable.stage != "run"


@pytest.mark.parametrize("analysis", ALL)
def test_every_parameter_has_a_default_and_a_line_of_help(analysis: Analysis) -> None:
    analysis.params()
    for name, field in analysis.params.model_fields.items():
        assert field.description, f"{analysis.name}.{name} has no help"


@pytest.mark.parametrize("analysis", ALL)
def test_a_good_frame_gives_what_is_declared_and_the_same_twice(analysis: Analysis) -> None:
    if analysis.run is None:
        pytest.skip("it has no part that runs frame by frame")
    first, second = run(analysis, good(analysis.kind)), run(analysis, good(analysis.kind))
    declared = {v.path: v for v in chain.declared(analysis.kind, chosen(analysis), "run")}
    assert set(first) == set(declared)
    lengths: dict[str, int] = {}
    for path, array in first.items():
        assert array.dtype == np.dtype(declared[path].dtype)
        np.testing.assert_array_equal(array, second[path])
        for dim, n in zip(declared[path].dims[1:], array.shape, strict=True):
            if dim in RAGGED:
                assert lengths.setdefault(dim, n) == n, f"{path} has {n} {dim}s, others {lengths[dim]}"


@pytest.mark.parametrize("analysis", ALL)
def test_an_odd_frame_gives_declared_arrays_or_a_sentence(analysis: Analysis) -> None:
    if analysis.run is None:
        pytest.skip("it has no part that runs frame by frame")
    for name, frame in odd(analysis.kind):
        try:
            found = run(analysis, frame)
        except FrameError:  # a sentence about this frame is an answer; any other exception or warning is none
            continue
        assert set(found) == {v.path for v in chain.declared(analysis.kind, chosen(analysis), "run")}, name


@pytest.mark.parametrize("kind", ["images", "atoms"])
def test_no_two_analyses_declare_the_same_variable(kind: str) -> None:
    paths = [
        variable.path
        for analysis in registry.ANALYSES
        if analysis.kind == kind
        for variable in analysis.outputs(analysis.params())
    ]
    assert len(paths) == len(set(paths)), sorted({path for path in paths if paths.count(path) > 1})


@pytest.mark.parametrize("kind", ["images", "atoms"])
def test_all_defaults_stand_in_the_table(kind: str) -> None:
    assert set(registry.DEFAULTS[kind]) <= set(registry.names(kind))  # type: ignore[index, arg-type]
