"""Analyses of columns: where they are, which lattice they form, what they hold."""
