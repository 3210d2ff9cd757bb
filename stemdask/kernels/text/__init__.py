"""Text of trajectories to numbers: bytes in, arrays out."""
