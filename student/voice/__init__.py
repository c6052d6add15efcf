"""The voiced part of a student: pitch, excitation, filters and the source of pulses."""
