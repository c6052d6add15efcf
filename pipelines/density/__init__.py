"""Density estimation on tables: fit a family of flows, compare it with baselines, draw it."""
