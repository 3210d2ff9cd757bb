"""Numerics: arrays in, arrays out; nothing of stemdask is imported here but other kernels."""
