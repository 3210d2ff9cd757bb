"""Lengths as people write them ("3.41 angstrom", "12 px", "0.0297 nm"), and units of the store as they are printed."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer
from pydantic_core import PydanticSerializationUnexpectedValue

_NANOMETRES = {"nm": 1.0, "angstrom": 0.1, "å": 0.1, "a": 0.1, "pm": 1e-3, "um": 1e3, "µm": 1e3, "μm": 1e3, "m": 1e9}
_PIXELS = {"px", "pixel", "pixels"}
_SIGNS = {"angstrom": "Å", "degree": "°", "pixel": "px", "uC": "µC", "um": "µm"}
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_NUMBER = re.compile(r"\d+\.?\d*(?:e[+-]?\d+)?")
#: As the store spells them for pint, which takes no factor before a unit.
_IN_PIXELS = {"millipixel": "1e-3 pixel", "millipixel^2": "1e-6 pixel^2"}
_OF_A_PIXEL = re.compile(r"1e(-\d+) (pixel\S*)")
_TEXT = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*([^\W\d_]*)\s*\Z")


@dataclass(frozen=True, slots=True)
class Length:
    """A length with the unit that it was given in (``nm``, ``angstrom``, ``pm``, ``um``, ``m`` or ``px``)."""

    value: float
    unit: str

    def __str__(self) -> str:
        return f"{self.value!r} {self.unit}".replace(".0 ", " ")

    def nm(self, pixel_size: float | None = None) -> float:
        """Return the length in nm; a length in px needs the pixel size in nm."""
        if self.unit in _PIXELS:
            if pixel_size is None:
                raise ValueError(f"{self} has no meaning without a pixel size; give it in nm or angstrom")
            return self.value * pixel_size
        return self.value * _NANOMETRES[self.unit.lower()]

    def angstrom(self) -> float:
        """Return the length in angstrom."""
        return 10.0 * self.nm()

    def px(self, pixel_size: float) -> float:
        """Return the length in pixels of `pixel_size` nm."""
        return self.value if self.unit in _PIXELS else self.nm() / pixel_size


def parse_length(text: object, default_unit: str) -> Length:
    """Read a length from text or from a number in `default_unit`; raise ValueError in words otherwise."""
    if isinstance(text, Length):
        return text
    if isinstance(text, bool) or not isinstance(text, int | float | str):
        raise ValueError(f"{text!r} is not a length; write for example '3.41 angstrom'")
    match = _TEXT.match(str(text))
    if match is None:
        raise ValueError(f"{text!r} is not a length; write for example '3.41 angstrom'")
    unit = match[2] or default_unit
    if unit.lower() not in _NANOMETRES and unit not in _PIXELS:
        raise ValueError(f"{unit!r} is not a unit of length; use nm, angstrom, pm, um or px")
    return Length(float(match[1]), unit)


def symbol(units: str) -> str:
    """Return a unit of the store as it is printed, such as Å² for ``angstrom^2``; nothing for a pure number."""
    above, *below = _IN_PIXELS.get(units, units).split("/")
    words = [_factor(word, 1) for word in above.split() if word != "1"]
    return " ".join(words + [_factor(word, -1) for part in below for word in part.split()])


def amount(text: str, units: str) -> str:
    """Return a number, or several in one text, with their unit; thousandths of a pixel are told in pixels."""
    if thousandths := _OF_A_PIXEL.fullmatch(_IN_PIXELS.get(units, units)):
        power, units = int(thousandths[1]), thousandths[2]
        if text.isdigit():  # its zeros at the end are no digits that were measured
            text = f"{Decimal(text).scaleb(power).normalize():f}"
        else:
            text = _NUMBER.sub(lambda number: f"{Decimal(number[0]).scaleb(power):f}", text)
    sign = symbol(units)
    return f"{text}{'' if sign == '°' else ' '}{sign}".rstrip()


def sides(lengths: Sequence[float], digits: int) -> str:
    """Return lengths along several axes, such as 5.049 × 8.910: as many decimals each as the longest of them needs."""
    shortest = [f"{length:.{digits}g}" for length in lengths]
    if any("e" in text for text in shortest):
        return " × ".join(shortest)
    decimals = max(len(text.partition(".")[2]) for text in shortest)
    return " × ".join(f"{length:.{decimals}f}" for length in lengths)


def _factor(word: str, sign: int) -> str:
    """Return one factor of a unit: a name with its power, or a power of ten."""
    found = re.fullmatch(r"1e(?P<ten>-?\d+)|(?P<name>[A-Za-z]+)\^?(?P<power>-?\d*)", word)
    if found is None:
        return word
    base, power = ("10", found["ten"]) if found["ten"] else (found["name"], found["power"] or "1")
    raised = sign * int(power)
    return _SIGNS.get(base, base) + ("" if raised == 1 else str(raised).translate(_RAISED))


def _positive(unit: str) -> Callable[[Any], Any]:
    def parse(text: Any) -> Any:
        length = parse_length(text, unit)
        if not 0 < length.value < float("inf"):
            raise ValueError(f"a length must be positive and finite, got {length}")
        return length

    return parse


def _written(length: Any) -> str:
    if not isinstance(length, Length):  # another member of a union, such as a range of lengths
        raise PydanticSerializationUnexpectedValue(f"{length!r} is not a length")
    return str(length)


#: How a length is written to a config or a plan.
AsText = PlainSerializer(_written)
#: Positive length in a params model; a bare number is in the unit named.
LengthNm = Annotated[Length, BeforeValidator(_positive("nm")), AsText]
LengthAngstrom = Annotated[Length, BeforeValidator(_positive("angstrom")), AsText]
LengthPx = Annotated[Length, BeforeValidator(_positive("px")), AsText]
#: Component of a vector, of either sign.
ComponentPx = Annotated[Length, BeforeValidator(lambda text: parse_length(text, "px")), AsText]
