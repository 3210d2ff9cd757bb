"""The figures of the image half, a file for each analysis."""
