"""Density estimation on tables: fit any family of flows, compare it with baselines, look at it."""
