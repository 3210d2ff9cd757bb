"""Analyses of the particle as a body: positions, surface, clusters, lattice."""
