"""Frames whose truth is known: what went in is compared with what an analysis finds."""

from stemdask.simulate.atoms import Trajectory, nanocrystal, trajectory
from stemdask.simulate.images import MotifColumn, StackTruth, Truth, lattice_image, perovskite, stack

__all__ = [
    "MotifColumn",
    "StackTruth",
    "Trajectory",
    "Truth",
    "lattice_image",
    "nanocrystal",
    "perovskite",
    "stack",
    "trajectory",
]
