"""What every analysis promises, held against each one in the table."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import stemdask
from stemdask import simulate
from stemdask.analyses import chain, registry
from stemdask.config.document import Document
from stemdask.config.meanings import meanings
from stemdask.errors import FrameError, StemdaskError
from stemdask.model import RAGGED, Analysis, AtomsFrame, Frame, ImageFrame, Kind, Step, Variable
from stemdask.planning.steps import steps
from stemdask.results.shows import Shows, shown_by

ALL = [pytest.param(analysis, id=f"{analysis.kind}-{analysis.name}") for analysis in registry.every()]
PIXEL = (0.03, 0.03)
EMPTY = Shows(lambda results, frame: [], {})


@contextmanager
def substituted(analysis: Analysis) -> Iterator[None]:
    """Let an analysis stand in the place of the one of its name."""
    module = import_module(registry.TABLE[analysis.kind, analysis.name])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "ANALYSIS", analysis)
        yield


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


def declared(analysis: Analysis) -> tuple[Variable, ...]:
    """Return all that an analysis declares with its defaults, what it hands on too."""
    every = chosen(analysis)
    return dict(zip((step.name for step in every), chain.outputs(analysis.kind, every), strict=True))[analysis.name]


@pytest.mark.parametrize("analysis", ALL)
def test_every_variable_says_what_it_is(analysis: Analysis) -> None:
    for variable in declared(analysis):
        assert variable.units
        assert variable.long_name
        assert "/" in variable.path
        assert variable.dtype == "string" or variable.dtype == "floating" or np.dtype(variable.dtype)
        assert variable.dtype != "floating" or not variable.stored
        assert (variable.dims[:1] == ("frame",)) or variable.stage != "run"


@pytest.mark.parametrize("analysis", ALL)
def test_an_analysis_shows_something_or_says_why_not(analysis: Analysis) -> None:
    shows = shown_by(analysis)
    if shows is None:
        assert "nothing to see" in (inspect.getdoc(inspect.getmodule(analysis.outputs)) or "")
    else:
        assert callable(shows.parts)
        assert all(name.isidentifier() and callable(plot) for name, plot in shows.plots.items())


def test_every_module_of_figures_is_named_by_its_analysis() -> None:
    named = {analysis.shows for analysis in registry.every()}
    for analysis in registry.every():
        assert analysis.shows == f"stemdask.figures.{analysis.kind}.{analysis.name}"
    for half in ("images", "atoms"):
        for file in (Path(stemdask.__file__).parent / "figures" / half).glob("*.py"):
            module = f"stemdask.figures.{half}.{file.stem}"
            assert module in named or not hasattr(import_module(module), "SHOWS")


@pytest.mark.parametrize("kind", ["images", "atoms"])
def test_no_two_figures_of_a_half_have_one_name(kind: Kind) -> None:
    names = [name for analysis in registry.of_kind(kind) for name in (shown_by(analysis) or EMPTY).plots]
    assert len(names) == len(set(names))


def test_what_no_analysis_declares_is_refused() -> None:
    """An array that is handed on without a word can't be read by name, so it must not pass."""
    frame = image(np.ones((16, 16)))
    rogue = replace(registry.get("images", "preprocess"), run=lambda frame, params: {"preprocess/secret": np.ones(1)})
    with substituted(rogue), pytest.raises(StemdaskError, match=r"extra \['preprocess/secret'\]"):
        chain.analyse("images", chosen(rogue), frame)


@pytest.mark.parametrize("analysis", ALL)
def test_what_is_needed_and_followed_is_there(analysis: Analysis) -> None:
    known = registry.names(analysis.kind)
    assert set(analysis.needs) | set(analysis.after) <= set(known)
    assert analysis.name not in (*analysis.needs, *analysis.after)


@pytest.mark.parametrize("analysis", ALL)
def test_every_parameter_has_a_default_and_a_line_of_help(analysis: Analysis) -> None:
    analysis.params()
    for name in analysis.params.model_fields:
        assert meanings(analysis.params).get(name), f"{analysis.name}.{name} has no help"


@pytest.mark.parametrize("analysis", ALL)
def test_a_good_frame_gives_what_is_declared_and_the_same_twice(analysis: Analysis) -> None:
    if analysis.run is None:
        pytest.skip("it has no part that runs frame by frame")
    first, second = run(analysis, good(analysis.kind)), run(analysis, good(analysis.kind))
    stored = {v.path: v for v in chain.declared(analysis.kind, chosen(analysis), "run")}
    assert set(first) == set(stored)
    lengths: dict[str, int] = {}
    for path, array in first.items():
        assert array.dtype == np.dtype(stored[path].dtype)
        np.testing.assert_array_equal(array, second[path])
        for dim, n in zip(stored[path].dims[1:], array.shape, strict=True):
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
def test_no_two_analyses_declare_the_same_variable(kind: Kind) -> None:
    paths = [variable.path for analysis in registry.of_kind(kind) for variable in declared(analysis)]
    assert len(paths) == len(set(paths)), sorted({path for path in paths if paths.count(path) > 1})


@pytest.mark.parametrize("kind", ["images", "atoms"])
def test_all_defaults_stand_in_the_table(kind: Kind) -> None:
    assert set(registry.DEFAULTS[kind]) <= set(registry.names(kind))
