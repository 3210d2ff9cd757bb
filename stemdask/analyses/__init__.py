"""One file an analysis: its parameters, its declared outputs and its functions."""
