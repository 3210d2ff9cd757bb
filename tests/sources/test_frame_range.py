"""One way to write a range of frames."""

from __future__ import annotations

import pytest

from stemdask.sources.frame_range import parse_range


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0:100", slice(0, 100)),
        ("20:", slice(20, None)),
        (":5", slice(None, 5)),
        (":", slice(None)),
        (" 3 : 4 ", slice(3, 4)),
    ],
)
def test_two_numbers_around_a_colon_are_a_slice(text: str, expected: slice) -> None:
    assert parse_range(text) == expected


@pytest.mark.parametrize("text", ["", "5", "a:b", "5:5", "7:3", "-3:", "::2", "0:10:2", "1:2:", "1.5:2"])
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a range of frames; write 'first:last\+1', for example '0:100'"):
        parse_range(text)
