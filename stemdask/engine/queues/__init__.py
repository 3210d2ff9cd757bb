"""Batch systems, one record each, and their use: the jobs of workers and of the driver."""
