"""Couplings: one part passes and decides the other, and no network is inverted."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from flows import (
    Additive,
    Affine,
    BoundedAffine,
    Compose,
    Coupling,
    MixtureCdf,
    Mlp,
    NonCausalWaveNet,
    Transformer,
    WaveNetConfig,
    alternating_mask,
    glow_signal,
    half_mask,
    limit_log_scale,
    maf_stack,
    nice,
    nice_signal,
    realnvp,
)
from flows.transforms.coupling import network_sizes
from flows.transforms.transformers import LOG_SCALE_LIMIT

TRANSFORMERS = [Additive(), Affine(), BoundedAffine(), MixtureCdf(2)]
MASKS = [alternating_mask(5), alternating_mask(5, odd=True), half_mask(5), half_mask(5, True)]
NETWORK = WaveNetConfig(
    num_layers=2, layers_per_cycle=2, kernel_size=3, residual_channels=8, skip_channels=8
)

by_transformer = pytest.mark.parametrize(
    "transformer", TRANSFORMERS, ids=lambda t: type(t).__name__
)
by_mask = pytest.mark.parametrize("mask", MASKS, ids=lambda m: str(m.int().tolist()))


def shake(module: torch.nn.Module, scale: float = 0.3) -> None:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(scale * torch.randn_like(parameter))


def make_coupling(transformer: Transformer, mask: Tensor) -> Coupling:
    torch.manual_seed(0)
    network = Mlp(*network_sizes(mask, transformer), (16,))
    coupling = Coupling(transformer, network, mask).double()
    shake(coupling)
    return coupling


@by_mask
@by_transformer
def test_the_masked_part_passes_unchanged(transformer: Transformer, mask: Tensor) -> None:
    coupling = make_coupling(transformer, mask)
    x = torch.randn(4, 5, dtype=torch.float64)
    for result in (coupling(x)[0], coupling.inverse(x)[0]):
        assert torch.equal(result[:, mask], x[:, mask])
        assert (result[:, ~mask] != x[:, ~mask]).all()


@by_mask
@by_transformer
def test_a_changed_feature_reads_itself_and_the_part_that_passes(
    transformer: Transformer, mask: Tensor
) -> None:
    coupling = make_coupling(transformer, mask)
    x = torch.randn(5, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda x: coupling(x[None])[0][0], x)
    expected = torch.eye(5).bool() | (~mask[:, None] & mask[None, :])
    assert torch.equal(jacobian != 0, expected)


@pytest.mark.parametrize("scale", [1.0, 50.0])
def test_additive_couplings_preserve_volume_exactly(scale: float) -> None:
    torch.manual_seed(0)
    *couplings, rescaling = nice(7, 4, (16, 16)).double().transforms
    x = scale * torch.randn(3, 7, dtype=torch.float64)
    for coupling in couplings:
        shake(coupling)
        x, log_det = coupling(x)
        assert torch.equal(log_det, torch.zeros(3, dtype=torch.float64))
        assert torch.equal(coupling.inverse(x)[1], torch.zeros(3, dtype=torch.float64))
    torch.nn.init.normal_(rescaling.log_scale)
    torch.testing.assert_close(rescaling(x)[1], rescaling.log_scale.sum().expand(3))


def test_nice_over_a_signal_changes_volume_by_its_scales_alone() -> None:
    torch.manual_seed(0)
    flow = nice_signal(4, 3, NETWORK).double()
    shake(flow)
    x = torch.randn(2, 1, 24, dtype=torch.float64)
    log_scale = flow.transforms[-2].log_scale
    torch.testing.assert_close(
        flow(x)[1], (24 // 4 * log_scale.sum()).expand(2), rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_bounded_scale_holds_far_from_the_data(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    flow = realnvp(6, 5, (16,), log_scale_limit=0.0).to(dtype)
    shake(flow)
    # Each coupling changes half the features; the layers between have scales of their own.
    own = sum(layer.log_scale.sum() for layer in flow.transforms[::2]).item()
    x = (50 * torch.randn(64, 6)).to(dtype).requires_grad_()
    z, log_det = flow(x)
    assert ((log_det - own).abs() <= 5 * 3 * LOG_SCALE_LIMIT * 1.0001).all()
    gradients = torch.autograd.grad(z.sum() + log_det.sum(), [x, *flow.parameters()])
    for values in (z, log_det, flow.inverse(x)[0], *gradients):
        assert torch.isfinite(values).all()


def test_a_log_scale_is_limited_on_both_sides_and_untouched_near_zero() -> None:
    raw = torch.tensor([-1e6, -0.01, 0.0, 0.01, 1e6], dtype=torch.float64, requires_grad=True)
    bounded = limit_log_scale(raw, 2.0)
    expected = torch.tensor([-2.0, -0.01, 0.0, 0.01, 2.0], dtype=torch.float64)
    torch.testing.assert_close(bounded.detach(), expected, rtol=0, atol=1e-6)
    shift, log_scale = BoundedAffine(2.0).split(torch.stack([raw, raw])[None])
    assert torch.equal(shift[0], raw)
    assert torch.equal(log_scale[0], bounded)
    with pytest.raises(ValueError, match=r"log_scale_limit is 0\.0, expected a positive number"):
        BoundedAffine(0.0)


class LargestTensor(TorchDispatchMode):
    """Records the size of the largest tensor that any operation writes."""

    size = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for value in result if isinstance(result, tuple | list) else [result]:
            if isinstance(value, Tensor):
                self.size = max(self.size, value.numel())
        return result


@pytest.mark.parametrize("family", [nice, realnvp, maf_stack])
def test_a_triangular_log_det_needs_no_matrix(family: Callable[..., Compose]) -> None:
    # The largest weight has two parameters a feature and eight inputs; a Jacobian's row has 2000.
    features = 2000
    flow = family(features, 2, (8,))
    with LargestTensor() as largest:
        flow(torch.randn(1, features))
    assert 0 < largest.size <= 2 * 8 * features


def test_a_signal_couples_past_and_future() -> None:
    torch.manual_seed(0)
    coupling = Coupling(Additive(), NonCausalWaveNet(NETWORK, 1, 1, 1), half_mask(2)).double()
    shake(coupling)
    x = torch.randn(1, 2, 21, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(coupling(x)[0][0, 1, 10], x)
    reach = sum(NETWORK.dilations)
    assert (gradient[0, 0, 10 - reach : 11 + reach] != 0).all()
    assert (gradient[0, 0, : 10 - reach] == 0).all()
    assert (gradient[0, 0, 11 + reach :] == 0).all()


def test_alternating_masks_are_complementary() -> None:
    for mask in (alternating_mask, half_mask):
        for size in (2, 5, 8):
            assert torch.equal(mask(size), ~mask(size, True))


@pytest.mark.parametrize(
    "mask",
    [torch.ones(3).bool(), torch.zeros(3).bool(), torch.tensor([0, 1, 1]), torch.ones(1, 3).bool()],
)
def test_a_mask_with_an_empty_part_is_refused(mask: Tensor) -> None:
    with pytest.raises(ValueError, match=r"set, expected booleans of shape \(D,\), at least one"):
        Coupling(Additive(), Mlp(2, 1, 1), mask)


def test_a_frame_of_one_sample_cannot_be_split() -> None:
    with pytest.raises(ValueError, match=r"shape \(1,\) and 0 set, expected booleans"):
        glow_signal(1, 2, NETWORK)


def test_mismatched_parts_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(2, 1, 1\), but this mask and Affine take \(2, 2, 1\)"):
        Coupling(Affine(), Mlp(2, 1, 1), alternating_mask(3))
    with pytest.raises(ValueError, match=r"z has shape \(2, 3, 0\), expected \(B, 3\) or"):
        Coupling(Additive(), Mlp(2, 1, 1), alternating_mask(3)).inverse(torch.zeros(2, 3, 0))
