"""Columns fitted to the counts: models, noise, solvers and bounds."""
