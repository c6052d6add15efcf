"""Divergence of Gaussians, against independent computations."""

import torch

from distill import gaussian_kl, log_scale_regulariser


def test_kl_equals_torch_distributions() -> None:
    torch.manual_seed(0)
    loc_q, s_q, loc_p, s_p = torch.randn(4, 50, dtype=torch.float64)
    expected = torch.distributions.kl_divergence(
        torch.distributions.Normal(loc_q, s_q.exp()), torch.distributions.Normal(loc_p, s_p.exp())
    )
    torch.testing.assert_close(gaussian_kl(loc_q, s_q, loc_p, s_p), expected)


def test_kl_is_zero_only_for_equal_distributions() -> None:
    loc, log_scale = torch.randn(2, 20, dtype=torch.float64)
    assert gaussian_kl(loc, log_scale, loc, log_scale).abs().max() < 1e-12
    assert (gaussian_kl(loc, log_scale, loc + 0.1, log_scale) > 0).all()
    assert (gaussian_kl(loc, log_scale, loc, log_scale + 0.1) > 0).all()


def test_kl_penalises_a_wide_student_more_than_a_narrow_one() -> None:
    # Reverse KL is mode-seeking: q wider than p costs more than q narrower by the same factor.
    zero = torch.zeros(1)
    assert gaussian_kl(zero, zero + 1, zero, zero) > gaussian_kl(zero, zero - 1, zero, zero)


def test_kl_stays_finite_at_the_floor() -> None:
    loc, log_scale = torch.zeros(1), torch.full((1,), -7.0)
    for other in (-20.0, 0.0):
        s_q = torch.full((1,), other, requires_grad=True)
        kl = gaussian_kl(loc, s_q, loc, log_scale)
        kl.backward()
        assert torch.isfinite(kl).all()
        assert torch.isfinite(s_q.grad).all()  # type: ignore[arg-type]


def test_regulariser_is_the_squared_difference() -> None:
    assert float(log_scale_regulariser(torch.tensor(1.0), torch.tensor(-2.0))) == 9.0
