"""Neighbours, pair distribution and bond order of atomic structures."""
