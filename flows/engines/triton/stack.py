"""A stack of gated layers on a GPU, with one Triton kernel for each layer."""

import importlib.util
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from flows.networks.gated import SQRT_HALF, ResidualLayer, skip_gain
from flows.streaming_state import Past

WIDEST = 128
"""The largest number of residual channels, which stay on the chip between the two convolutions."""

SMALLEST_TILE = 16
"""The smallest number of rows of a matrix product in Triton."""

DEPTH = 32
"""The number of channels multiplied at once. At `WIDEST`, larger tiles do not fit on every GPU."""

BLOCK = 64
"""The number of samples that one program computes."""

LEAST_CAPABILITY = (8, 0)
"""The lowest compute capability of a GPU that has TF32 and bfloat16."""


def is_interpreted() -> bool:
    """Return whether Triton runs kernels in its interpreter, which takes tensors on a CPU."""
    return os.environ.get("TRITON_INTERPRET") == "1"


def triton_obstacle(
    engine: str, dtypes: tuple[torch.dtype, ...], dtype: torch.dtype, device: torch.device
) -> str | None:
    """Return the reason why an engine of Triton kernels does not apply, or None if it applies.

    Args:
        engine: name of the engine.
        dtypes: the dtypes that the engine's kernels support.
        dtype: dtype of the tensors to compute with.
        device: device of the tensors to compute with.
    """
    on_device = device.type == "cuda" or (device.type == "cpu" and is_interpreted())
    if dtype not in dtypes or not on_device:
        bits = " or ".join(dict.fromkeys(str(8 * kind.itemsize) for kind in dtypes))
        found = f"{dtype} on {device.type}"
        return f"{engine} sampling is for numbers of {bits} bits on cuda, got {found}"
    if importlib.util.find_spec("triton") is None:
        return f"{engine} sampling needs the package triton, which is not installed"
    if is_interpreted():
        return None
    if not any(shutil.which(name) for name in (os.environ.get("CC", "gcc"), "gcc", "clang")):
        return f"{engine} sampling needs a C compiler, with which triton starts its kernels"
    major, minor = torch.cuda.get_device_capability(device)
    if (major, minor) < LEAST_CAPABILITY:
        return f"{engine} sampling needs compute capability 8.0, this GPU has {major}.{minor}"
    return None


def fused_obstacle(dtype: torch.dtype, device: torch.device) -> str | None:
    """Return the reason why fused layers do not apply to a dtype on a device, or None."""
    return triton_obstacle("fused", (torch.float32, torch.bfloat16, torch.float16), dtype, device)


def fused_name(dtype: torch.dtype) -> str:
    """Describe the fused layers and the precision of their products in words."""
    products = {"tf32": "TF32", "tf32x3": "three TF32 parts", "ieee": str(dtype)}
    where = " in the interpreter" if is_interpreted() else ""
    return f"fused Triton layers{where}, products in {products[product_precision(dtype)]}"


def product_precision(dtype: torch.dtype) -> str:
    """Return the precision of products on a GPU, as Triton calls it.

    The kernel takes the place of convolutions. It multiplies float32 in TF32 if PyTorch's
    convolutions may use TF32, which is PyTorch's default. Otherwise it splits each number into two
    TF32 parts; the three largest products of the parts have nearly float32's precision. Plain
    float32 products do not use the matrix units, and spill hundreds of registers.
    """
    if dtype != torch.float32:
        return "ieee"
    return "tf32" if torch.backends.cudnn.allow_tf32 else "tf32x3"


class FusedStack:
    """Chain gated layers as `flows.networks.gated.residual_stack` does, without gradients.

    Sums are in float32, and so is the sum of the skips. The residual is rounded to `dtype` between
    layers. The constructor copies the weights.

    Args:
        layers: `ResidualLayer`s of equal width, at most `WIDEST`.
        dtype: dtype of inputs and weights: float32, bfloat16 or float16.
    """

    def __init__(self, layers: nn.ModuleList, dtype: torch.dtype) -> None:
        self._dtype = dtype
        self._layers = fuse([layer for layer in layers if isinstance(layer, ResidualLayer)], dtype)

    def __call__(self, h: Tensor, gates: Tensor | None, past: Past | None = None) -> Tensor:
        """Chain the layers; `residual_stack` describes the arguments and the result."""
        h = h.to(self._dtype)
        total: Tensor | None = None
        for i, layer in enumerate(self._layers):
            h, total = layer(h, None if gates is None else gates[:, i], past, total)
        return h if total is None else total * skip_gain(len(self._layers))


@torch.no_grad()
def fuse(layers: Sequence[ResidualLayer], dtype: torch.dtype) -> list["FusedLayer"]:
    """Lay out the weights of layers that differ only in their dilation.

    Args:
        layers: the layers.
        dtype: dtype of the weights, see `FusedStack`.
    """
    gate_weight = torch.stack([layer.gate.weight for layer in layers])  # (N, 2R, R, taps)
    out_weight = torch.stack([layer.out.weight[..., 0] for layer in layers])  # (N, R + S, R)
    gate_bias, out_bias = (
        torch.stack([conv.bias for conv in convs if conv.bias is not None]).float()
        for convs in ([layer.gate for layer in layers], [layer.out for layer in layers])
    )
    num_layers, _, width, taps = gate_weight.shape
    skips = out_weight.shape[1] - width
    rows, skip_rows = padded(width), padded(skips) if skips else 0
    gates = gate_weight.new_zeros(num_layers, taps, 2, rows, rows, dtype=dtype)
    gates[..., :width, :width] = gate_weight.unflatten(1, (2, -1)).permute(0, 4, 1, 2, 3)
    gate_biases = gate_bias.new_zeros(num_layers, 2, rows)
    gate_biases[..., :width] = gate_bias.unflatten(1, (2, -1))
    outs = out_weight.new_zeros(num_layers, rows + skip_rows, rows, dtype=dtype)
    out_biases = out_bias.new_zeros(num_layers, rows + skip_rows)
    for there, here in (
        (slice(width), slice(width)),
        (slice(rows, rows + skips), slice(width, None)),
    ):
        outs[:, there, :width] = out_weight[:, here]
        out_biases[:, there] = out_bias[:, here]
    sizes = {
        "width": width,
        "skips": skips,
        "taps": taps,
        "rows": rows,
        "skip_rows": skip_rows,
        "depth": min(DEPTH, rows, skip_rows or rows),
        "block": BLOCK,
    }
    return [
        FusedLayer(
            dilation=layer.dilation,
            history=layer.history,
            look_ahead=layer.look_ahead,
            gate_weight=gates[i],
            gate_bias=gate_biases[i],
            out_weight=outs[i],
            out_bias=out_biases[i],
            sizes=sizes,
        )
        for i, layer in enumerate(layers)
    ]


@dataclass(frozen=True, kw_only=True)
class FusedLayer:
    """One gated layer as a Triton kernel.

    `layer_kernel.gated_layer` describes the fields. `sizes` holds those arguments of the kernel
    that are constants of its compilation, by name.
    """

    dilation: int
    history: int
    look_ahead: int
    gate_weight: Tensor
    gate_bias: Tensor
    out_weight: Tensor
    out_bias: Tensor
    sizes: dict[str, int]

    @property
    def options(self) -> dict[str, int]:
        """Compiler options, chosen so that registers and memory suffice at every width."""
        return {"num_warps": 4 if self.sizes["rows"] <= 64 else 8, "num_stages": 2}

    def __call__(
        self,
        h: Tensor,
        context: Tensor | None,
        past: Past | None = None,
        total: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Map (B, R, T) and gate context (B, 2R, L) to the next residual and the sum of the skips.

        Args:
            h: the layer's input, of the weights' dtype.
            context: gate context; each frame serves T / L samples.
            past: streaming state of a signal in chunks, for causal layers.
            total: sum of the skips of earlier layers, (B, S, T), in float32; this layer's skip is
                added in place. None for the first layer.
        Returns:
            the next residual (B, R, T); the sum of the skips (B, S, T), None if S is 0.
        """
        # Imported here, because the import decides whether the kernel runs in the interpreter.
        from flows.engines.triton.layer_kernel import gated_layer

        assert not (torch.is_grad_enabled() and h.requires_grad)
        batch, width, num_samples = h.shape
        skips = self.sizes["skips"]
        assert width == self.sizes["width"]
        h = h.contiguous()
        add_to_total = total is not None
        if total is None and skips:
            total = h.new_empty(batch, skips, num_samples, dtype=torch.float32)
        before = h
        if past is not None:
            assert not self.look_ahead
            before = past.swap(h, self.history)
        frame_length, strides = 1, [0, 0]
        if context is not None:
            if context.stride(2) != 1:
                context = context.contiguous()
            frame_length, strides = num_samples // context.shape[2], [*context.stride()[:2]]
        residual = torch.empty_like(h)
        grid = (-(-num_samples // BLOCK), batch)
        with torch.cuda.device_of(h):
            gated_layer[grid](
                h,
                before,
                h if context is None else context,
                self.gate_weight,
                self.gate_bias,
                self.out_weight,
                self.out_bias,
                residual,
                h if total is None else total,
                num_samples,
                self.history,
                self.look_ahead,
                self.dilation,
                frame_length,
                *strides,
                has_past=past is not None,
                has_context=context is not None,
                add_to_total=add_to_total,
                residual_gain=SQRT_HALF,
                precision=product_precision(h.dtype),
                widen=is_interpreted(),
                **self.sizes,
                **self.options,
            )
        return residual, total


def padded(size: int, least: int = SMALLEST_TILE) -> int:
    """Round a size up to a power of two, at least `least`."""
    return max(least, 1 << (size - 1).bit_length())
