"""Triton kernels for networks on a GPU that learn nothing: a gated layer, a loop over samples.

`layer_kernel` and `loop_kernel` need triton, which comes with PyTorch's builds for CUDA; nothing
imports them before there is something to compute.
"""

from flows.engines.triton.stack import WIDEST, FusedStack, fused_name, fused_obstacle

__all__ = ["WIDEST", "FusedStack", "fused_name", "fused_obstacle"]
