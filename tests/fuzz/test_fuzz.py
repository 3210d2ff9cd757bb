"""Damaged files and configs are answered in a sentence, in time, and never by fewer frames or atoms without a word."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import campaign
import psutil
import pytest
import seeds

from stemdask.config import document
from stemdask.errors import StemdaskError
from stemdask.fence.fence import lent
from stemdask.planning.resolve import resolve

pytestmark = pytest.mark.processes

N = [pytest.param(25, id="few"), pytest.param(1000, marks=pytest.mark.slow, id="many")]
#: What an answer may be. A reader that crashes or hangs is answered too, but shall be seen.
ANSWERS = {"refused", "same", "warned"}


@pytest.mark.parametrize("n", N)
@pytest.mark.parametrize("name", [*seeds.IMAGES, *seeds.ATOMS])
def test_mutants_are_answered_and_lose_nothing_in_silence(tmp_path: Path, name: str, n: int) -> None:
    seed = seeds.write(tmp_path, name)
    whole, _ = campaign.counts(seed)
    mutant = seed.with_name(f"mutant.{name}")
    found: Counter[str] = Counter()
    odd: list[str] = []
    for k, (what, data) in enumerate(campaign.mutants(seed.read_bytes(), n, seed=1)):
        mutant.write_bytes(data)
        fate = campaign.fate(mutant, whole)
        found[fate.kind] += 1
        # Cut between two frames a trajectory is whole, only shorter: nothing in it tells.
        shorter = (
            what == "cut"
            and name in ("xyz", "lammpstrj", "csv", "xdatcar")
            and data.endswith(b"\n")
            and fate.kind == "lost"
        )
        if fate.kind not in ANSWERS and not shorter:
            odd.append(f"{k} {what}: {fate.kind} {fate.said}")
    print(f"{name}: {dict(found)}")
    assert not odd
    assert sum(found.values()) == n
    with lent() as fence:
        process = fence._process
    assert process is not None
    assert psutil.Process(process.pid).memory_info().rss < 2 * 2**30


@pytest.mark.parametrize("n", N)
def test_mutants_of_a_config_are_answered_in_sentences(tmp_path: Path, n: int) -> None:
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
    assert refused > n // 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run.yaml", "seed.npy"]
