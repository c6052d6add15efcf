"""Compiled operations of a layer in training, and their gradients."""
