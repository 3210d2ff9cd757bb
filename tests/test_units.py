from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemdask.units import Length, amount, parse_length, sides, symbol


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


@pytest.mark.parametrize(
    ("stored", "printed"),
    [
        ("1", ""),
        ("nm", "nm"),
        ("pm2", "pm²"),
        ("pm^2", "pm²"),
        ("angstrom", "Å"),
        ("angstrom3", "Å³"),
        ("angstrom^3", "Å³"),
        ("degree", "°"),
        ("pixel", "px"),
        ("1e-3 pixel", "10⁻³ px"),
        ("millipixel", "10⁻³ px"),
        ("millipixel^2", "10⁻⁶ px²"),
        ("1/angstrom", "Å⁻¹"),
        ("angstrom^3/angstrom", "Å³ Å⁻¹"),
        ("uC/cm^2", "µC cm⁻²"),
        ("1e-6 C cm-2", "10⁻⁶ C cm⁻²"),
        ("counts per dose", "counts per dose"),
    ],
)
def test_units_are_printed_as_they_are_written_in_the_field(stored: str, printed: str) -> None:
    assert symbol(stored) == printed


@pytest.mark.parametrize(
    ("text", "units", "printed"),
    [
        ("3.1", "pm", "3.1 pm"),
        ("3.1", "1", "3.1"),
        ("788.2", "1e-3 pixel", "0.7882 px"),
        ("788.0", "1e-3 pixel", "0.7880 px"),
        ("2000", "1e-3 pixel", "2 px"),
        ("500", "1e-3 pixel", "0.5 px"),
        ("-12 ± 3 (+40)", "1e-3 pixel", "-0.012 ± 0.003 (+0.040) px"),
        ("6e+05", "1e-6 pixel2", "0.6 px²"),
        ("6e+05", "millipixel^2", "0.6 px²"),
        ("788.2", "millipixel", "0.7882 px"),
        ("nan", "1e-3 pixel", "nan px"),
        ("3.1", "pixel", "3.1 px"),
        ("0.11", "degree", "0.11°"),
    ],
)
def test_an_amount_has_its_unit_and_thousandths_of_a_pixel_are_told_in_pixels(
    text: str, units: str, printed: str
) -> None:
    assert amount(text, units) == printed


@pytest.mark.parametrize(
    ("lengths", "digits", "told"),
    [
        ((5.049, 8.91), 6, "5.049 × 8.910"),
        ((0.32, 0.24), 6, "0.32 × 0.24"),
        ((23.81, 23.9, 24.05), 4, "23.81 × 23.90 × 24.05"),
        ((224.0, 256.0), 6, "224 × 256"),
        ((1e-7, 2.0), 4, "1e-07 × 2"),
    ],
)
def test_sides_have_as_many_decimals_each(lengths: tuple[float, ...], digits: int, told: str) -> None:
    assert sides(lengths, digits) == told
