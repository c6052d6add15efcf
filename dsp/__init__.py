"""Signal processing as functions of tensors: mel, pitch, spectral envelope, filters."""

import storage.cache_folders  # noqa: F401  # before anything imports numba
