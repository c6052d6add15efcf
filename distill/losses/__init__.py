"""The terms of the objective; each term has a module."""
