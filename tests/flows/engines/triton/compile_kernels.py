"""Compile Triton kernels for GPUs without having one; print their resources as JSON.

Usage: TRITON_INTERPRET=0 python compile_kernels.py tf32|tf32x3|bf16|loop

The first three compile the gated layer with these products, the last the loop over samples.
"""

import json
import sys
from typing import Any

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from flows import Affine, MixtureCdf, WaveNet, WaveNetConfig
from flows.engines.triton.layer_kernel import gated_layer
from flows.engines.triton.loop import PersistentLoop
from flows.engines.triton.loop_kernel import draw_samples
from flows.engines.triton.stack import WIDEST, fuse
from flows.networks.gated import SQRT_HALF, ResidualLayer

KERNELS = [  # compute capability; width, skips, kernel size; the first layer of a signal
    (80, (6, 9, 2), True),
    (80, (WIDEST, WIDEST, 3), False),
    (90, (64, 0, 3), False),
    (90, (WIDEST, WIDEST, 3), False),
]
LOOPS = [  # compute capability; width and skips, kernel size, order of prediction, components
    (80, (6, 2, 0, 0)),
    (80, (WIDEST, 3, 16, 10)),
    (90, (64, 2, 0, 0)),
    (90, (WIDEST, 2, 16, 0)),
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
    kernel = compiled_as(gated_layer, types, constants, capability, layer.options)
    return {
        "sizes": sizes,
        "capability": capability,
        "shared_bytes": kernel.metadata.shared,
        "instructions": [name for name in ("wgmma", "mma.sync") if name in kernel.asm["ptx"]],
    }


def compiled_loop(capability: int, sizes: tuple[int, int, int, int]) -> dict[str, object]:
    width, kernel_size, order, components = sizes
    config = WaveNetConfig(
        num_layers=2,
        residual_channels=width,
        skip_channels=width,
        kernel_size=kernel_size,
        prediction_order=order,
    )
    transformer = MixtureCdf(components, base="logistic") if components else Affine()
    locations = tuple(range(components, 2 * components)) if components else (0,)
    network = WaveNet(config, transformer.num_params, 1, 3, locations)
    loop = PersistentLoop(network, transformer, torch.zeros(1, 1, 8), torch.zeros(1, 3, 2))
    types = dict.fromkeys(draw_samples.arg_names, "*fp32")
    types |= dict.fromkeys(("ring_starts", "dilations"), "*i32")
    types |= dict.fromkeys(("start", "count"), "i32")
    types |= {k: "fp32" if isinstance(v, float) else "i32" for k, v in loop.numbers.items()}
    types |= dict.fromkeys(loop.sizes, "constexpr")
    kernel = compiled_as(draw_samples, types, loop.sizes, capability, loop.options)
    return {
        "sizes": sizes,
        "capability": capability,
        "shared_bytes": kernel.metadata.shared,
        "instructions": [name for name in ("bar.sync", "mma.sync") if name in kernel.asm["ptx"]],
    }


def compiled_as(
    function: Any,
    types: dict[str, str],
    constants: dict[str, Any],
    capability: int,
    options: dict[str, Any],
) -> Any:
    aligned = {
        (i,): [["tt.divisibility", 16]] for i, type in enumerate(types.values()) if type[0] == "*"
    }
    source = ASTSource(function, signature=types, constexprs=constants, attrs=aligned)
    return triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)


if __name__ == "__main__":
    what = sys.argv[1]
    if what == "loop":
        found = [compiled_loop(*loop) for loop in LOOPS]
    else:
        found = [compiled(what, *kernel) for kernel in KERNELS]
    print(json.dumps(found))
