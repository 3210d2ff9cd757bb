"""One file per analysis: its parameters, its declared outputs and its functions."""
