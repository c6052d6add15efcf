"""`Triangular`: a frame is Gaussian with a full covariance, and each sample given earlier ones."""

import torch

from flows import Affine, StandardNormal, Triangular

CHANNELS, FRAMES = 4, 3


def make_params(seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, 1 + CHANNELS, CHANNELS, FRAMES, generator=generator, dtype=torch.float64)


def make_frames(seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, CHANNELS, FRAMES, generator=generator, dtype=torch.float64)


def test_a_frame_is_gaussian_with_the_covariance_of_its_regressions() -> None:
    transformer, params, x = Triangular(CHANNELS), make_params(), make_frames()
    z, log_det = transformer(x, params)
    found = (StandardNormal().log_prob(z) + log_det).sum(1)
    location, log_scale = transformer.split(params)
    for b in range(2):
        for n in range(FRAMES):
            regressions = torch.zeros(CHANNELS, CHANNELS, dtype=torch.float64)
            for i in range(CHANNELS):
                for j in range(i):
                    regressions[i, j] = params[b, 2 + j, i, n]
            mixing = torch.linalg.inv(torch.eye(CHANNELS).double() - regressions)
            scale = (mixing @ torch.diag(log_scale[b, :, n].exp())).tril()  # rounding above it
            expected = torch.distributions.MultivariateNormal(
                location[b, :, n], scale_tril=scale
            ).log_prob(x[b, :, n])
            torch.testing.assert_close(found[b, n], expected)


def test_each_sample_is_gaussian_given_the_earlier_ones_of_its_frame() -> None:
    transformer, params, x = Triangular(CHANNELS), make_params(), make_frames()
    given = transformer.given_frame(x, params)
    for joint, single in zip(transformer(x, params), Affine()(x, given), strict=True):
        torch.testing.assert_close(joint, single)
    x[:, 2] += 1.0  # later samples alone notice
    moved = transformer.given_frame(x, params)
    torch.testing.assert_close(moved[:, :, :3], given[:, :, :3])
    assert (moved[:, 0, 3] - given[:, 0, 3]).abs().min() > 1e-6


def test_a_frame_of_one_sample_is_affine() -> None:
    params, x = make_params()[:, :2, :1], make_frames()[:, :1]
    torch.testing.assert_close(Triangular(1)(x, params), Affine()(x, params))


def test_initial_parameters_standardise_the_columns() -> None:
    x = 3 + 2 * torch.randn(500, CHANNELS, dtype=torch.float64)
    params = Triangular(CHANNELS).initial_params(x)
    assert params.shape == (1 + CHANNELS, CHANNELS)
    z, _ = Triangular(CHANNELS)(x, params.expand(500, -1, -1))
    torch.testing.assert_close(z.mean(0), torch.zeros(CHANNELS).double(), atol=1e-3, rtol=0)
    torch.testing.assert_close(z.std(0), torch.ones(CHANNELS).double(), atol=0.02, rtol=0)
