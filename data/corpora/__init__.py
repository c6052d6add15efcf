"""The catalogue of corpora, their fetching by name, and a synthetic corpus made from a seed."""
