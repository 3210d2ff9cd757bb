"""Writing the page: what became of the frames, what the analyses of a run show, in a template, in one file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr

from stemdask.errors import StorageError, StoreError
from stemdask.figures import trends
from stemdask.report.choice import choose, typical_of
from stemdask.report.methods import methods
from stemdask.report.pictures import Encoded, encode
from stemdask.report.provenance import provenance
from stemdask.report.template import check_free, rendered
from stemdask.report.verdicts import Verdict, Verdicts, judge, words_of
from stemdask.results import reader, shows
from stemdask.results.shows import Part, Picture
from stemdask.results.views import Results
from stemdask.sources.frame_range import parse_range
from stemdask.store.disk import write_file
from stemdask.store.layout import run_directory

#: Failed frames that the report names one by one, and frames that a summary has a line for.
NAMED = 20
#: Frames that the table lists at most.
LISTED = 2000
#: Bytes of the page at most, and what the slider may take where the rest leaves less.
MOST_BYTES, _LEAST_OF_SLIDES = 9_500_000, 1_500_000
#: Quality and dots per inch of the slider's pictures, the best first: as many frames as fit are shown in the first.
_LOOKS = ((82, 115), (70, 100), (55, 85))


def write(
    store: str | Path,
    output: str | Path | None = None,
    *,
    frames: str | None = None,
    ideal: str | Path | None = None,
) -> Path:
    """Write the report of a store; return where it is.

    Parameters
    ----------
    store
        The zarr store.
    output
        The HTML file; by default ``report.html`` in the run directory beside the store.
    frames
        Frames that are shown, "first:last+1"; by default typical, doubtful and changing ones.
    ideal
        Store of an ideal particle, whose first good frame is shown beside the structure.

    Raises
    ------
    StoreError
        The store isn't one of stemdask, or the ideal particle isn't one, or no frame of that range has results, or
        another file is in the report's place.
    StorageError
        The file system refused the report.
    """
    tree = reader.open_results(store)
    results = Results(tree, _ideal(tree, ideal) if ideal is not None else None)
    if output is not None:
        check_free(Path(output))
    page = render(results, tree, Path(store).name, frames)
    return _put(page, Path(output) if output is not None else run_directory(store) / "report.html")


def write_and_sum_up(store: str | Path, *, reads_input: bool = True) -> tuple[Path, list[str]]:
    """Write the report of a store beside it, without images if it may not read them; return where, and the summary."""
    tree = reader.open_results(store)
    results = Results(tree, reads_input=reads_input)
    return _put(render(results, tree, Path(store).name), run_directory(store) / "report.html"), _summary(results)


def _put(page: str, target: Path) -> Path:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_file(target, page)
    except OSError as error:
        raise StorageError(
            f"the report can't be written: {error.strerror or error}", where=target, remedy="Name another with -o"
        ) from error
    return target


def render(results: Results, tree: xr.DataTree, title: str, frames: str | None = None) -> str:
    """Return the page of a run as HTML."""
    found = judge(results)
    chosen = _chosen(found, frames)
    shown = [_Section.of(part) for part in (parts(results, typical_of(chosen)) if chosen else [])]
    shown += [
        _Section.of(part) for part in (provenance(results, tree), methods(results, tree.attrs["stemdask_version"]))
    ]
    taken = sum(picture.size for section in shown for picture in section.pictures)
    slides = _slides(results, found, chosen, max(MOST_BYTES - taken - 200 * len(found.frames), _LEAST_OF_SLIDES))
    failed = [verdict for verdict in found.frames if verdict.level == "failed"]
    listed = _listed(found)
    return rendered(
        "report.html",
        title=title,
        headings=["Verdict", *(["Frames"] if slides else []), *(section.title for section in shown)],
        verdicts=found,
        first=_first(found, chosen),
        warnings=_warnings(results, tree),
        failed=failed[:NAMED],
        failed_more=max(0, len(failed) - NAMED),
        listed=listed,
        told=_told(listed),
        texts=_texts(listed),
        files=len({verdict.file for verdict in listed}) > 1,
        slides=slides,
        slides_said=_said_of(slides, found),
        slides_start=next((k for k, slide in enumerate(slides) if slide.why == "typical"), 0),
        parts=shown,
        version=tree.attrs["stemdask_version"],
    )


def parts(results: Results, frame: int) -> list[Part]:
    """Return what the analyses of a run show of a frame, and of all of them.

    Parameters
    ----------
    results
        Of the run.
    frame
        The frame shown; it has results.
    """
    return [part for shown in shows.of_run(results) for part in shown.parts(results, frame)] + trends.parts(results)


def summary(store: str | Path) -> list[str]:
    """Return what was chosen for the run, and its first frames with their doubts, a line each; none without any."""
    return _summary(Results(reader.open_results(store)))


def _summary(results: Results) -> list[str]:
    good = results.good()
    doubts = [doubt for shown in shows.of_run(results) for doubt in shown.doubts(results)] if good.size else []
    said = {
        index: [*words_of(results, int(index)), *(f"doubtful: {doubt.text}" for doubt in doubts if doubt.of[index])]
        for index in good[:NAMED]
    }
    lines = [f"frame {index}: {'; '.join(words)}" for index, words in said.items() if words]
    chosen = [line for shown in shows.of_run(results) for line in shown.choices(results)] if good.size else []
    return [*chosen, *lines, *([f"and {len(good) - NAMED} frames more"] if lines and len(good) > NAMED else [])]


@dataclass(frozen=True, slots=True)
class _Section:
    """A part of the page, with its pictures encoded."""

    title: str
    sentences: Sequence[str]
    rows: Sequence[tuple[str, str]]
    pictures: Sequence[Encoded]
    texts: Sequence[tuple[str, str]]

    @classmethod
    def of(cls, part: Part) -> _Section:
        return cls(part.title, part.sentences, part.rows, [encode(picture) for picture in part.pictures], part.texts)


@dataclass(frozen=True, slots=True)
class _Slide:
    """A frame of the slider."""

    frame: int
    why: str
    words: str
    pictures: Sequence[Encoded]

    @property
    def name(self) -> str:
        return f"Frame {self.frame}" + (f": {self.why}" if self.why else "")


def _slides(results: Results, found: Verdicts, chosen: Mapping[int, str], room: int) -> list[_Slide]:
    """Return the frames of the slider, in as good a look as there is room for, bytes; where there isn't, fewer."""
    names = [(shown.plots[name], name) for shown in shows.of_run(results) for name in shown.slides]
    if len(found.frames) < 2 or not names or not chosen:
        return []

    def draw(frame: int, quality: int, dpi: int) -> _Slide:
        drawn = []
        for plot, name in names:
            caption = f"{name.replace('_', ' ')} of frame {frame}.".capitalize()
            with suppress(StoreError):  # the image can't be read from here
                drawn.append(encode(Picture(partial(plot, results, frame), caption), dpi=dpi, quality=quality))
        words = [*found.frames[frame].reasons, *words_of(results, frame)]
        return _Slide(frame, chosen[frame], "; ".join(words), drawn)

    frames = list(chosen)
    for quality, dpi in _LOOKS:
        size = sum(picture.size for picture in draw(frames[0], quality, dpi).pictures)
        if 1.15 * size * len(frames) < room:
            break
    else:
        kept = np.linspace(0, len(frames) - 1, max(1, int(room / (1.15 * size)))).round().astype(int)
        frames = [frames[k] for k in dict.fromkeys(kept.tolist())]
    return [draw(frame, quality, dpi) for frame in frames]


def _chosen(found: Verdicts, frames: str | None) -> Mapping[int, str]:
    """Return the frames that are shown, and why."""
    if frames is None:
        return choose(found)
    try:
        asked = {verdict.frame for verdict in found.frames[parse_range(frames)]}
    except ValueError as error:
        raise StoreError(str(error), where="--frames") from None
    there = [verdict for verdict in found.frames if verdict.level in ("good", "doubtful") and verdict.frame in asked]
    if not there:
        raise StoreError(
            "no frame of this range has results", where="--frames", value=frames, allowed=f"0:{len(found.frames)}"
        )
    typical = typical_of(choose(Verdicts(tuple(there), found.columns)))
    return {verdict.frame: "typical" if verdict.frame == typical else "" for verdict in there}


def _first(found: Verdicts, chosen: Mapping[int, str]) -> list[str]:
    """Return what stands first: the typical frame in words, and the doubts, the commonest first."""
    lines = []
    if chosen:
        typical = found.frames[typical_of(chosen)]
        told = [*typical.words, *typical.reasons]
        if told:
            lines.append((f"Typical frame {typical.frame}: " if len(found.frames) > 1 else "") + "; ".join(told) + ".")
    doubts: dict[str, int] = {}
    for verdict in found.frames:
        if verdict.level == "doubtful":
            for reason in verdict.reasons:
                doubts[reason] = doubts.get(reason, 0) + 1
    ordered = sorted(doubts.items(), key=lambda item: -item[1])
    return lines + [f"Doubtful in {count} of {len(found.frames)} frames: {reason}." for reason, count in ordered]


def _warnings(results: Results, tree: xr.DataTree) -> list[str]:
    """Return what is odd about the input, and what the analyses warn of, each once."""
    said = [str(warning) for warning in tree.attrs.get("input_warnings", ())]
    groups = {variable.group for step in results.steps for variable in results.declared(step.name)}
    said += [str(text) for group in sorted(groups) if (text := results.attributes(group).get("warning"))]
    return list(dict.fromkeys(said))


def _listed(found: Verdicts) -> Sequence[Verdict]:
    """Return the frames of the table: all, or of too many the bad ones and others evenly."""
    if len(found.frames) <= LISTED:
        return found.frames
    bad = [verdict for verdict in found.frames if verdict.level in ("failed", "doubtful")][: LISTED // 2]
    evenly = np.linspace(0, len(found.frames) - 1, LISTED - len(bad)).round().astype(int).tolist()
    return [found.frames[k] for k in sorted({*evenly, *(verdict.frame for verdict in bad)})]


def _told(listed: Sequence[Verdict]) -> list[tuple[str, ...]]:
    """Return what the table says of each frame: its doubts, and what was found and is not the same in all of them."""
    in_words = [set(verdict.words) for verdict in listed if verdict.words]
    everywhere = set.intersection(*in_words) if in_words else set()
    told = [(*verdict.reasons, *(one for one in verdict.words if one not in everywhere)) for verdict in listed]
    return told if any(told) else []


def _texts(listed: Sequence[Verdict]) -> list[list[str]]:
    """Return the numbers of the table: as many decimals all the way down a column, four digits of the largest."""
    columns = []
    for column in np.array([verdict.numbers for verdict in listed], float).T:
        known = column[np.isfinite(column)]
        whole = not (known % 1).any()
        digits = 0 if whole else max(3 - math.floor(math.log10(np.abs(known).max())), 0)
        columns.append([f"{number:z.{digits}f}" if math.isfinite(number) else "" for number in column])
    return [list(row) for row in zip(*columns, strict=True)]


def _said_of(slides: Sequence[_Slide], found: Verdicts) -> str:
    good = found.count("good") + found.count("doubtful")
    if not slides:
        return ""
    if len(slides) == good:
        return f"All {good} frames with results."
    return f"{len(slides)} of {good} frames with results; choose others with stemdask report --frames."


def _ideal(tree: xr.DataTree, path: str | Path) -> xr.DataTree:
    ideal = reader.open_results(path)
    if Results(tree).kind != "atoms":
        raise StoreError("only structures can be compared with an ideal particle", where="--ideal", value=path)
    beside = Results(ideal)
    if beside.kind != "atoms" or not beside.good().size:
        raise StoreError("there is no ideal particle in this store", where=path, allowed="a store of structures")
    return ideal
