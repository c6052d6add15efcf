"""Triton kernels for networks on a GPU that learn nothing: a gated layer, a loop over samples.

`layer_kernel` and `loop_kernel` need triton, which comes with PyTorch's builds for CUDA; nothing
imports them before there is something to compute.
"""

from typing import TYPE_CHECKING

from storage.on_demand import on_demand

if TYPE_CHECKING:
    from flows.engines.triton.stack import WIDEST, FusedStack, fused_name, fused_obstacle
else:
    __getattr__ = on_demand(__name__)

__all__ = ["WIDEST", "FusedStack", "fused_name", "fused_obstacle"]
