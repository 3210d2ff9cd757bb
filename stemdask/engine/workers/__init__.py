"""Workers of each kind but SLURM's, and what a worker of Dask does as it starts and leaves."""
