from __future__ import annotations

from pathlib import Path

import pytest

from stemdask.config import yaml_lines
from stemdask.config.document import Document, override, read
from stemdask.config.keys import to_yaml
from stemdask.config.problems import validate
from stemdask.config.values import parse_memory, parse_walltime
from stemdask.errors import ConfigError
from stemdask.planning import steps as planning

GOOD = """\
input:
  path: stack.dm4
  kind: images
  pixel_size: 0.0297 nm
  frames: "0:100"
output: results/bto.zarr
analyses:
  columns: {separation: auto}
  displacement:
cluster: {kind: threads, workers: 2}
"""


def document(text: str) -> Document:
    return Document(*yaml_lines.load(text, "test.yaml"), name="test.yaml")


def test_a_right_config_is_read_whole() -> None:
    config, problems = validate(document(GOOD))
    assert problems == []
    assert config is not None
    assert config.input.pixel_size.nm() == pytest.approx(0.0297)  # type: ignore[union-attr]
    assert config.cluster.kind == "threads"


def test_every_problem_is_said_at_once_with_its_line() -> None:
    text = GOOD.replace("pixel_size: 0.0297 nm", "pixel_sise: 0.0297 nm").replace("workers: 2", "workers: many")
    text = text.replace('"0:100"', "backwards") + "limits: {max_failed: 7}\n"
    config, problems = validate(document(text))
    assert config is None
    assert len(problems) == 4
    said = "\n".join(problems)
    assert "line 4: input.pixel_sise: unknown key; did you mean 'pixel_size'?" in said
    assert "line 5: input.frames" in said
    assert "line 10: cluster.workers" in said
    assert "line 11: limits.max_failed" in said


def test_an_unknown_analysis_names_the_nearest_one_and_its_line() -> None:
    _, problems = planning.steps(document(GOOD.replace("displacement:", "displacment:")), "images")
    assert problems == ["line 9: analyses.displacment: unknown analysis; did you mean 'displacement'?"]


def test_an_analysis_of_the_other_kind_is_called_so() -> None:
    _, problems = planning.steps(document(GOOD.replace("displacement:", "rdf:")), "images")
    assert len(problems) == 1
    assert "rdf: is an analysis of atoms, and the input holds images; known here: preprocess, " in problems[0]


@pytest.mark.parametrize(
    ("params", "told"),
    [
        (
            "columns: {separation: 12 parsec}",
            "'parsec' is not a unit of length; use nm, angstrom, pm, um or px; 'auto'",
        ),
        ("columns: {separation: [20 px, 10 px]}", "a range is [smallest, largest], got [20 px, 10 px]"),
        ("columns: {shape: gausssian}", "(got 'gausssian'); did you mean 'gaussian'?"),
        ("domains: {n_domains: 0}", "must be 'auto', or greater than or equal to 1 (got 0)"),
        ("domains: {method: kmeens}", "'random_forest' or 'knn' (got 'kmeens'); did you mean 'kmeans'?"),
        ("domains: {classes: {up: 90}}", "needs at least 2 entries, got 1"),
        ("columns: {sublattices: two}", "must be a whole number (got 'two')"),
        ("columns: {colour: red}", "unknown key; known here: separation, "),
    ],
)
def test_a_wrong_value_is_answered_once_in_words_of_the_config(params: str, told: str) -> None:
    _, problems = planning.steps(document(f"input: {{path: a.tif}}\nanalyses: {{{params}}}\n"), "images")
    assert len(problems) == 1
    assert told in problems[0]
    assert problems[0].count("got") <= 1


def test_a_value_that_is_part_of_an_allowed_one_is_named() -> None:
    _, problems = planning.steps(document("input: {path: a.xyz}\nanalyses: {coordination: {rule: bulk}}\n"), "atoms")
    assert problems[0].endswith("must be 'auto', 'first_minimum', 'bulk_distance' or 'lattice' (got 'bulk')")


def test_bins_wider_than_the_longest_distance_are_refused() -> None:
    text = "input: {path: a.xyz}\nanalyses: {rdf: {r_max: 3 nm, bin_width: 5 nm}}\n"
    _, problems = planning.steps(document(text), "atoms")
    assert problems == ["line 2: analyses.rdf: r_max must be longer than bin_width, got 3 nm and 5 nm"]


def test_analyses_as_a_list_are_answered_with_how_to_write_them() -> None:
    _, problems = validate(document("input: {path: a.tif}\noutput: a.zarr\nanalyses: [columns, displacement]\n"))
    assert problems == [
        "line 3: analyses: must be a mapping of analyses, each with its parameters, such as 'columns: {}'"
    ]


def test_types_of_atoms_are_named_by_number_or_by_text() -> None:
    texts = ('{1: Pt, "2": Au}', '{"1": Pt, 2: Au}')
    for text in texts:
        config, problems = validate(document(f"input: {{path: a.dump, elements: {text}}}\noutput: a.zarr\n"))
        assert problems == []
        assert config is not None
        assert config.input.elements == {"1": "Pt", "2": "Au"}


@pytest.mark.parametrize("number", ["inf", "nan", "-inf"])
def test_a_number_that_is_not_finite_is_refused_in_words(number: str) -> None:
    text = f"input: {{path: a.tif}}\nanalyses:\n  preprocess: {{detector: [0, {number}]}}\n"
    _, problems = planning.steps(document(text), "images")
    assert problems == [f"line 3: analyses.preprocess.detector.1: must be a finite number (got '{number}')"]


def test_needed_analyses_are_added_and_stand_before_those_that_need_them() -> None:
    steps, problems = planning.steps(document("input: {path: a.tif}\nanalyses: {displacement: {}}\n"), "images")
    assert problems == []
    names = [step.name for step in steps]
    assert names.index("columns") < names.index("lattice") < names.index("displacement")


def test_the_order_in_the_config_does_not_change_the_run() -> None:
    one = planning.steps(document("analyses: {columns: {}, displacement: {}}\n"), "images")[0]
    other = planning.steps(document("analyses: {displacement: {}, columns: {}}\n"), "images")[0]
    assert one == other


def test_a_config_written_out_is_read_back_the_same() -> None:
    first = document(GOOD)
    config, _ = validate(first)
    assert config is not None
    steps, _ = planning.steps(first, "images")
    text = to_yaml(config, steps)
    again, problems = validate(document(text))
    assert problems == []
    assert again is not None
    assert again.model_dump(exclude={"analyses"}) == config.model_dump(exclude={"analyses"})
    assert planning.steps(document(text), "images")[0] == steps


def test_settings_lie_over_the_config() -> None:
    changed = override(document(GOOD), ["analyses.columns.separation=12 px", "limits.max_failed=0.25"])
    assert changed.data["analyses"]["columns"]["separation"] == "12 px"
    assert changed.data["limits"]["max_failed"] == 0.25


@pytest.mark.parametrize("setting", ["nonsense", "=3", "output.x=3"])
def test_a_setting_that_is_none_is_refused(setting: str) -> None:
    with pytest.raises(ConfigError):
        override(document(GOOD), [setting])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\na: 2", "line 2: the key 'a' occurs twice"),
        ("a: &x 1\nb: *x", "anchors and aliases"),
        ("a: &x [*x]", "anchors and aliases"),
        ("- 1", "a mapping of keys"),
        ("", "empty"),
        ("# only a comment", "empty"),
        ("a: !!python/object/apply:os.system [ls]", "not valid YAML"),
        ("a: [", "not valid YAML"),
        ("a: 1\n---\nb: 2", "not valid YAML"),
        ("a: \x00", "not valid YAML"),
        ("a: " + "[" * 40 + "]" * 40, "nested too deeply"),
        ("a: " + "[" * 5000 + "]" * 5000, "nested too deeply"),
        ("a: " + "x" * 1_000_001, "too large"),
    ],
    ids=lambda text: text[:24],
)
def test_what_is_no_plain_mapping_is_refused_in_a_sentence(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        yaml_lines.load(text, "x")


def test_plain_scalars_mean_what_they_look_like() -> None:
    data, _ = yaml_lines.load("a: 12:30:45\nb: no\nc: 010\nd: 1e3\ne: 30:00\nf: true\n", "x")
    assert data == {"a": "12:30:45", "b": "no", "c": 10, "d": 1000.0, "e": "30:00", "f": True}


@pytest.mark.parametrize(("text", "size"), [("4 GiB", 4 * 2**30), ("500MB", 500_000_000), ("1.5 GiB", 3 * 2**29)])
def test_memory_is_read_with_its_unit(text: str, size: int) -> None:
    assert parse_memory(text) == size


@pytest.mark.parametrize("text", ["4000", "4G", "4", "-1 GB", 4])
def test_memory_without_an_honest_unit_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="amount of memory"):
        parse_memory(text)


@pytest.mark.parametrize(("text", "seconds"), [("00:01:00", 60), ("12:30:45", 45045), ("1-12:00:00", 129600)])
def test_a_walltime_is_written_whole(text: str, seconds: int) -> None:
    assert parse_walltime(text) == seconds


@pytest.mark.parametrize("text", ["1h", "30:00", 3600, "01:00", "1:2:3", "00:99:00", None])
def test_a_walltime_that_programs_read_differently_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="walltime"):
        parse_walltime(text)


@pytest.mark.parametrize(
    "hostile", ["a b", "a;b", "$(id)", "`id`", "a\nb", "#x", "a\x00b", "a\u2028b", "'q'", "x" * 65, ""]
)
def test_a_name_that_could_reach_a_shell_is_refused(hostile: str) -> None:
    data = {"input": {"path": "a.tif"}, "output": "o.zarr"}
    for key in ("partition", "account", "interface"):
        config, problems = validate(Document(data | {"cluster": {"kind": "slurm", key: hostile}}))
        assert config is None
        assert len(problems) == 1


@pytest.mark.parametrize(
    "line", ["rm -rf /", "module load a; id", "source $(id)", "export A=`id`", "module load a\nid"]
)
def test_a_prologue_line_that_runs_something_else_is_refused(line: str) -> None:
    data = {"input": {"path": "a.tif"}, "output": "o.zarr", "cluster": {"kind": "slurm", "prologue": [line]}}
    assert validate(Document(data))[0] is None


def test_a_missing_config_is_said_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="can't be read: No such file"):
        read(tmp_path / "none.yaml")
