"""The zarr store: laid out, written block by block, read."""
