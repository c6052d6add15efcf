"""Gated layers in Triton's interpreter or on a GPU equal the PyTorch layers."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from flows import Past, WaveNet, WaveNetConfig
from flows.engines.triton import FusedStack
from flows.engines.triton.stack import fuse, is_interpreted
from flows.networks.gated import ResidualLayer, residual_stack

DEVICE = "cpu" if is_interpreted() else "cuda"
BATCH = 2
LAYERS = {  # width, skips, kernel size, dilation
    "paper": (64, 64, 3, 2),
    "narrow": (6, 9, 2, 1),
    "one_channel": (1, 1, 2, 3),
    "no_skips": (40, 0, 3, 4),
    "several_tiles": (72, 130, 3, 16),
    "reads_only_before": (16, 16, 2, 512),
    "four_taps": (20, 5, 4, 7),
}


@pytest.fixture(autouse=True)
def inference(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    torch.set_grad_enabled(False)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    yield
    torch.set_grad_enabled(True)


def make_layer(name: str, causal: bool = True) -> ResidualLayer:
    torch.manual_seed(0)
    layer = ResidualLayer(*LAYERS[name], causal).to(DEVICE)
    for parameter in layer.parameters():
        parameter.add_(0.1 * torch.randn_like(parameter))
    return layer


def make_inputs(layer: ResidualLayer, frames: int, length: int) -> tuple[Tensor, Tensor]:
    """Return the layer's input, and a context that is not contiguous."""
    width = layer.gate.weight.shape[1]
    h = torch.randn(BATCH, width, frames * length, device=DEVICE)
    return h, torch.randn(BATCH, 3, 2 * width, frames, device=DEVICE)[:, 1]


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("with_context", [True, False])
def test_a_layer_computes_what_pytorch_does(name: str, with_context: bool) -> None:
    layer = make_layer(name)
    h, context = make_inputs(layer, 5, 15)
    context = context if with_context else None
    residual, skip = layer(h, context)
    found, total = fuse([layer], torch.float32)[0](h, context)
    torch.testing.assert_close(found, residual, rtol=1e-5, atol=1e-6)
    if skip.shape[1]:
        torch.testing.assert_close(total, skip, rtol=1e-5, atol=1e-6)
    else:
        assert total is None


@pytest.mark.parametrize("name", ["no_skips", "four_taps"])
def test_a_layer_that_sees_ahead(name: str) -> None:
    layer = make_layer(name, causal=False)
    h, context = make_inputs(layer, 2, 50)
    found, _ = fuse([layer], torch.float32)[0](h, context)
    torch.testing.assert_close(found, layer(h, context)[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["narrow", "no_skips", "reads_only_before"])
def test_a_signal_in_pieces(name: str) -> None:
    layer = make_layer(name)
    h, context = make_inputs(layer, 11, 7)
    fused, past, joined = fuse([layer], torch.float32)[0], Past(), []
    for start, end in [(0, 1), (1, 2), (2, 9), (9, 11)]:
        with past:
            piece = h[..., 7 * start : 7 * end], context[..., start:end]
            joined.append(fused(*piece, past)[0])
    torch.testing.assert_close(torch.cat(joined, -1), layer(h, context)[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_rounding_in_16_bits_is_no_larger_than_pytorchs(dtype: torch.dtype) -> None:
    layer = make_layer("paper").to(dtype)
    h, context = (x.to(dtype) for x in make_inputs(layer, 3, 40))
    fused = fuse([layer], dtype)[0](h, context)
    rounded = layer(h, context)
    exact = layer.double()(h.double(), context.double())
    # The interpreter (Triton 3.7) truncates bfloat16 where a GPU rounds: twice the error.
    factor = 2 if is_interpreted() and dtype == torch.bfloat16 else 1
    for found, other, expected in zip(fused, rounded, exact, strict=True):
        error, allowed = (float((x.double() - expected).abs().mean()) for x in (found, other))
        assert 0 < error < factor * allowed
    assert fused[0].dtype == dtype
    assert fused[1].dtype == torch.float32


@pytest.mark.parametrize("skips", [0, 5])
def test_a_stack_computes_what_pytorch_does(skips: int) -> None:
    torch.manual_seed(0)
    config = WaveNetConfig(
        num_layers=4, layers_per_cycle=3, residual_channels=6, skip_channels=skips
    )
    network = WaveNet(config, 2, 2, context_channels=3).to(DEVICE)
    for parameter in network.parameters():
        parameter.add_(0.1 * torch.randn_like(parameter))
    stack = FusedStack(network.layers, torch.float32)
    h, gates = torch.randn(BATCH, 6, 80, device=DEVICE), torch.randn(BATCH, 4, 12, 5, device=DEVICE)
    for given in (gates, None):
        expected = residual_stack(network.layers, h, given)
        torch.testing.assert_close(stack(h, given), expected, rtol=1e-5, atol=1e-6)
    x, frames = torch.randn(BATCH, 2, 80, device=DEVICE), torch.randn(BATCH, 3, 5, device=DEVICE)
    found = network(x, frames, stack=stack)
    torch.testing.assert_close(found, network(x, frames), rtol=1e-5, atol=1e-6)


def test_a_request_for_gradients_is_refused() -> None:
    layer = make_layer("narrow")
    h, _ = make_inputs(layer, 1, 10)
    with torch.enable_grad(), pytest.raises(AssertionError):
        fuse([layer], torch.float32)[0](h.requires_grad_(), None)


def compiled_for_gpus(what: str, cache: Path) -> list[dict[str, Any]]:
    """Compile kernels for absent GPUs, in a process without the interpreter."""
    script = Path(__file__).with_name("compile_kernels.py")
    environment = {
        **os.environ,
        "TRITON_INTERPRET": "0",
        "TRITON_CACHE_DIR": str(cache),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    done = subprocess.run(
        [sys.executable, script, what], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    assert len(found) == 4
    return found


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["tf32", "tf32x3", "bf16"])
def test_the_kernel_compiles_for_gpus(precision: str, tmp_path: Path) -> None:
    for kernel in compiled_for_gpus(precision, tmp_path):
        assert kernel["shared_bytes"] <= 99 * 1024, kernel  # what compute capability 8.6 has
        assert kernel["instructions"], kernel  # those of the matrix units
