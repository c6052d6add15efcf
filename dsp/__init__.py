"""Signal processing as functions of tensors: spectra, mel, pitch, pulses, periodicity, filters."""

import storage.cache_folders  # noqa: F401  # before anything imports numba
