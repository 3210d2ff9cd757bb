"""Finding, fitting and indexing of atomic columns."""
