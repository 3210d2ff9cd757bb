"""The figures of the structures half, a file for each analysis."""
