"""What values cannot be of a model's convention, and which convention they look like."""

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch

from data import (
    ConventionError,
    MelConfig,
    MelStatistics,
    check_convention,
    check_limits,
    log_mel,
)
from data.corpora.synthetic import speech_like
from dsp.mel_plausibility import value_limits

MEL = MelConfig()
COMMON = MelConfig(log_base="10")
Array = npt.NDArray[np.float64]


def frames(config: MelConfig = MEL, gain: float = 1.0, seed: int = 0) -> Array:
    waveform = gain * speech_like(2 * 16000, 16000, np.random.default_rng(seed))
    return log_mel(torch.from_numpy(waveform.clip(-1, 1))[None, None], config)[0].numpy()


def statistics(config: MelConfig = MEL) -> MelStatistics:
    corpus = np.concatenate([frames(config, seed=seed) for seed in range(4)], 1)
    return MelStatistics(corpus.mean(1, keepdims=True), corpus.std(1, keepdims=True))


TRAINED = statistics()
DB = 20 * math.log10(math.e)
WRONG = {
    "log10": (frames() / math.log(10), "like log10 or espnet$"),
    "quiet log10": (frames(gain=0.3) / math.log(10), "like log10 or espnet$"),
    "db": (frames() * DB, "like db"),
    "normalised": ((frames() - frames().mean()) / frames().std(), "normalised"),
    "no logarithm": (np.exp(frames()), "as if no logarithm had been taken$"),
}


@pytest.mark.parametrize("gain", [0.1, 1.0, 3.0])
def test_speech_of_any_level_can_be_of_the_models_convention(gain: float) -> None:
    check_convention(frames(gain=gain, seed=9), None, MEL, TRAINED)


def test_silence_and_hiss_can_be_of_the_models_convention() -> None:
    hiss = 0.03 * np.random.default_rng(0).standard_normal(16000)
    for waveform in (np.zeros(16000), hiss, np.sin(0.1 * np.arange(16000))):
        values = log_mel(torch.from_numpy(waveform)[None, None], MEL)[0].numpy()
        check_convention(values, None, MEL, TRAINED)


@pytest.mark.parametrize("name", WRONG)
def test_values_of_another_convention_are_refused_and_named(name: str) -> None:
    values, message = WRONG[name]
    with pytest.raises(ConventionError, match=message) as caught:
        check_convention(values, None, MEL, TRAINED)
    assert f"{values.min():.4g} to {values.max():.4g}" in str(caught.value)


def test_a_convention_given_by_a_wrong_name_is_refused() -> None:
    check_convention(frames() * DB, "db", MEL, TRAINED)
    with pytest.raises(ConventionError, match=r"of convention db lie .* like hifigan or tacotron2"):
        check_convention(frames(), "db", MEL, TRAINED)
    with pytest.raises(ConventionError, match=r"of convention tacotron2 lie .* like log10 or esp"):
        check_convention(frames() / math.log(10), "tacotron2", MEL, TRAINED)


def test_natural_logarithms_are_refused_by_a_model_of_common_ones() -> None:
    check_convention(frames(COMMON), None, COMMON, statistics(COMMON))
    with pytest.raises(ConventionError, match=r"like hifigan or tacotron2$"):
        check_convention(frames(), None, COMMON, statistics(COMMON))


def test_without_statistics_only_what_no_waveform_has_is_refused() -> None:
    check_convention(frames() / math.log(10), None, MEL, None)
    with pytest.raises(ConventionError, match=r"holds values from .* lie between -11\.5 and 3\.53"):
        check_convention(frames() * DB, None, MEL, None)


def test_no_waveform_exceeds_the_limits() -> None:
    low, high = value_limits(MEL)
    for waveform in (np.ones(4096), np.sign(np.sin(0.4 * np.arange(4096))), np.zeros(4096)):
        values = log_mel(torch.from_numpy(waveform)[None, None], MEL)[0].numpy()
        assert low - 1e-9 <= values.min() <= values.max() <= high
    check_limits(np.array([[low - 1.9, high + 1.9]]), None, MEL)
    for value in (low - 2.1, high + 2.1):
        with pytest.raises(ConventionError, match="of the model lie between"):
            check_limits(np.array([[value]]), None, MEL)


def test_a_network_may_fall_below_the_floor_now_and_then() -> None:
    values = frames()
    lowest = np.argsort(values, axis=None)[: values.size // 100]
    values.flat[lowest] = value_limits(MEL)[0] - 5
    check_convention(values, "tacotron2", MEL, TRAINED)
    values.flat[np.argsort(values, axis=None)[: values.size // 20]] = value_limits(MEL)[0] - 5
    with pytest.raises(ConventionError, match=r"holds values from -16\.51"):
        check_convention(values, "tacotron2", MEL, TRAINED)
