"""A fixed Matplotlib backend, because pictures are only written to files.

A notebook names a backend in the environment of its child processes. If the backend is not
installed, Matplotlib fails on import. So the command line imports this module first.
"""

import os

os.environ["MPLBACKEND"] = "agg"
