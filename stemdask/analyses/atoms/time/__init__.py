"""Analyses of atoms over the frames."""
