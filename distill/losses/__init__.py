"""The terms of the objective, grouped by what they measure."""
