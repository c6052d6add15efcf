"""Filters of signals: recursive, high-pass, and the equaliser of drawn waveforms."""
