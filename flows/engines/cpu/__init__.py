"""WaveNets in compiled float32 arithmetic on the CPU: sample by sample, and in parallel.

numba keeps what it has compiled, and compiles a function again when the function's own file has
changed, but not when a file has changed whose functions it calls. So each file states a digest of
those that it calls: a change there has to show here, too. The tests say what to write.
"""
