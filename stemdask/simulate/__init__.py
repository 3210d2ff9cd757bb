"""Frames whose truth is known: what went in is compared with what an analysis finds."""

from stemdask.simulate.atoms import Trajectory, nanocrystal, trajectory
from stemdask.simulate.images import MotifColumn, Truth, lattice_image, perovskite
from stemdask.simulate.stacks import StackTruth, stack

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
