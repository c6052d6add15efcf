"""Compile the fused layer for GPUs that need not be there; print what it takes of them as JSON.

Usage: TRITON_INTERPRET=0 python compile_fused.py tf32|tf32x3|bf16
"""

import json
import sys

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from flows.fused.kernel import gated_layer
from flows.fused.stack import WIDEST, fuse
from flows.gated import SQRT_HALF, ResidualLayer

KERNELS = [  # compute capability; width, skips, kernel size; the first layer of a signal
    (80, (6, 9, 2), True),
    (80, (WIDEST, WIDEST, 3), False),
    (90, (64, 0, 3), False),
    (90, (WIDEST, WIDEST, 3), False),
]
FLOATS = ("gate_bias", "out_bias", "total")
NUMBERS = ("h", "past", "context", "gate_weight", "out_weight", "residual")


def compiled(
    precision: str, capability: int, sizes: tuple[int, int, int], is_first: bool
) -> dict[str, object]:
    [layer] = fuse([ResidualLayer(*sizes, dilation=1)], torch.float32)
    number = "*bf16" if precision == "bf16" else "*fp32"
    constants = {
        **layer.sizes,
        "has_past": not is_first,
        "has_context": not is_first,
        "add_to_total": sizes[1] > 0 and not is_first,
        "residual_gain": SQRT_HALF,
        "precision": "ieee" if precision == "bf16" else precision,
        "widen": False,
    }
    if is_first:  # Triton compiles an argument of 1 in
        constants |= {"history": 1, "dilation": 1, "frame_length": 1}
    types = dict.fromkeys(gated_layer.arg_names, "i32")
    types |= dict.fromkeys(NUMBERS, number) | dict.fromkeys(FLOATS, "*fp32")
    types |= dict.fromkeys(constants, "constexpr")
    aligned = {
        (i,): [["tt.divisibility", 16]] for i, type in enumerate(types.values()) if type[0] == "*"
    }
    source = ASTSource(gated_layer, signature=types, constexprs=constants, attrs=aligned)
    target = GPUTarget("cuda", capability, 32)
    kernel = triton.compile(source, target=target, options=layer.options)
    return {
        "sizes": sizes,
        "capability": capability,
        "shared_bytes": kernel.metadata.shared,
        "instructions": [name for name in ("wgmma", "mma.sync") if name in kernel.asm["ptx"]],
    }


if __name__ == "__main__":
    print(json.dumps([compiled(sys.argv[1], *kernel) for kernel in KERNELS]))
