"""The learning rate of a step."""

import pytest

from pipelines import TrainingConfig
from pipelines.training.schedule import learning_rate_at


def test_learning_rate_warms_up_and_decays() -> None:
    config = TrainingConfig(
        max_steps=110, warmup_steps=10, learning_rate=1.0, final_learning_rate_ratio=0.1
    )
    rates = [learning_rate_at(step, config) for step in range(110)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == rates[10] == 1.0
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert learning_rate_at(110, config) == pytest.approx(0.1)
