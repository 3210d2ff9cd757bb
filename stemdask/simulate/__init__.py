"""Frames whose truth is known: what went in is compared with what an analysis finds."""

from stemdask.simulate.atoms import Trajectory, nanocrystal, trajectory

__all__ = ["Trajectory", "nanocrystal", "trajectory"]
