"""Frames of a stack against each other, and pixels made ready."""
