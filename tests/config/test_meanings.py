"""The meanings of keys: found in the source, of bases too, and only when they are asked for."""

from __future__ import annotations

from stemdask.config.keys import Config, Input
from stemdask.config.meanings import meanings
from stemdask.config.section import Section


class Base(Section):
    """A section."""

    given: int = 0
    """What a base says."""
    both: int = 0
    """What the base says of both."""
    nothing: int = 0


class Derived(Base):
    """Another."""

    both: int = 1
    """What the derived one says
    on two lines."""


def test_keys_have_the_text_below_them_that_of_a_base_where_they_have_none_of_their_own() -> None:
    assert meanings(Derived) == {"given": "What a base says.", "both": "What the derived one says\non two lines."}
    assert list(meanings(Input)) == list(Input.model_fields)


def test_sections_are_made_without_reading_their_source() -> None:
    assert {field.description for section in (Config, Input) for field in section.model_fields.values()} == {None}
