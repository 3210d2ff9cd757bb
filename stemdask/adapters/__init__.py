"""Reference engines of other packages, each imported inside the functions that need it."""
