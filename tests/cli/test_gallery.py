"""Real images that nobody tuned anything for, from end to end without a config: right, or refused in a sentence."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest


class Verdict(NamedTuple):
    """What is to be seen in an image: counted in its picture, but for the weakest columns of rims and cores."""

    contrast: str
    columns: tuple[int, int]
    """Fewest and most of those inside that a good eye counts."""
    sublattices: int


VERDICTS = {
    "gallery/03_afterimage_8nm_crp.png": Verdict("bright", (940, 960), 2),
    "gallery/Example_PtIr.npy": Verdict("bright", (105, 135), 1),
    "gallery/Grain_boundry_gold_512px.png": Verdict("bright", (650, 675), 1),
    "gallery/Si110_5nmX25us_03_none_none.png": Verdict("bright", (365, 390), 2),
    "gallery/example_Se_implanted_MoS2.dm3": Verdict("bright", (4150, 4360), 2),
    "gallery/simulated_nanoparticle.hspy": Verdict("bright", (240, 260), 1),
    "gallery/stem_abf_data.hspy": Verdict("dark", (590, 605), 3),
    "BTO_crystal_1.dm4": Verdict("bright", (2100, 2180), 2),
    "STO_ADF_experimental.hspy": Verdict("bright", (218, 224), 2),
}

pytestmark = [pytest.mark.golden, pytest.mark.slow, pytest.mark.processes]


@pytest.mark.parametrize("name", VERDICTS)
def test_a_real_image_is_right_without_a_config(name: str, reference: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "stemdask", "run", str(reference / "data" / name), "-o", str(tmp_path / "o.zarr")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = re.search(r"frame 0: (\d+) (bright|dark) columns; (.*)", done.stdout)
    assert found is not None, done.stdout
    verdict = VERDICTS[name]
    assert found[2] == verdict.contrast
    assert verdict.columns[0] <= int(found[1]) <= verdict.columns[1]
    of_sublattices = {letter: int(n) for n, letter in re.findall(r"(\d+) of sublattice (\w)", found[3])}
    assert len(of_sublattices) == verdict.sublattices
    assert sum(of_sublattices.values()) >= 0.97 * int(found[1])
    measured = re.search(r"([\d.]+) % could be measured", found[3])
    assert measured is not None
    assert float(measured[1]) > 97.0
    assert "cell " in found[3]
    assert "doubtful" not in found[3]
    assert re.search("scale: (?!plausible)", found[3]) is None


def test_every_image_of_the_gallery_has_a_verdict(reference: Path) -> None:
    held = {f"gallery/{path.name}" for path in (reference / "data" / "gallery").iterdir()}
    assert {name for name in held if not name.endswith((".md", ".npz"))} <= VERDICTS.keys()
