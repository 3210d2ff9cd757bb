"""Damaged files and configs are answered in a sentence, in time, and never by fewer frames or atoms without a word."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import campaign
import psutil
import pytest
import seeds

from stemdask.config import document
from stemdask.errors import InputError, StemdaskError
from stemdask.fence.fence import close_free, lent
from stemdask.model import Kind
from stemdask.planning.resolve import resolve
from stemdask.sources import fenced, formats
from stemdask.sources.format import Format

pytestmark = [pytest.mark.processes, pytest.mark.timeout(3600)]

N = [pytest.param(25, id="few"), pytest.param(1000, marks=pytest.mark.slow, id="many")]
#: What an answer may be. A reader that crashes is answered too, but shall be seen.
ANSWERS = {"refused", "same", "warned", "stopped"}
#: One in so many may keep a library that isn't ours busy until the clock of the fence stops it, and of no other format.
STOPPED = {"hspy": 500, "emd": 500, "STO_ADF_experimental.hspy": 500}
#: Where a cut falls between two frames or atoms is tested by itself, as far as it can be told.
ENDLESS = ("xtc", "trr", "dcd", "stage1_docked_ATMS.pdb")


@pytest.mark.parametrize(("kind", "fmt"), list(formats.all_formats()))
def test_every_format_is_mutated(kind: Kind, fmt: Format) -> None:
    mutated = seeds.IMAGES if kind == "images" else seeds.ATOMS
    assert any((kind, fmt) in formats.claiming(f"seed.{name}", kind) for name in mutated)


@pytest.mark.parametrize("n", N)
@pytest.mark.parametrize("name", [*seeds.IMAGES, *seeds.ATOMS])
def test_mutants_are_answered_and_lose_nothing_in_silence(
    tmp_path: Path, name: str, n: int, record_property: Callable[[str, object], None]
) -> None:
    _campaign(seeds.write(tmp_path, name), name, n, record_property)


@pytest.mark.parametrize(
    "n", [pytest.param(10, marks=pytest.mark.long, id="few"), pytest.param(300, marks=pytest.mark.slow, id="many")]
)
@pytest.mark.parametrize("name", ["BTO_crystal_1.dm4", "STO_ADF_experimental.hspy", "stage1_docked_ATMS.pdb"])
def test_mutants_of_files_as_they_are_published_are_answered_alike(
    tmp_path: Path, reference: Path, name: str, n: int, record_property: Callable[[str, object], None]
) -> None:
    seed = tmp_path / name
    shutil.copy(reference / "data" / name, seed)
    _campaign(seed, name, n, record_property)


def _campaign(seed: Path, name: str, n: int, record_property: Callable[[str, object], None]) -> None:
    close_free()  # a process whose memory another format's mutants may have spoilt proves nothing of this one
    whole, warned = campaign.counts(seed)
    found: Counter[str] = Counter()
    odd: list[str] = []
    for k, (what, data, mutant) in enumerate(campaign.in_place(seed, n, 1)):
        fate = campaign.fate(mutant, whole, warned)
        found[fate.kind] += 1
        # Cut between two frames, or two atoms where nothing states their number, it is whole, only shorter.
        between = data.endswith(b"\n") if name in ("xyz", "lammpstrj", "csv", "xdatcar") else name in ENDLESS
        shorter = what == "cut" and between and fate.kind == "lost"
        if fate.kind not in ANSWERS and not shorter:
            odd.append(f"{k} {what}: {fate.kind} {fate.said}")
    record_property("figure", ", ".join(f"{kind} {n}" for kind, n in sorted(found.items())))
    assert campaign.counts(mutant)[0] == whole, "the whole file, back in its place, is read as before"
    assert not odd, "\n".join(odd)
    assert found["stopped"] <= (n // STOPPED[name] if name in STOPPED else 0), found
    assert sum(found.values()) == n
    with lent() as fence:
        process = fence._process
    assert process is not None
    assert psutil.Process(process.pid).memory_info().rss < 2 * 2**30


def test_what_is_not_answered_is_told_from_what_the_clock_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed = seeds.write(tmp_path, "npy")
    whole, usual = campaign.counts(seed)

    def stopped(path: Path) -> None:
        raise InputError("reading it takes more than 10 s", where=path)

    monkeypatch.setattr(fenced, "open_source", stopped)
    assert campaign.fate(seed, whole, usual).kind == "stopped"
    monkeypatch.setattr(fenced, "open_source", lambda path: time.sleep(60))
    assert campaign.fate(seed, whole, usual, within=0.1).kind == "hang"


@pytest.mark.parametrize("n", N)
def test_mutants_of_a_config_are_answered_in_sentences(
    tmp_path: Path, n: int, record_property: Callable[[str, object], None]
) -> None:
    frames = seeds.write(tmp_path, "npy")
    config = tmp_path / "run.yaml"
    text = (
        f"input:\n  path: {frames}\n  pixel_size: 0.0297 nm\n  frames: '0:4'\noutput: {tmp_path / 'o.zarr'}\n"
        "analyses:\n  columns: {separation: auto}\n  denoise: {method: pca, n_components: 3}\n"
        "cluster: {kind: processes, workers: 2}\nlimits: {frame_memory: 2 GiB, max_failed: 0.5}\n"
    )
    refused = 0
    for _, data in campaign.mutants(text.encode(), n, seed=2):
        config.write_bytes(data)
        try:
            resolve(document.read(config))
        except StemdaskError:
            refused += 1
    record_property("figure", f"refused {refused}, same {n - refused}")
    assert refused > n // 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run.yaml", "seed.npy"]
