"""The gated stack in rows of channels, and computed again in the backward pass."""

import pytest
import torch
from torch import Tensor, nn

from flows import recompute_layers
from flows.engines.threads import pytorch_threads
from flows.networks import gated
from flows.networks.gated import ResidualLayer, residual_stack

WIDTH, FRAMES, SAMPLES = 3, 5, 20


def make_stack(skip_channels: int, causal: bool, kernel_size: int) -> nn.ModuleList:
    torch.manual_seed(0)
    return nn.ModuleList(
        ResidualLayer(WIDTH, skip_channels, kernel_size, dilation, causal) for dilation in (1, 2, 4)
    ).double()


def run(layers: nn.ModuleList, with_context: bool = True) -> tuple[Tensor, ...]:
    """Compute a stack's output and every gradient."""
    generator = torch.Generator().manual_seed(1)
    h = torch.randn(2, WIDTH, SAMPLES, generator=generator, dtype=torch.float64, requires_grad=True)
    shape = (2, len(layers), 2 * WIDTH, FRAMES)
    gates = torch.randn(*shape, generator=generator, dtype=torch.float64, requires_grad=True)
    out = residual_stack(layers, h, gates if with_context else None)
    weights = torch.randn(out.shape, generator=generator, dtype=torch.float64)
    inputs = [h, *layers.parameters(), *([gates] if with_context else [])]
    # The last layer of a stack with skips has a residual that nothing reads.
    return out, *torch.autograd.grad(out, inputs, weights)


@pytest.mark.parametrize("with_context", [True, False])
@pytest.mark.parametrize(
    ("skip_channels", "causal", "kernel_size"), [(0, True, 3), (4, True, 2), (4, False, 3)]
)
def test_rows_of_channels_compute_the_same(
    skip_channels: int,
    causal: bool,
    kernel_size: int,
    with_context: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    layers = make_stack(skip_channels, causal, kernel_size)
    expected = run(layers, with_context)
    monkeypatch.setattr(gated, "prefers_rows", lambda h: True)
    for value, wanted in zip(run(layers, with_context), expected, strict=True):
        torch.testing.assert_close(value, wanted)


@pytest.mark.parametrize(
    ("dtype", "threads", "in_rows"),
    [
        (torch.bfloat16, 1, True),
        (torch.bfloat16, 2, True),
        (torch.float32, 1, True),
        (torch.float32, 2, False),
        (torch.float64, 1, False),
    ],
)
def test_what_is_computed_in_rows_on_a_cpu(dtype: torch.dtype, threads: int, in_rows: bool) -> None:
    h = torch.randn(1, WIDTH, SAMPLES, dtype=dtype)
    with pytorch_threads(threads):
        out = residual_stack(make_stack(4, True, 2).to(dtype), h, None)
    assert (out.stride(1) == 1) == in_rows


@pytest.fixture(params=[False, True])
def in_rows(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gated, "prefers_rows", lambda h: request.param)


@pytest.mark.usefixtures("in_rows")
def test_recomputed_layers_have_the_same_gradients() -> None:
    layers = make_stack(4, True, 2)
    expected = run(layers)
    recompute_layers(layers)
    for value, wanted in zip(run(layers), expected, strict=True):
        torch.testing.assert_close(value, wanted)


@pytest.mark.usefixtures("in_rows")
def test_recomputed_layers_keep_less() -> None:
    def kept() -> int:
        """Return how many numbers the backward pass keeps."""
        sizes = {}

        def note(tensor: Tensor) -> Tensor:
            sizes[tensor.data_ptr()] = tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            h = torch.randn(2, WIDTH, SAMPLES, dtype=torch.float64, requires_grad=True)
            out = residual_stack(layers, h, None)
        assert out.requires_grad
        return sum(sizes.values())

    layers = make_stack(0, True, 2)
    before = kept()
    recompute_layers(layers)
    assert kept() < before / 3


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_hooks_on_layers_see_channels_before_time(dtype: torch.dtype) -> None:
    layers = make_stack(4, True, 2).to(dtype)
    h, found = torch.randn(1, WIDTH, SAMPLES, dtype=dtype), []
    with pytorch_threads(1):
        wanted = residual_stack(layers, h, None)
        for layer in layers:
            layer.register_forward_hook(lambda module, inputs, out: found.append(out[0].shape))
        out = residual_stack(layers, h, None)
    assert found == [h.shape] * len(layers)
    torch.testing.assert_close(out, wanted, rtol=0.02, atol=0.02)
