"""WaveNets in compiled float32 arithmetic on the CPU: sample by sample, and in parallel.

numba caches compiled functions. It compiles a function again when the function's own file has
changed. It does not notice a change in a file whose functions the function calls. Each file
therefore states a digest of every file that it calls: a change in the called file then changes the
calling file, too. The tests say which digests to write.
"""
