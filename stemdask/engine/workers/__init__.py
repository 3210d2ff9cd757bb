"""Workers of each kind, and what a worker of Dask does as it starts and leaves."""
