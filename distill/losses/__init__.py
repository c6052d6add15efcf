"""The terms of the objective, one module each."""
