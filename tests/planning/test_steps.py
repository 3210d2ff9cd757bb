"""The order of analyses follows from what each reads, whatever the order in which the table or a config names them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemdask.analyses import registry
from stemdask.config.document import Document
from stemdask.errors import StemdaskError
from stemdask.model import Kind
from stemdask.planning.steps import steps, topological

Before = dict[str, tuple[str, ...]]


@st.composite
def orderable(draw: st.DrawFn) -> Before:
    """Names that each come after some of those before them, given in any order."""
    names = [f"a{k}" for k in range(draw(st.integers(0, 8)))]
    before = {name: tuple(draw(st.sets(st.sampled_from(names[:k])))) if k else () for k, name in enumerate(names)}
    return {name: before[name] for name in draw(st.permutations(names))}


@given(orderable())
def test_each_comes_after_what_it_names(before: Before) -> None:
    ordered = topological(before)
    assert sorted(ordered) == sorted(before)
    assert all(ordered.index(other) < ordered.index(name) for name, others in before.items() for other in others)


@given(st.lists(st.text(max_size=3), unique=True))
def test_where_nothing_waits_the_given_order_stays(names: list[str]) -> None:
    assert topological(dict.fromkeys(names, ())) == tuple(names)


@given(orderable())
def test_an_order_that_is_right_already_stays(before: Before) -> None:
    once = topological(before)
    assert topological({name: before[name] for name in once}) == once


def test_what_is_not_part_of_the_run_is_not_waited_for() -> None:
    assert topological({"strain": ("scan_distortion", "lattice"), "lattice": ()}) == ("lattice", "strain")


@pytest.mark.parametrize("before", [{"a": ("a",)}, {"a": ("b",), "b": ("c",), "c": ("a",), "d": ()}])
def test_analyses_that_wait_for_each_other_are_refused_by_name(before: Before) -> None:
    with pytest.raises(StemdaskError, match=r"wait for each other.*a"):
        topological(before)


@pytest.mark.parametrize("kind", ["images", "atoms"])
def test_the_order_of_the_table_carries_no_meaning(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "TABLE", dict(reversed(registry.TABLE.items())))
    everything = Document({"analyses": {name: {} for name in registry.names(kind)}})
    found, problems = steps(everything, kind)
    assert problems == []
    names = [step.name for step in found]
    assert sorted(names) == sorted(registry.names(kind))
    for analysis in registry.of_kind(kind):
        for other in (*analysis.needs, *analysis.after):
            assert names.index(other) < names.index(analysis.name), f"{analysis.name} reads {other}"
