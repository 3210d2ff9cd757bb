"""What an analysis sees that runs once after the frames."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import toy

import stemdask as sd
from stemdask.model import Variable
from stemdask.planning import plan_file
from stemdask.results.stack import StoreStack
from stemdask.store import layout


def test_a_sentence_of_the_end_has_the_units_of_the_store(tmp_path: Path) -> None:
    frames = toy.write_frames(tmp_path / "f.npy", 2, {})
    store = sd.run(toy.config(frames, tmp_path / "out.zarr", limits={"isolate": False}))
    plan = plan_file.load(layout.plan_file(store))
    displacement = Variable("toy/displacement", ("frame",), "float64", "pm", "a displacement")
    assert StoreStack(plan).units(displacement) == "pm"
    assert StoreStack(replace(plan, calibrated=False)).units(displacement) == "millipixel"
