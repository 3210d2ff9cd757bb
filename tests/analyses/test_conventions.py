"""What every analysis says of its variables is what CF, UDUNITS and pint can read."""

from __future__ import annotations

import re

import pint
import pytest

from stemdask.analyses import chain, registry
from stemdask.model import Kind, Step, Variable
from stemdask.store import layout


def every(kind: Kind) -> tuple[Variable, ...]:
    steps = [Step(name, registry.get(kind, name).params()) for name in registry.names(kind)]
    return chain.declared(kind, steps)


@pytest.mark.parametrize("kind", ["images", "atoms"])
@pytest.mark.parametrize("calibrated", [True, False])
def test_pint_takes_the_units_of_every_variable(kind: Kind, calibrated: bool) -> None:
    pint_units = pint.UnitRegistry()
    found = {layout.units_of(variable, calibrated) for variable in every(kind)}
    assert len(found) > 4
    for units in found - {"1"}:
        assert str(pint_units.parse_units(units)) != "dimensionless"


@pytest.mark.parametrize("kind", ["images", "atoms"])
def test_meanings_of_flags_have_the_signs_that_cf_allows(kind: Kind) -> None:
    flagged = [variable for variable in every(kind) if variable.flags is not None]
    assert len(flagged) > 5
    for variable in flagged:
        meanings = layout.attributes_of(variable, calibrated=True)["flag_meanings"].split(" ")
        assert len(set(meanings)) == len(variable.flags or ())
        assert all(re.fullmatch(r"[A-Za-z0-9_.+@-]+", meaning) for meaning in meanings), variable.path
