"""Dither."""

import numpy as np
import pytest
import torch

from data import dither


def test_dither_is_uniform_within_half_a_step() -> None:
    noise = dither(torch.zeros(1, 1, 100000, dtype=torch.float64), np.random.default_rng(0)) * 32768
    assert noise.abs().max() <= 0.5
    assert noise.std() == pytest.approx(12**-0.5, rel=0.01)
    assert noise.mean() == pytest.approx(0, abs=0.005)
