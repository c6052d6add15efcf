"""Waveforms from trained models."""
