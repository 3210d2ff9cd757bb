from __future__ import annotations

import ast
import json
import re
import runpy
import shlex
from pathlib import Path

import click
import pytest
import typer.main
import yaml
from pydantic import ValidationError

import stemdask
from stemdask.analyses import chain, registry
from stemdask.cli.main import app
from stemdask.model import Step
from stemdask.results import shows

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]


@pytest.mark.parametrize("page", ["analyses.md", "config.md", "cli.md"])
def test_a_page_of_reference_is_what_the_declarations_say(page: str) -> None:
    text = runpy.run_path(str(DOCS / "make_reference.py"))["PAGES"][page]
    assert (DOCS / page).read_text(encoding="utf-8") == text(), "run: python docs/make_reference.py"


def test_the_page_of_functions_is_what_their_docstrings_say() -> None:
    functions = runpy.run_path(str(DOCS / "make_reference.py"))["functions"]
    assert (DOCS / "functions.md").read_text(encoding="utf-8") == functions(), "run: python docs/make_reference.py"


def test_the_page_of_reliability_is_what_its_rows_and_the_tests_say() -> None:
    made = runpy.run_path(str(DOCS / "make_reliability.py"))
    homes = made["homes"]()
    rows = [row for table in made["rows"]().values() for row in table]
    assert {name for row in rows if isinstance(row[3], list) for name in row[3]} <= homes.keys(), "tests that aren't"
    figures = json.loads((DOCS / "reliability.json").read_text(encoding="utf-8"))
    page = (DOCS / "reliability.md").read_text(encoding="utf-8")
    assert page == made["text"](figures), "run: python docs/make_reliability.py"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", [*PAGES, *sorted(DOCS.rglob("gallery/*.py"))], ids=lambda page: page.name)
def test_keys_of_analyses_in_the_text_are_valid(page: Path) -> None:
    for name, keys in re.findall(r"`(\w+): (\{(?:(?!\.\.\.)[^`])*\})`", page.read_text(encoding="utf-8")):
        of_name = [analysis for analysis in registry.every() if analysis.name == name]
        written = yaml.safe_load(keys)
        for analysis in of_name:
            try:
                analysis.params.model_validate(written)
            except ValidationError as error:
                pytest.fail(f"{page.name}: {name}: {keys}: {error}")


def test_variables_in_the_text_are_those_of_the_store() -> None:
    with_options = runpy.run_path(str(DOCS / "make_reference.py"))["OPTIONS"]
    declared: dict[str, set[str]] = {}
    for kind in ("images", "atoms"):
        steps = [Step(one.name, one.params(**with_options.get(one.name, {}))) for one in registry.of_kind(kind)]
        for variable in (variable for outputs in chain.outputs(kind, steps) for variable in outputs):
            declared.setdefault(variable.group, set()).add(variable.name)
    del declared["frames"]  # most of it is the run's own
    declared["domains"].add("confusion")  # of methods that learn from examples
    seen = 0
    for page in (page for page in PAGES if page.parent.name != "adr"):  # decisions tell of what there was
        text = page.read_text(encoding="utf-8")
        named = re.findall(r"`/?(\w+)/(\w+)`", text) + re.findall(r'tree\["(\w+)"\]\.(\w+)\b(?!\()', text)
        for group, name in named:
            if group in declared and name != "attrs":
                seen += 1
                assert name in declared[group], f"{page.name}: {group}/{name}"
    assert seen > 50


def test_figures_in_the_text_are_those_of_the_analyses() -> None:
    drawn = {name for one in registry.every() if (shown := shows.shown_by(one)) for name in shown.plots}
    for page in PAGES:
        named = set(re.findall(r"\bplot\.(\w+)\(", page.read_text(encoding="utf-8")))
        assert named <= drawn, f"{page.name}: {named - drawn}"


def _typed(page: Path) -> list[list[str]]:
    """Return the commands of a page, in blocks or in its text, as words."""
    text = page.read_text(encoding="utf-8")
    lines = [line for block in re.findall(r"^ *```sh\n(.*?)^ *```", text, re.M | re.S) for line in block.splitlines()]
    lines += re.findall(r"`(stemdask [^`]+)`", re.sub(r"^ *```.*?^ *```", "", text, flags=re.M | re.S))
    of_ours = re.compile(r"(?:^|&& )(?:[\w/.~]*/)?stemdask ([a-z][^|>&]*)")
    commands = [found[1] for line in lines if (found := of_ours.search(" ".join(line.split())))]
    return [[word for word in shlex.split(one, comments=True) if word != "..."] for one in commands]


def test_commands_in_the_text_are_understood() -> None:
    verbs = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    seen = 0
    for page in PAGES:
        for verb, *words in _typed(page):
            assert verb in verbs, f"{page.name}: {verb}"
            seen += 1
            if not words or words[-1].startswith("--"):  # options alone, in a sentence that speaks of them
                continue
            try:
                verbs[verb].make_context(verb, words, resilient_parsing=True)
            except click.ClickException as error:
                pytest.fail(f"{page.name}: {verb} {' '.join(words)}: {error.format_message()}")
    assert seen > 80


def test_the_speeds_of_the_readme_are_those_that_the_benchmarks_wrote() -> None:
    page = (DOCS / "performance.md").read_text(encoding="utf-8")
    [ours] = re.findall(r"^\| stemdask, together, spline background \| ([\d,]+) \|", page, re.MULTILINE)
    [atomap] = re.findall(r"^\| atomap, 2D Gaussian, A then B \| ([\d,]+) \|", page, re.MULTILINE)
    pyboo = [float(times) for times in re.findall(r"^  order +pyboo +[\d,]+ +([\d.]+) ×$", page, re.MULTILINE)]
    assert len(pyboo) == 4
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    claimed = [int(number) for number in re.findall(r"about\s+(\d+) times\s+faster", readme)]
    assert len(claimed) == 2
    assert claimed[0] == pytest.approx(float(ours.replace(",", "")) / float(atomap.replace(",", "")), rel=0.1)
    assert claimed[1] == pytest.approx(sum(pyboo) / 4, rel=0.1)


def test_the_page_on_benchmarks_holds_no_figure_that_nothing_writes() -> None:
    page = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    cells = [cell.strip() for line in page.splitlines() if line.startswith("|") for cell in line.strip("|").split("|")]
    assert cells
    assert [cell for cell in cells if re.match(r"[\d.,]+(?: [a-zA-Z%]+)?$", cell)] == []


def test_errors_of_fits_on_the_page_on_accuracy_are_those_of_the_benchmarks() -> None:
    """The table there is taken from two that the benchmark wrote, which have more rows."""
    rows = {
        "stemdask, simultaneous fit (default)": (None, "stemdask, together, spline background"),
        "stemdask, one column at a time": ("stemdask, elliptical, one by one", "stemdask, one by one"),
        "stemdask, centre of mass": ("stemdask, centre of mass", None),
        "picasso, maximum likelihood": ("picasso, maximum likelihood", "picasso, maximum likelihood"),
        "atomap, 2D Gaussian": ("atomap, 2D Gaussian", "atomap, 2D Gaussian, A then B"),
    }

    def cells(page: Path, heading: str) -> dict[str, list[str]]:
        table = page.read_text(encoding="utf-8").partition(heading)[2].partition("\n\n")[0]
        found = ([cell.strip() for cell in line.strip("| ").split(" | ")] for line in table.splitlines())
        return {name: rest for name, *rest in found}

    stated = cells(DOCS / "accuracy.md", "| | isolated | perovskite: A | B |")
    page = DOCS / "performance.md"
    isolated, perovskite = cells(page, "| isolated | columns"), cells(page, "| perovskite | columns")
    for name, (alone, together) in rows.items():
        expected = [isolated[alone][-1] if alone else "–", *(perovskite[together][-2:] if together else ("–", "–"))]
        assert stated[name] == expected, name


def test_messages_of_the_faq_are_those_of_the_program() -> None:
    said = "\n".join(
        " ".join(node.value.split())
        for path in sorted((ROOT / "stemdask").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
    messages = re.findall(r"^\| `([^`]* [^`]*)` \|", (DOCS / "faq.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(messages) > 10
    for part in (part.strip() for message in messages for part in message.split("…")):
        assert part in said, f"no message says {part!r}"


def test_contributing_names_files_and_folders_that_exist() -> None:
    named = re.findall(r"`((?:[\w.]+/)+[\w.<>]*)`", CONTRIBUTING)
    assert len(named) > 10
    for name in named:
        for half in ("images", "atoms"):
            path = ROOT / name.replace("<half>", half).partition("<")[0].removesuffix("x.py")
            assert path.exists(), f"CONTRIBUTING.md names {name}"


@pytest.mark.parametrize(
    ("record", "table"),
    [
        ("SHOWS", "figures/images/columns.py"),
        ("ANALYSIS", "analyses/registry.py"),
        ("FORMAT", "sources/formats.py"),
        ("EXPORT", "export/__init__.py"),
        ("QUEUE", "engine/queues/slurm.py"),
    ],
)
def test_contributing_names_the_records_that_are_looked_for(record: str, table: str) -> None:
    assert re.search(rf"`{record}\b", CONTRIBUTING)
    assert re.search(rf"\b{record}\b", (ROOT / "stemdask" / table).read_text(encoding="utf-8"))


def test_contributing_names_the_sessions_that_nox_has() -> None:
    sessions = set(re.findall(r"@nox\.session.*\ndef (\w+)", (ROOT / "noxfile.py").read_text(encoding="utf-8")))
    named = {
        name for line in re.findall(r"^nox -s ([a-z ]+?)(?:  |$)", CONTRIBUTING, re.MULTILINE) for name in line.split()
    }
    assert named <= sessions
    assert sessions - named <= {"quick", "lowest"}


def test_the_citation_is_of_this_version() -> None:
    [version] = re.findall(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)
    assert version == stemdask.__version__


def test_the_factors_from_nucleus_to_image_are_those_of_the_table() -> None:
    page = (DOCS / "accuracy.md").read_text()
    table = page.split("<!-- column images -->")[1].split("<!-- /column images -->")[0]
    rows = re.findall(r"\| (Ba|Pb)TiO₃[^|]*\| (\d+) \| ([\d.]+) ±", table)
    for element in ("Ba", "Pb"):
        factors = [float(image) / float(nucleus) for name, nucleus, image in rows if name == element]
        assert re.search(
            rf"{min(factors):.2f} to {max(factors):.2f} times[^.]* in {element}TiO₃", page.replace("\n", " ")
        )
