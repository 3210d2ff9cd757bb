"""Analyses of displacement maps over all frames: denoising and domains."""
