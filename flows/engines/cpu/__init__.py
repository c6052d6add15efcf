"""WaveNets in compiled float32 arithmetic on the CPU: sample by sample, and in parallel."""

from flows.engines.code_cache import use_package_locator

use_package_locator()  # before a module of this package compiles a function
