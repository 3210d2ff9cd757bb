"""Displacements divided into domains, found or learnt."""
