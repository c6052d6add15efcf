"""Sampling speed of teacher, student and other vocoders."""
