"""Packed coordinates come out as GROMACS' own library packs them; whatever the bits are, no other array is touched."""

from __future__ import annotations

import numpy as np
import pytest

from stemdask.kernels.atoms import packed_coordinates
from stemdask.kernels.atoms.packed_coordinates import PLACES, unpack

#: Four waters in hundredths of a nm, as libxdrf packed them: each an atom in full and a run of two steps.
WATERS = bytes.fromhex("e02328c29490618bc0a09b16b1ba3a7662a81aba8645998aa069629c28662a81a0")
LOWEST, HIGHEST, PLACE = np.array([28, 30, 10]), np.array([348, 240, 324]), 12
COORDINATES = [
    [320, 30, 70], [328, 36, 70], [318, 40, 74], [90, 70, 320], [98, 76, 320], [88, 80, 324],
    [340, 230, 10], [348, 236, 10], [338, 240, 14], [30, 130, 170], [38, 136, 170], [28, 140, 174],
]  # fmt: skip


def _bytes(data: bytes) -> np.ndarray:
    return np.frombuffer(data, np.uint8)


def test_a_frame_is_unpacked_as_the_library_packed_it() -> None:
    assert unpack(_bytes(WATERS), 12, LOWEST, HIGHEST, PLACE).tolist() == COORDINATES


@pytest.mark.parametrize(
    ("data", "n_atoms", "said"),
    [
        (WATERS[:-1], 12, "end or leave the table of steps at atom"),
        (WATERS + b"\0", 12, "34 bytes of coordinates that take 33"),
        (WATERS, 11, "at atom 9|bytes of coordinates that take"),
        (WATERS, 13, "at atom 12"),
        (b"", 12, "at atom 0"),
        (b"\xff" * 33, 12, "leave the table|outside of the box"),
    ],
)
def test_bits_of_no_frame_are_refused(data: bytes, n_atoms: int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        unpack(_bytes(data), n_atoms, LOWEST, HIGHEST, PLACE)


def test_each_flipped_bit_is_refused_or_moves_atoms_within_the_box() -> None:
    refused = 0
    for at in range(8 * len(WATERS)):
        data = bytearray(WATERS)
        data[at // 8] ^= 0x80 >> at % 8
        try:
            found = unpack(_bytes(bytes(data)), 12, LOWEST, HIGHEST, PLACE)
        except ValueError:
            refused += 1
            continue
        assert found.shape == (12, 3)
        assert (found >= LOWEST).all()
        assert (found <= HIGHEST).all()
    assert refused > 40


def test_random_bits_touch_nothing_beyond_the_arrays() -> None:
    choose = np.random.default_rng(0)
    for _ in range(3000):
        n_atoms, n_bytes = choose.integers(1, 60, 2)
        sizes = choose.integers(1, 2 ** choose.integers(1, 31, 3))
        apart = sizes.max() > 0xFFFFFF
        together = 0 if apart else int(np.prod(sizes.astype(object))).bit_length()
        n_bits = np.array([together, *(int(size).bit_length() if apart else 0 for size in sizes)])
        around = np.full((n_atoms + 60, 3), 7, np.int64)
        data = choose.integers(0, 256, n_bytes, np.uint8)
        place = int(choose.integers(PLACES.start, PLACES.stop))
        done, end = packed_coordinates._unpack(data, sizes, n_bits, place, around[:n_atoms])
        assert done <= n_atoms
        assert end <= 8 * n_bytes
        assert (around[n_atoms:] == 7).all()
