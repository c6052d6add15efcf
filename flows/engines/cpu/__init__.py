"""WaveNets in compiled code on the CPU, sample by sample and in parallel.

Sums are in float32. Layers multiply in float32 or bfloat16.
"""

from flows.engines.code_cache import use_package_locator

use_package_locator()  # before a module of this package compiles a function
