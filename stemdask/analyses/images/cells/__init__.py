"""Analyses of cells: what is displaced and strained in each."""
