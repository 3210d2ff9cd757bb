"""Analyses of the order around atoms: pairs, neighbours, bonds, structure types."""
