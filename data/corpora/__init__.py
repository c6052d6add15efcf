"""Corpora by name: where they come from, and one made from a seed."""
