"""Batch systems, one record each, and what is done with them: jobs of workers, the job of a driver."""
