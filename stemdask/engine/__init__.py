"""Blocks of frames done, dispatched and finished."""
