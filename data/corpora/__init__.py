"""Corpora by name: what each one is, how it is fetched, and one that is made from a seed."""
