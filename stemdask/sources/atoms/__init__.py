"""Atomic structures: one file a format, and what they share."""
