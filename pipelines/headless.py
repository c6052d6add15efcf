"""A fixed Matplotlib backend, because pictures are only written to files.

Importing this module sets MPLBACKEND to agg. The command line imports it first: a notebook names a
backend in the environment of its child processes, and Matplotlib fails on import if that backend is
not installed.
"""

import os

os.environ["MPLBACKEND"] = "agg"
