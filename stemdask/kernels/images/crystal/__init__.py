"""What the columns of a crystal say: lattice, displacement, strain, thickness."""
