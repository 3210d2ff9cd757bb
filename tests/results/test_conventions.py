"""Every group of a store as the tools for CF data see it: compliance-checker, cf-xarray and pint-xarray."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import stemdask as sd

#: These libraries warn of each other.
pytestmark = [pytest.mark.claims, pytest.mark.long, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(params=["images", "atoms"])
def tree(request: pytest.FixtureRequest) -> xr.DataTree:
    half = {"images": "every_image_analysis", "atoms": "every_atoms_analysis"}[request.param]
    return sd.open_results(request.getfixturevalue(half))


def groups(tree: xr.DataTree) -> Iterator[xr.Dataset]:
    """Yield every group of a store as a dataset by itself, with what the store says of itself."""
    about = {key: value for key, value in tree.attrs.items() if isinstance(value, str)}
    for node in tree.subtree:
        if node.variables:
            plain = {key: value for key, value in node.attrs.items() if isinstance(value, str | int | float)}
            dataset = node.to_dataset().load()
            dataset.attrs = about | plain | {"name": node.path}
            yield dataset


def test_the_compliance_checker_complains_of_nothing(tree: xr.DataTree, tmp_path: Path) -> None:
    checker = pytest.importorskip("compliance_checker.runner").CheckSuite()
    checker.load_all_available_checkers()
    complaints, n_variables = [], 0
    for number, group in enumerate(groups(tree)):
        group.to_netcdf(tmp_path / f"{number}.nc", engine="netcdf4")
        dataset = checker.load_dataset(str(tmp_path / f"{number}.nc"))
        found, errors = checker.run_all(dataset, ["cf:1.11"], [])["cf:1.11"]
        assert not errors
        complaints += [(group.attrs["name"], said) for result in found for said in _complaints(result)]
        n_variables += len(group.variables)
    assert complaints == []
    assert n_variables > 150


def _complaints(result: Any) -> Iterator[str]:
    """Yield what a result and its parts complain of; a message that costs no point is none."""
    complete = result.value[0] == result.value[1] if isinstance(result.value, tuple) else bool(result.value)
    if not complete:
        yield from result.msgs or [result.name]
    for part in result.children or []:
        yield from _complaints(part)


def test_cf_xarray_finds_the_coordinates_and_the_flags_of_every_variable(tree: xr.DataTree) -> None:
    pytest.importorskip("cf_xarray")
    n_flagged = 0
    for group in groups(tree):
        for name, variable in group.data_vars.items():
            placed = {str(coordinate) for coordinate in variable.coords if not str(coordinate).startswith("n_")}
            assert set(group.cf[name].coords) >= placed
            if "flag_values" in variable.attrs:
                flags = variable.cf.flags
                values = zip(variable.attrs["flag_meanings"].split(), variable.attrs["flag_values"], strict=True)
                for meaning, value in values:
                    np.testing.assert_array_equal(flags[meaning], variable == value)
                n_flagged += 1
    assert n_flagged > 5


def test_pint_xarray_takes_every_unit_and_gives_it_back(tree: xr.DataTree) -> None:
    pint = pytest.importorskip("pint_xarray")
    units = pint.unit_registry
    n_with_units = 0
    for group in groups(tree):
        quantities = group.pint.quantify()
        given_back = quantities.pint.dequantify(format="C")
        for name, variable in group.variables.items():
            if "units" not in variable.attrs:
                assert variable.dtype.kind in "TO"
                continue
            assert units(given_back[name].attrs["units"] or "1") == units(variable.attrs["units"])
            np.testing.assert_array_equal(given_back[name].values, variable.values)
            n_with_units += 1
    assert n_with_units > 150


def test_pint_xarray_converts_lengths(tree: xr.DataTree) -> None:
    pint = pytest.importorskip("pint_xarray")
    assert pint is not None
    path, metres = {"images": ("displacement/u", 1e-12), "atoms": ("atoms/q6_avg", 1)}[tree.attrs["kind"]]
    stored = tree[path].load()
    converted = stored.pint.quantify().pint.to("m" if metres != 1 else "1")
    np.testing.assert_allclose(converted.pint.magnitude, metres * stored.values)


def test_every_group_knows_frame_time_and_place_of_what_it_holds(tree: xr.DataTree) -> None:
    placed = {"column": {"y", "x", "i", "j"}, "cell": {"y", "x"}, "atom": {"x", "y", "z"}, "y": {"y"}, "x": {"x"}}
    looked_at = set()
    for group in groups(tree):
        for variable in group.data_vars.values():
            if "frame" in variable.dims:
                assert variable.indexes["frame"].tolist() == list(range(variable.sizes["frame"]))
            for dim in set(variable.dims) & placed.keys():
                assert placed[dim] <= set(variable.coords), (group.attrs["name"], variable.name)
                looked_at.add(dim)
    assert looked_at == ({"atom"} if tree.attrs["kind"] == "atoms" else {"column", "cell", "y", "x"})
