from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemdask.units import Length, parse_length


@pytest.mark.parametrize(
    ("text", "nm"),
    [
        ("3.41 angstrom", 0.341),
        ("3.41 Å", 0.341),
        ("0.0297 nm", 0.0297),
        ("12pm", 0.012),
        ("1e-1 um", 100.0),
        (".5", 0.5),
    ],
)
def test_a_length_is_read_in_the_unit_it_carries(text: str, nm: float) -> None:
    assert parse_length(text, "nm").nm() == pytest.approx(nm, rel=1e-12)


def test_a_bare_number_takes_the_default_unit() -> None:
    assert parse_length(3.41, "angstrom").nm() == pytest.approx(0.341)


def test_pixels_need_a_pixel_size_to_become_nm() -> None:
    assert Length(12, "px").nm(0.03) == pytest.approx(0.36)
    with pytest.raises(ValueError, match="pixel size"):
        Length(12, "px").nm()


@pytest.mark.parametrize("text", ["3 parsec", "nm", "", "3 nm 4", "1e", True, None, [3]])
def test_what_is_no_length_is_refused_in_words(text: object) -> None:
    with pytest.raises(ValueError, match=r"length|unit"):
        parse_length(text, "nm")


@given(st.floats(1e-6, 1e6), st.sampled_from(["nm", "pm", "angstrom", "um", "px"]))
def test_a_length_survives_being_written_and_read(value: float, unit: str) -> None:
    length = Length(float(f"{value:g}"), unit)
    assert parse_length(str(length), "nm") == length
