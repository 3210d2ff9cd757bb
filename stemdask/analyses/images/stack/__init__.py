"""Analyses of the frames themselves: what is done to their pixels, and how they lie to each other."""
