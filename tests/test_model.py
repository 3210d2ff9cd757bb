"""How a frame looks in a notebook: three lines."""

from __future__ import annotations

import numpy as np

from stemdask.model import AtomsFrame, ImageFrame


def test_a_structure_says_its_elements_its_size_and_its_results() -> None:
    positions = np.array([[0.0, 0, 0], [2, 0, 0], [0, 3.5, 0], [0, 0, np.nan]])
    frame = AtomsFrame(3, positions, np.array([78, 78, 28, 28], np.uint8), time=2.5)
    frame.results["atoms/q6"] = np.ones(4)
    assert repr(frame).splitlines() == [
        "AtomsFrame 3: 4 atoms (2 Ni, 2 Pt), time 2.5",
        "  2 × 3.5 × 0 angstrom (x, y, z), no box",
        "  results: atoms",
    ]


def test_a_structure_says_along_what_its_box_is_periodic() -> None:
    box = np.diag([4.0, 5.0, 6.0])
    frame = AtomsFrame(0, np.zeros((1, 3)), np.array([6], np.uint8), box, (True, True, False))
    assert "box 4 × 5 × 6 angstrom, periodic along a, b" in repr(frame)
    assert "not periodic" in repr(AtomsFrame(0, np.zeros((1, 3)), np.array([6], np.uint8), box))
    assert len(repr(AtomsFrame(0, np.empty((0, 3)), np.empty(0, np.uint8))).splitlines()) == 3


def test_an_image_says_its_size_in_pixels_and_on_the_specimen() -> None:
    frame = ImageFrame(1, np.zeros((64, 128), np.float32), (0.02, 0.025))
    assert repr(frame).splitlines() == [
        "ImageFrame 1: 64 × 128 pixels (y, x), float32",
        "  1.28 × 3.2 nm, pixel 0.02 × 0.025 nm",
        "  no results",
    ]
    assert "64 × 128 px, pixel 1 × 1 px" in repr(ImageFrame(0, frame.pixels, (1, 1), calibrated=False))
