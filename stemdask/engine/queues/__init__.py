"""Workers that are SLURM jobs, or steps of an allocation, and the job of a driver."""
