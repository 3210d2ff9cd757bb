"""Analyses of atomic structures."""
