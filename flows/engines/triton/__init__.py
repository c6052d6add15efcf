"""Triton kernels for inference on a GPU: a gated layer, and a loop over samples.

`layer_kernel` and `loop_kernel` need triton, which comes with PyTorch's builds for CUDA. Other
modules import them only when they launch a kernel.
"""

from typing import TYPE_CHECKING

from storage.on_demand import on_demand

if TYPE_CHECKING:
    from flows.engines.triton.stack import WIDEST, FusedStack, fused_name, fused_obstacle
else:
    __getattr__ = on_demand(__name__)

__all__ = ["WIDEST", "FusedStack", "fused_name", "fused_obstacle"]
