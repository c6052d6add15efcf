"""Gaussianization, initialised from data."""

import math

import pytest
import torch
from scipy import stats
from torch import Tensor

from flows import (
    Additive,
    Affine,
    BoundedAffine,
    Compose,
    Elementwise,
    Flow,
    Made,
    MixtureCdf,
    Permutation,
    StandardNormal,
    gaussianization,
    initialise,
    maf,
)
from flows.gaussianization_stack import GaussianizationLayer, principal_axes
from flows.initialisation import Initialisable


def mixed_sources(count: int) -> Tensor:
    """Draw bimodal, uniform and heavy-tailed variables, mixed by a rotation."""
    torch.manual_seed(0)
    normal = torch.randn(count, 3, dtype=torch.float64)
    sources = torch.stack(
        [
            2 * torch.sign(normal[:, 0]) + 0.3 * normal[:, 1],
            4 * torch.rand(count, dtype=torch.float64),
            0.5 * normal[:, 2] / torch.rand(count, dtype=torch.float64).sqrt(),
        ],
        1,
    )
    mixing = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64)).Q
    return sources @ mixing.T


def test_layer_makes_marginals_gaussian() -> None:
    x = mixed_sources(4000)
    layer = GaussianizationLayer(3, 12).double()
    z = initialise(layer, x)
    torch.testing.assert_close(z, layer(x)[0])
    for feature in z.T:
        assert stats.kstest(feature.numpy(), "norm").statistic < 0.02


def test_a_better_rotation_is_found() -> None:
    # Sources along the principal axes, seen under a rotation: marginals then capture all there is.
    x = mixed_sources(4000)
    entropies = []
    for feature in (x @ torch.linalg.eigh(torch.cov(x.T)).eigenvectors).T:
        entropies.append(stats.differential_entropy(feature.numpy()))
    layer = GaussianizationLayer(3, 16).double()
    initialise(layer, x)
    nats = -Flow(StandardNormal(), layer).log_prob(x).mean().detach()
    assert float(nats) < sum(entropies) + 0.1


def test_initialised_layers_alone_beat_a_gaussian_and_training_goes_on_from_there() -> None:
    x, held_out = mixed_sources(6000).float().split(3000)
    gaussian = torch.distributions.MultivariateNormal(x.mean(0), torch.cov(x.T))
    torch.manual_seed(0)
    flow = Flow(StandardNormal(), gaussianization(3, num_layers=3, num_components=8))
    initialise(flow.transform, x)
    with torch.no_grad():
        scores = [float(gaussian.log_prob(held_out).mean()), float(flow.log_prob(held_out).mean())]
    optimizer = torch.optim.Adam(flow.parameters(), lr=5e-3)
    for step in range(60):
        loss = -flow.log_prob(x[step % 10 :: 10]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        scores.append(float(flow.log_prob(held_out).mean()))
    assert scores[1] > scores[0] + 0.5
    assert scores[2] > scores[1]


@pytest.mark.parametrize(
    "transformer", [Affine(), BoundedAffine(), MixtureCdf(8)], ids=["affine", "bounded", "mixture"]
)
@pytest.mark.parametrize("as_signal", [False, True], ids=["vector", "signal"])
def test_initialised_features_are_standardised(
    transformer: Affine | MixtureCdf, as_signal: bool
) -> None:
    torch.manual_seed(0)
    x = torch.randn(2000, 3) * torch.tensor([1.0, 0.2, 8.0]) + torch.tensor([0.0, 5.0, -20.0])
    if as_signal:
        x = x.view(4, 500, 3).transpose(1, 2)
    layer = Elementwise(transformer, 3)
    layer.initialise(x)
    z = layer(x)[0]
    values = z.transpose(0, 1).flatten(1) if as_signal else z.T
    torch.testing.assert_close(values.mean(1), torch.zeros(3), rtol=0, atol=0.02)
    torch.testing.assert_close(values.std(1), torch.ones(3), rtol=0, atol=0.02)


@pytest.mark.parametrize("transformer", [Additive(), Affine(), MixtureCdf(8)])
def test_fresh_layers_are_near_the_identity(transformer: Additive | Affine | MixtureCdf) -> None:
    x = torch.linspace(-2, 2, 41)[:, None]
    with torch.no_grad():
        z, log_det = Elementwise(transformer, 1)(x)
    torch.testing.assert_close(z, x, rtol=0, atol=0.01)
    torch.testing.assert_close(log_det, torch.zeros(41), rtol=0, atol=0.05)


@pytest.mark.parametrize("transformer", [Affine(), MixtureCdf(4)])
def test_constant_features_leave_all_finite(transformer: Affine | MixtureCdf) -> None:
    x = torch.ones(100, 2)
    layer = Elementwise(transformer, 2)
    layer.initialise(x)
    z, log_det = layer(x)
    z.square().sum().sub(log_det.sum()).backward()
    for values in (z, log_det, layer.params.grad):
        assert values is not None
        assert torch.isfinite(values).all()


def test_initialisation_walks_nested_compositions_in_order() -> None:
    torch.manual_seed(0)
    x = 5 + 3 * torch.randn(1000, 2)
    first, second = Elementwise(Affine(), 2), Elementwise(Affine(), 2)
    network = maf(Made(2, 2, (4,)), Affine())
    before = [p.clone() for p in network.parameters()]
    transform = Compose([first, Compose([Permutation.reversed(2), network, second])])
    z = initialise(transform, x)
    torch.testing.assert_close(z, transform(x)[0])
    torch.testing.assert_close(z.std(0), torch.ones(2))
    # The second layer saw the first one's output, and the network did not change.
    assert float(second.params.detach().abs().max()) < 0.1
    assert all(torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))
    assert isinstance(first, Initialisable)
    assert not isinstance(network, Initialisable)


def test_single_precision_stays_finite_far_out() -> None:
    torch.manual_seed(0)
    x = mixed_sources(1000).float()
    flow = Flow(StandardNormal(), gaussianization(3, num_layers=6, num_components=8))
    initialise(flow.transform, x)
    far = (50 * torch.randn(20, 3)).requires_grad_()
    log_prob = flow.log_prob(far)
    gradients = torch.autograd.grad(log_prob.sum(), [far, *flow.parameters()])
    samples = flow.sample((500, 3))
    for values in (log_prob, *gradients, samples):
        assert torch.isfinite(values).all()


def test_density_integrates_to_one() -> None:
    torch.manual_seed(0)
    x = 0.5 * torch.randn(1000, 2, dtype=torch.float64)
    x = x + 2 * torch.randint(0, 2, (1000, 1)) * torch.tensor([1.0, -0.5], dtype=torch.float64)
    flow = Flow(StandardNormal(), gaussianization(2, num_layers=2, num_components=5)).double()
    initialise(flow.transform, x)
    axis = torch.linspace(-9, 9, 361, dtype=torch.float64)
    with torch.no_grad():
        total = flow.log_prob(torch.cartesian_prod(axis, axis)).exp().sum()
    assert abs(float(total * (axis[1] - axis[0]) ** 2) - 1) < 1e-5


def test_one_feature_needs_no_axes() -> None:
    x = torch.exp(torch.randn(500, 1))
    z = initialise(gaussianization(1, num_layers=1, num_components=6), x)
    assert math.isclose(float(z.std()), 1.0, abs_tol=0.1)


def test_impossible_sizes_and_data_are_refused() -> None:
    for call, message in (
        (lambda: gaussianization(3, num_layers=0), "num_layers is 0"),
        (lambda: gaussianization(0), "num_features is 0"),
        (lambda: Elementwise(Affine(), 0), "num_features is 0"),
        (lambda: Elementwise(Affine(), 2).initialise(torch.zeros(1, 2)), "two values of each"),
        (lambda: initialise(gaussianization(2), torch.zeros(1, 2)), "two values of each"),
        (lambda: initialise(gaussianization(2), torch.zeros(4, 3)), r"\(4, 3\), expected"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_principal_axes_of_signals_are_taken_over_samples() -> None:
    x = torch.randn(2, 3, 50, generator=torch.Generator().manual_seed(0)).double()
    torch.testing.assert_close(principal_axes(x), principal_axes(x.mT.reshape(-1, 3)))
