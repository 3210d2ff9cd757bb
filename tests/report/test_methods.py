"""The methods of a run: sentences that hold its parameters, and references that are in the one table."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from stemdask.analyses import registry
from stemdask.model import Step
from stemdask.report.methods import cite, method_of, methods
from stemdask.report.references import BIBTEX
from stemdask.results import reader, shows
from stemdask.results.views import Results

#: Parameters that lead to other sentences, and to all references.
OTHERS: dict[str, list[dict[str, Any]]] = {
    "columns": [
        {"engine": "atomap"},
        {"refinement": "gaussian", "separation": "12 px"},
        {"refinement": "centre_of_mass"},
        {"shape": "gaussian", "widths": "map", "background": "constant", "noise": "poisson"},
    ],
    "displacement": [{"reference": "line", "remove": "tilt", "born_charge": 5.0}, {"reference": "lattice"}],
    "intensity": [{"count_atoms": True}],
    "bond_order": [{"neighbours": "sann"}, {"neighbours": "voronoi"}, {"neighbours": "nearest", "min_bonds": 8}],
}
CASES = [(a.kind, a.name, given) for a in registry.every() for given in ({}, *OTHERS.get(a.name, []))]


@pytest.mark.parametrize(("kind", "name", "given"), CASES)
def test_every_analysis_says_how_it_was_done_and_cites_what_is_in_the_table(
    kind: Any, name: str, given: dict[str, Any]
) -> None:
    analysis = registry.get(kind, name)
    shown = shows.shown_by(analysis)
    if shown is None or shown.method is None:
        return
    text, cites = shown.method(analysis.params.model_validate(given))
    assert re.fullmatch(r"[A-Z].*\.", text)
    assert not re.search(r"None|auto\b|\{|_", text)
    assert set(cites) <= BIBTEX.keys()
    for value in given.values():
        if isinstance(value, float | str) and re.match(r"\d", str(value)):
            assert str(value).removesuffix(".0") in text


def test_what_to_cite_without_a_store_is_what_the_citation_file_says() -> None:
    said = yaml.safe_load((Path(__file__).parents[2] / "CITATION.cff").read_text())
    entry = dict(re.findall(r"  (\w+) = \{\{?([^{}]*)\}?\},", cite()))
    assert entry == {"author": said["authors"][0]["name"], "title": said["title"], "version": str(said["version"])}


def test_every_reference_is_cited_by_some_method() -> None:
    cited = {"hoyer2017"}
    for kind, name, given in CASES:
        analysis = registry.get(kind, name)  # type: ignore[arg-type]
        shown = shows.shown_by(analysis)
        if shown is not None and shown.method is not None:
            cited |= set(shown.method(analysis.params.model_validate(given)).cites)
    assert cited == BIBTEX.keys()


def test_entries_are_bibtex() -> None:
    for key, entry in BIBTEX.items():
        assert entry.startswith(f"@article{{{key},")
        assert entry.count("{") == entry.count("}")
        assert {"author", "title", "journal", "volume", "pages", "year"} <= set(re.findall(r"^  (\w+) = ", entry, re.M))
        assert f"year = {{{key[-4:]}}}" in entry


@pytest.mark.long
def test_only_what_ran_is_told(ideal_particle: Path) -> None:
    results = Results(reader.open_results(ideal_particle))
    part = methods(results, "1.2")
    ((_, bibtex),) = part.texts
    assert set(re.findall(r"^@\w+{(\w+),", bibtex, re.M)) == {
        "stemdask", "steinhardt1983", "lechner2008", "tenwolde1996", "hoyer2017",
    }  # fmt: skip
    assert part.sentences[0].startswith("Structures were analysed with stemdask 1.2. ")
    assert "s6 exceeded 0.8" in part.sentences[0]


@pytest.mark.long
def test_an_analysis_without_words_of_its_own_names_its_parameters(every_atoms_analysis: Path) -> None:
    results = Results(reader.open_results(every_atoms_analysis))
    params = registry.get("atoms", "clusters").params.model_validate({"min_atoms": 7})
    assert method_of(results, Step("clusters", params)).text.endswith("(threshold 0.8, min atoms 7).")


def test_units_are_printed_as_papers_print_them(every_atoms_analysis: Path) -> None:
    (text,) = methods(Results(reader.open_results(every_atoms_analysis)), "1.2").sentences
    assert re.search(r"\d Å", text)
    assert "angstrom" not in text


@pytest.mark.parametrize("key", BIBTEX)
def test_a_reference_is_named_by_its_first_author_and_year(key: str) -> None:
    fields = dict(re.findall(r"^  (\w+) = \{(.*)\},$", BIBTEX[key], re.MULTILINE))
    author, year = re.fullmatch(r"([a-z]+)(\d{4})", key).groups()  # type: ignore[union-attr]
    assert author == re.sub(r"[^a-z]", "", fields["author"].partition(",")[0].lower())
    assert year == fields["year"]
    assert re.fullmatch(r"10\.\d{4,5}/\S+", fields.get("doi", "10.1000/none"))
