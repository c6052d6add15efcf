"""Bijections that know their own log-determinants, and the scalar functions they are made of."""
