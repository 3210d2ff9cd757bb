"""The report: every analysis has its part, every picture shows data, numbers carry their errors, names are text."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import stores
from drawn import assert_drawn, legend

from stemdask import report, simulate
from stemdask.analyses import registry
from stemdask.errors import StoreError
from stemdask.model import AtomsFrame
from stemdask.report import page
from stemdask.results import reader, shows
from stemdask.results.shows import Part
from stemdask.results.views import Results

pytestmark = pytest.mark.long

IMAGES = (
    "Preprocessing of frame 0",
    "Denoised images",
    "Registration",
    "Columns of frame 0",
    "Lattice of frame 0",
    "Error of the scan in frame 0",
    "Displacement of frame 0",
    "Strain of frame 0",
    "Intensity of frame 0",
    "Denoised displacements",
    "Domains",
    "Frame after frame",
)
ATOMS = (
    "Atoms of frame 0",
    "Size of frame 0",
    "Pair distribution of frame 0",
    "Coordination of frame 0",
    "Bond order of frame 0",
    "Surface of frame 0",
    "Structure types of frame 0",
    "Lattice and strain of frame 0",
    "Pair distribution without the surface, frame 0",
    "Nearest atoms of frame 0",
    "Powder pattern of frame 0",
    "Bond angles of frame 0",
    "Centrosymmetry of frame 0",
    "Voronoi cells of frame 0",
    "Short-range order of frame 0",
    "Crystalline clusters of frame 0",
    "Composition of frame 0",
    "Surface and facets of frame 0",
    "Atoms in time",
    "What changes over the frames",
    "Profiles of frame 0",
    "Uncertainty of frame 0",
    "Frame after frame",
)


def results_of(store: Path, ideal: Path | None = None) -> Results:
    return Results(reader.open_results(store), None if ideal is None else reader.open_results(ideal))


def parts(store: Path, ideal: Path | None = None) -> dict[str, Part]:
    return {part.title: part for part in page.parts(results_of(store, ideal), 0)}


@pytest.fixture(scope="module")
def ideal_page(ideal_particle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of one particle."""
    return report.write(ideal_particle, tmp_path_factory.mktemp("page") / "ideal.html")


@pytest.fixture(params=["images", "atoms"])
def everything(request: pytest.FixtureRequest) -> Path:
    """A store of each half in which every analysis ran."""
    fixture = {"images": "every_image_analysis", "atoms": "every_atoms_analysis"}[request.param]
    store: Path = request.getfixturevalue(fixture)
    return store


def test_the_parts_stand_in_the_order_of_the_analyses(every_image_analysis: Path, every_atoms_analysis: Path) -> None:
    assert tuple(parts(every_image_analysis)) == IMAGES
    assert tuple(parts(every_atoms_analysis)) == ATOMS


def test_every_analysis_has_a_part_that_says_something(everything: Path) -> None:
    results = results_of(everything)
    assert [step.name for step in results.steps] == [a.name for a in registry.of_kind(results.kind)]
    for analysis in registry.of_kind(results.kind):
        shown = shows.shown_by(analysis)
        assert shown is not None, f"{analysis.name} shows nothing"
        found = shown.parts(results, 0)
        assert found, f"{analysis.name} has no part"
        assert all(part.rows or part.pictures for part in found), f"{analysis.name} has an empty part"


def test_every_picture_shows_data(everything: Path) -> None:
    pictures = [(part.title, picture) for part in page.parts(results_of(everything), 0) for picture in part.pictures]
    assert len(pictures) >= 14
    for title, picture in pictures:
        assert picture.caption.endswith("."), title
        assert_drawn(picture.draw())


def test_a_comparison_of_ways_to_denoise_is_shown(every_image_analysis: Path) -> None:
    pictures = parts(every_image_analysis)["Denoised displacements"].pictures
    assert [picture.caption.split()[0] for picture in pictures][-2:] == ["Every", "What"]


def test_every_row_has_a_name_and_a_value(everything: Path) -> None:
    rows = [row for part in page.parts(results_of(everything), 0) for row in part.rows]
    assert len(rows) > 30
    for name, value in rows:
        assert name
        assert re.fullmatch(r"(?!nan).+", value), name
        assert not re.search(r"\d (angstrom\d?|degree|.*pixel)", value), value


def test_rows_of_images_hold_the_numbers_of_the_store(every_image_analysis: Path) -> None:
    tree, found = reader.open_results(every_image_analysis), parts(every_image_analysis)
    rows = dict(found["Columns of frame 0"].rows)
    assert int(rows["columns"]) == int(tree["columns/y"][0].notnull().sum())
    assert int(rows["of sublattice A"]) == int((tree["columns/sublattice"][0] == 0).sum())
    rows = dict(found["Displacement of frame 0"].rows)
    magnitude, noise = (float(tree[f"displacement/{name}"][0].median()) for name in ("magnitude", "u_err"))
    number, unit = rows["median magnitude"].split()
    assert float(number) == pytest.approx(magnitude, abs=0.1 * noise)
    assert unit == "pm"
    assert float(rows["median magnitude"].split()[0]) == pytest.approx(0.6 * 29.7, rel=0.1)
    rows = dict(found["Lattice of frame 0"].rows)
    assert float(rows["lattice vector a"].removesuffix(" nm")) == pytest.approx(14 * 0.0297, rel=0.01)
    assert dict(found["Registration"].rows) == {"frames: registered": "4"}
    assert dict(found["Denoised displacements"].rows)["method"] == tree["denoised"].attrs["method"]
    assert dict(found["Domains"].rows) == {"domains": "2"}
    assert dict(found["Preprocessing of frame 0"].rows)["hot pixels"].startswith("8.0: Exclude single pixels")


def test_numbers_carry_the_error_that_was_found_for_them(every_atoms_analysis: Path) -> None:
    tree, found = reader.open_results(every_atoms_analysis), parts(every_atoms_analysis)
    text = dict(found["Size of frame 0"].rows)["diameter of a sphere as large as the convex hull"]
    value, error = re.match(r"([\d.]+) ± ([\d.]+)", text).groups()
    expected = float(tree["uncertainty/diameter"][0])
    assert float(error) == pytest.approx(expected, rel=0.05)
    assert float(value) == pytest.approx(float(tree["particle/diameter"][0]), abs=0.1 * expected)
    assert "±" in dict(found["Lattice and strain of frame 0"].rows)["lattice parameter of the largest grain"]
    assert "±" not in dict(found["Surface of frame 0"].rows)["atoms at the surface"]


def test_what_did_not_run_is_left_out(ideal_particle: Path) -> None:
    found = parts(ideal_particle)
    assert "Bond order of frame 0" in found
    assert not {"Surface of frame 0", "Profiles of frame 0", "Uncertainty of frame 0"} & set(found)


def test_a_single_frame_has_no_course_in_time(ideal_particle: Path) -> None:
    assert "Frame after frame" not in parts(ideal_particle)


def test_an_ideal_particle_stands_beside_the_structure(every_atoms_analysis: Path, ideal_particle: Path) -> None:
    alone, beside = (parts(every_atoms_analysis, ideal) for ideal in (None, ideal_particle))

    def axes(found: dict[str, Part], title: str):
        return found[title].pictures[0].draw().axes

    ideal = reader.open_results(ideal_particle)
    assert len(axes(alone, "Pair distribution of frame 0")) == 1
    below = axes(beside, "Pair distribution of frame 0")[1]
    np.testing.assert_array_equal(below.lines[0].get_ydata(), ideal["rdf/g"][0])
    named = legend(axes(beside, "Coordination of frame 0")[0])
    assert named[1] == f"ideal particle, {int(ideal['frames/n_atoms'][0])} atoms"


def test_an_ideal_particle_must_be_a_store_of_structures(
    every_atoms_analysis: Path, every_image_analysis: Path, tmp_path: Path
) -> None:
    for store, ideal in (
        (every_atoms_analysis, tmp_path / "nothing.zarr"),
        (every_atoms_analysis, every_image_analysis),
        (every_image_analysis, every_atoms_analysis),
    ):
        with pytest.raises(StoreError):
            report.write(store, tmp_path / "r.html", ideal=ideal)
        assert not (tmp_path / "r.html").exists()


def test_failed_frames_are_gaps_in_time(every_atoms_analysis: Path) -> None:
    tree = reader.open_results(every_atoms_analysis).load().copy(deep=True)
    tree["frames/frame_status"].values[1] = 2
    (part,) = (part for part in page.parts(Results(tree), 0) if part.title == "Frame after frame")
    drawn = part.pictures[0].draw().axes[0].lines[0].get_ydata()
    assert np.isnan(drawn).tolist() == [False, True, False]


def test_a_store_without_results_says_why_and_shows_nothing(every_atoms_analysis: Path) -> None:
    tree = reader.open_results(every_atoms_analysis).load().copy(deep=True)
    tree["frames/frame_status"].values[:] = 2
    tree["frames/error"].values[:] = "the disk is full"
    text = page.render(Results(tree), tree, "nothing")
    assert headings(text) == ["Verdict", "Provenance", "Methods"]
    assert text.count("the disk is full") == 2 * 3  # in the list and in the table
    assert "<img" not in text


def test_another_frame_is_shown_where_it_is_asked_for(every_atoms_analysis: Path) -> None:
    assert "Size of frame 2" in [part.title for part in page.parts(results_of(every_atoms_analysis), 2)]


def headings(text: str) -> list[str]:
    return re.findall(r"<h2 id=[^>]*>(.*)</h2>", text)


def test_the_page_holds_every_part_and_every_picture(ideal_particle: Path, ideal_page: Path) -> None:
    found = page.parts(results_of(ideal_particle), 0)
    text = ideal_page.read_text()
    assert headings(text) == ["Verdict", *(p.title for p in found), "Provenance", "Methods"]
    assert text.count("<img ") == sum(len(part.pictures) for part in found)
    assert set(re.findall(r'href="#(.*?)"', text)) == set(re.findall(r'<h2 id="(.*?)"', text))


def test_the_table_says_what_differs_between_frames(image_page: Path, ideal_page: Path) -> None:
    table = image_page.read_text().split('class="frames"')[1].split("</table>")[0]
    assert "B against A" not in table  # the same in every frame
    assert re.search(r"median displacement [\d.]+ pm", table)
    table = ideal_page.read_text().split('class="frames"')[1].split("</table>")[0]
    assert "what was found" not in table  # the verdict above has said so
    assert "file" not in table


def test_numbers_of_a_column_have_as_many_decimals_as_one_another() -> None:
    rows = [(201.0, 15.4, 1.78, np.nan), (7.0, 9.4333, -1e-5, np.nan)]
    listed = [page.Verdict(k, "good", (), (), "", row) for k, row in enumerate(rows)]
    assert page._texts(listed) == [["201", "15.40", "1.780", ""], ["7", "9.43", "0.000", ""]]


def test_a_range_of_separations_is_shown_with_its_scores(tmp_path: Path) -> None:
    analyses = {"columns": {"separation": ["8 px", "34 px"]}, "lattice": {}}
    store = stores.run(stores.write_stack(tmp_path / "stack.npy", 1), tmp_path / "scored.zarr", analyses, "0.0297 nm")
    rows = [row for row in parts(store)["Lattice of frame 0"].rows if row[0].endswith("score")]
    assert rows[0][0].startswith("cell 0.41")
    assert float(rows[0][1]) > 0.8
    assert len(rows) > 1
    scores = {name.removesuffix(", score"): score for name, score in rows}
    line, frame = report.summary(store)
    found = re.fullmatch(
        r"separation: of (\d+) lattices in the frame, (cell [\d.]+ × [\d.]+ nm) taken \(score ([\d.]+)\); "
        r"next ([\d.]+ × [\d.]+ nm) \(score ([\d.]+), a multiple of it\)",
        line,
    )
    assert found is not None, line
    assert int(found[1]) == len(rows)
    lattice = reader.open_results(store)["lattice"].isel(frame=0)
    sizes = [float(np.hypot(lattice[f"{name}_y"], lattice[f"{name}_x"])) for name in "ab"]
    assert [float(size) for size in re.findall(r"[\d.]+", found[2])] == pytest.approx(sorted(sizes), rel=0.02)
    assert scores.pop(found[2]) == found[3]
    known = [score for score in scores.values() if re.fullmatch(r"[\d.]+", score)]  # others repeat too seldom
    assert scores[f"cell {found[4]}"] == found[5] == max(known)
    assert frame.startswith("frame 0: ")


def test_a_stack_has_a_slide_for_each_frame_that_is_chosen(
    every_image_analysis: Path, image_page: Path, tmp_path: Path
) -> None:
    text = image_page.read_text()
    assert headings(text)[:2] == ["Verdict", "Frames"]
    slides = re.findall(r'<section class="slide" data-name="Frame (\d): ', text)
    assert slides == ["0", "1", "2", "3"]
    asked = report.write(every_image_analysis, tmp_path / "asked.html", frames="1:3").read_text()
    assert re.findall(r'<section class="slide" data-name="Frame (\d)', asked) == ["1", "2"]


def test_a_stack_whose_input_is_gone_has_its_slides_without_images(tmp_path: Path) -> None:
    stack = stores.write_stack(tmp_path / "stack.npy", 2)
    store = stores.run(stack, tmp_path / "moved.zarr", {"displacement": {}}, "0.0297 nm")
    stack.unlink()
    text = report.write(store, tmp_path / "r.html").read_text()
    slides = text.split('class="slide"')[1:]
    assert len(slides) == 2
    assert all("Displacement of frame" in slide and "Inspection of frame" not in slide for slide in slides)


def test_frames_that_are_not_there_are_refused(every_image_analysis: Path, tmp_path: Path) -> None:
    for frames in ("7:9", "3:1", "two"):
        with pytest.raises(StoreError, match="range"):
            report.write(every_image_analysis, tmp_path / "r.html", frames=frames)


@pytest.mark.slow
def test_where_there_is_little_room_pictures_get_smaller_and_then_fewer(
    every_image_analysis: Path, image_page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = image_page.stat().st_size
    monkeypatch.setattr(page, "MOST_BYTES", 0)
    monkeypatch.setattr(page, "_LEAST_OF_SLIDES", 150_000)
    small = report.write(every_image_analysis, tmp_path / "small.html")
    assert small.stat().st_size < whole - 200_000
    assert 1 <= small.read_text().count('class="slide"') < 4


def test_every_picture_says_what_is_seen(every_image_analysis: Path, image_page: Path) -> None:
    alts = re.findall(r'<img alt="(.*?)"', image_page.read_text())
    assert min(map(len, alts)) > 40
    (arrows,) = [alt for alt in alts if alt.startswith("Displacement of the cells")]
    numbers = reader.open_results(every_image_analysis)["displacement/u"].notnull().sum("cell").values.tolist()
    told = re.search(r"\b(\d+) arrows\b.*x / nm from -?0\.?\d* to 4\.\d+", arrows)
    assert told is not None, arrows
    assert int(told[1]) in numbers


def test_a_summary_has_a_line_for_each_frame(every_image_analysis: Path, every_atoms_analysis: Path) -> None:
    lines = report.summary(every_atoms_analysis)
    assert [line.split(":")[0] for line in lines[:3]] == ["frame 0", "frame 1", "frame 2"]
    diameter = float(reader.open_results(every_atoms_analysis)["particle/diameter"][0])
    assert f"diameter {diameter:.2f} Å" in lines[0]
    assert re.search(
        r"\d+ bright columns; .*median displacement 1\d\.\d pm, error of one cell",
        report.summary(every_image_analysis)[0],
    )


def test_a_summary_says_which_frames_are_doubtful_and_why(
    every_image_analysis: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = np.array([False, True, False, False])
    shown = shows.Shows(
        parts=lambda results, frame: [],
        plots={},
        words=lambda results, frame: ["9 columns"],
        doubts=lambda results: [shows.Doubt("too dark", second)],
    )
    monkeypatch.setattr(shows, "of_run", lambda results: [shown])
    plain, doubtful, *_ = report.summary(every_image_analysis)
    assert (plain, doubtful) == ("frame 0: 9 columns", "frame 1: 9 columns; doubtful: too dark")


def test_a_lone_atom_is_reported(tmp_path: Path) -> None:
    lone = simulate.nanocrystal(16.0)
    path = stores.write_particles(tmp_path / "lone.xyz", [AtomsFrame(0, lone.positions[:1], lone.numbers[:1])])
    analyses = {name: stores.ATOMS.get(name, {}) for name in registry.names("atoms")}
    store = stores.run(path, tmp_path / "lone.zarr", analyses)
    assert "Size of frame 0" in report.write(store).read_text()


def test_names_from_outside_are_text_and_no_html(tmp_path: Path) -> None:
    name = "<img src=x onerror=alert(1)>.xyz"
    source = stores.write_particles(tmp_path / name, [simulate.nanocrystal(14.0)])
    text = report.write(stores.run(source, tmp_path / "<b>bold.zarr", {"shape": {}})).read_text()
    assert "<b>" not in text
    assert "onerror=alert(1)>" not in text
    assert "&lt;b&gt;bold.zarr" in text


def test_nothing_but_a_report_is_overwritten(ideal_particle: Path, tmp_path: Path) -> None:
    thesis = tmp_path / "thesis.html"
    thesis.write_text("years of work")
    with pytest.raises(StoreError, match="not written by 'stemdask report'"):
        report.write(ideal_particle, thesis)
    assert thesis.read_text() == "years of work"
    first = report.write(ideal_particle, tmp_path / "r.html")
    assert report.write(ideal_particle, first) == first
