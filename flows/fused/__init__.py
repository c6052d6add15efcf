"""Gated residual layers as Triton kernels, for networks on a GPU that learn nothing.

`flows.fused.kernel` needs triton, which comes with PyTorch's builds for CUDA; nothing imports it
before a `FusedStack` is made.
"""

from flows.fused.stack import WIDEST, FusedStack, fused_name, fused_obstacle

__all__ = ["WIDEST", "FusedStack", "fused_name", "fused_obstacle"]
