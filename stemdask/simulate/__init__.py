"""Frames with known ground truth, to compare injected with recovered values."""

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
