"""The contract of a transform, for every transform of the core, in float64."""

import pytest
import torch
from torch import Tensor

from flows import Inverse, Transform
from tests.flows.transforms.case import Case
from tests.flows.transforms.cases import CASES

by_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def jacobian_log_det(
    function: Transform, x: Tensor, context: Tensor | None, direction: str
) -> Tensor:
    """log|det| of each example's full Jacobian, by autograd and LU decomposition."""
    values = []
    for i in range(x.shape[0]):
        one_context = None if context is None else context[i : i + 1]

        def flat(
            vector: Tensor, like: Tensor = x[i : i + 1], c: Tensor | None = one_context
        ) -> Tensor:
            method = function.forward if direction == "forward" else function.inverse
            return method(vector.view_as(like), c)[0].flatten()

        jacobian = torch.autograd.functional.jacobian(flat, x[i].flatten())
        values.append(torch.linalg.slogdet(jacobian).logabsdet)
    return torch.stack(values)


@by_case
def test_round_trip_from_data(case: Case) -> None:
    transform, x, context = case.make()
    z, _ = transform(x, context)
    torch.testing.assert_close(transform.inverse(z, context)[0], x, rtol=0, atol=1e-9)


@by_case
def test_round_trip_from_noise(case: Case) -> None:
    transform, z, context = case.make()
    z = case.as_noise(z)
    x, _ = transform.inverse(z, context)
    # Rounding grows on the way through a frame that has a predictor, on one processor to 1.5e-9.
    torch.testing.assert_close(transform(x, context)[0], z, rtol=0, atol=1e-8)


@by_case
@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_log_det_equals_the_full_jacobians(case: Case, direction: str) -> None:
    transform, x, context = case.make()
    method = transform.forward
    if direction == "inverse":
        method, x = transform.inverse, case.as_noise(x)
    _, log_det = method(x, context)
    assert log_det.shape == (x.shape[0],)
    expected = jacobian_log_det(transform, x, context, direction)
    torch.testing.assert_close(log_det, expected, rtol=0, atol=1e-9)


@by_case
def test_inverse_log_det_is_the_negative(case: Case) -> None:
    transform, x, context = case.make()
    z, log_det = transform(x, context)
    _, inverse_log_det = transform.inverse(z, context)
    torch.testing.assert_close(inverse_log_det, -log_det, rtol=0, atol=1e-9)


@by_case
def test_data_and_every_parameter_get_a_gradient(case: Case) -> None:
    transform, x, context = case.make()
    z, log_det = transform(x.requires_grad_(), context)
    # Each square has its own weight: a rotation would leave their plain sum as it is.
    ((z.square() * torch.rand_like(z)).sum() - log_det.sum()).backward()
    without = [
        name
        for name, parameter in transform.named_parameters()
        if parameter.grad is None or not parameter.grad.abs().sum() > 0
    ]
    assert not without
    assert x.grad is not None
    assert (x.grad != 0).all()


@by_case
def test_context_matters_where_there_is_one(case: Case) -> None:
    transform, x, context = case.make()
    if case.ignores_context:
        ignored = transform(x, torch.zeros(x.shape[0], 3, dtype=x.dtype))
        torch.testing.assert_close(ignored, transform(x), rtol=0, atol=0)
    elif context is None:
        with pytest.raises(ValueError, match="context"):
            transform(x, torch.zeros(x.shape[0], 3, dtype=x.dtype))
    else:
        changed = transform(x, context + 1)[0]
        assert (changed - transform(x, context)[0]).abs().max() > 1e-3


@by_case
def test_examples_of_a_batch_do_not_mix(case: Case) -> None:
    transform, x, context = case.make()
    z, log_det = transform(x, context)
    one = slice(1, 2)
    alone, alone_log_det = transform(x[one], None if context is None else context[one])
    torch.testing.assert_close(alone, z[one])
    torch.testing.assert_close(alone_log_det, log_det[one])


@by_case
def test_discrete_data_is_refused_with_a_pointer(case: Case) -> None:
    transform, x, context = case.make()
    for method, values in ((transform.forward, x), (transform.inverse, case.as_noise(x))):
        with pytest.raises(ValueError, match=r"int64.*Dequantize"):
            method(values.long(), context)


@by_case
def test_wrong_shapes_are_refused(case: Case) -> None:
    transform, x, context = case.make()
    for method, values in ((transform.forward, x), (transform.inverse, case.as_noise(x))):
        too_many_axes = values[:, None]
        too_wide = torch.cat([values, values], 1)
        for wrong in (too_many_axes, too_wide):
            with pytest.raises(ValueError, match="shape"):
                method(wrong, context)


@by_case
@pytest.mark.parametrize("scale", [50.0, 1e-8])
def test_extreme_inputs_stay_finite(case: Case, scale: float) -> None:
    transform, x, context = case.make()
    x = (x * scale).requires_grad_()
    z, log_det = transform(x, context)
    gradients = torch.autograd.grad(z.sum() + log_det.sum(), [x, *transform.parameters()])
    for values in (z, log_det, *gradients):
        assert torch.isfinite(values).all()


@by_case
@pytest.mark.parametrize("scale", [50.0, 1e-8])
def test_extreme_noise_stays_finite_or_is_refused(case: Case, scale: float) -> None:
    transform, x, context = case.make()
    assert finite_or_refused(transform, case.as_noise(x) * scale, context, "inverse") or scale > 1


@by_case
@pytest.mark.parametrize("factor", [4.0, -4.0])
def test_sharp_networks_stay_finite_or_are_refused(case: Case, factor: float) -> None:
    # Weights so large that the scales become tiny or huge.
    transform, x, context = case.make()
    with torch.no_grad():
        for parameter in transform.parameters():
            parameter.mul_(factor)
    assert finite_or_refused(transform, x, context, "forward") or isinstance(transform, Inverse)


def finite_or_refused(
    transform: Transform, x: Tensor, context: Tensor | None, direction: str
) -> bool:
    """Return whether values and gradients are finite, or False if the transform refuses."""
    method = transform.forward if direction == "forward" else transform.inverse
    x.requires_grad_()
    try:
        z, log_det = method(x, context)
    except ValueError as error:
        if "not finite" not in str(error):
            raise
        return False
    gradients = torch.autograd.grad(z.sum() + log_det.sum(), [x, *transform.parameters()])
    for values in (z, log_det, *gradients):
        assert torch.isfinite(values).all()
    return True
