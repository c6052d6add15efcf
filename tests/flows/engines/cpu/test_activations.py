"""Compiled gated units and scales."""

import numba
import numpy as np
import torch

from flows import bound_log_scale
from flows.engines.cpu.activations import bounded_scale, gated_units


def test_gated_units_are_accurate_to_a_few_units_in_the_last_place() -> None:
    generator = np.random.default_rng(0)
    size = 40_000
    small = 10 ** generator.uniform(-30, 2, size) * generator.choice([-1, 1], size)
    f = np.concatenate([small, generator.normal(0, 2, size), generator.uniform(-90, 90, size)])
    g = np.concatenate([generator.normal(0, 2, size), small, generator.uniform(-80, 80, size)])
    gates = np.concatenate([f, g])[None].astype(np.float32)
    out = np.empty((1, f.size), np.float32)
    gated_units(gates, 0, f.size, out[0])
    f, g = gates[0].astype(np.float64).reshape(2, -1)
    expected = np.tanh(f) / (1 + np.exp(-g))
    normal = np.abs(expected) > np.finfo(np.float32).tiny
    units = np.abs(out[0] - expected) / np.spacing(np.abs(expected).astype(np.float32))
    assert units[normal].max() < 5
    assert np.abs(out[0] - expected)[~normal].max() < 1e-37


def test_gated_units_saturate_and_pass_on_nan() -> None:
    infinity, missing = np.inf, np.nan
    f = [infinity, -infinity, 1e30, 0.0, 1.0, 1.0, 1.0, missing, 0.0]
    g = [infinity, infinity, 1e30, 0.0, -infinity, -1e30, -1000.0, 0.0, missing]
    out = np.empty((1, len(f)), np.float32)
    gated_units(np.array([f + g], np.float32), 0, len(f), out[0])
    assert out[0, :4].tolist() == [1, -1, 1, 0]
    assert (np.abs(out[0, 4:7]) < 1e-37).all()
    assert np.isnan(out[0, 7:]).all()


def test_a_bounded_scale_is_that_of_pytorch() -> None:
    raw = np.linspace(-80, 80, 2001, dtype=np.float32)
    floor = -7.0
    scales = _bounded_scales(raw, np.float32(np.exp(floor)))
    wanted = bound_log_scale(torch.from_numpy(raw).double(), floor).exp().numpy()
    assert np.abs(scales / wanted - 1).max() < 2e-6


@numba.njit
def _bounded_scales(raw: np.ndarray, floor: np.float32) -> np.ndarray:  # pragma: no cover
    return np.array([bounded_scale(value, floor) for value in raw])
