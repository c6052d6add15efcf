"""Pictures are written to files: whatever the environment names to show them is not loaded.

A notebook tells its children of a backend that another environment may not have; Matplotlib then
fails as soon as it is imported. The command line imports this first.
"""

import os

os.environ["MPLBACKEND"] = "agg"
