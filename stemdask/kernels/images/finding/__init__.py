"""From pixels to columns: how far apart they are, where they are, and which lattice they are on."""
