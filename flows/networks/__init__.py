"""The networks that supply the parameters of transforms."""
