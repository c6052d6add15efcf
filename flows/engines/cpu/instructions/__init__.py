"""How code is compiled, and instructions of the processor that Python cannot express."""
