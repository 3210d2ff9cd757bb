"""Analyses made of the results of others: profiles and uncertainties."""
