"""The mixture teacher: the Gaussian teacher's flow with another transformer."""

import dataclasses
import json
import math
from functools import partial
from pathlib import Path

import pytest
import torch

from flows import (
    discretised_log_prob,
    mixture_log_prob,
)
from flows.logistic_mixture import sample_mixture
from teacher import Teacher, TeacherConfig, sixteen_bit_log_prob
from tests.models import HOP, MIXTURE_TEACHER, TEACHER, make_mel, make_teacher

FRAMES = 6
FLOOR = -7.0 - math.log(math.pi / math.sqrt(3))
"""Of the logistics' scales: that of a Gaussian's deviation is -7."""


@pytest.fixture
def teacher() -> Teacher:
    return make_teacher(config=MIXTURE_TEACHER)


def waveform() -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    return 0.3 * torch.randn(2, 1, FRAMES * HOP, generator=generator, dtype=torch.float64)


def test_log_prob_is_the_sum_of_predicted_mixtures(teacher: Teacher) -> None:
    x, mel = waveform(), make_mel()
    expected = mixture_log_prob(x, teacher.prediction(x, mel).params, FLOOR).sum((1, 2))
    torch.testing.assert_close(teacher.log_prob(x, mel), expected)


@pytest.mark.parametrize("config", [TEACHER, MIXTURE_TEACHER], ids=["gaussian", "mixture"])
def test_the_distributions_density_equals_the_flows(config: TeacherConfig) -> None:
    teacher, x, mel = make_teacher(config=config), waveform(), make_mel()
    log_prob = teacher.distribution.log_prob(x, teacher.prediction(x, mel).params)
    torch.testing.assert_close(log_prob.sum((1, 2)), teacher.log_prob(x, mel))


@pytest.mark.parametrize("config", [TEACHER, MIXTURE_TEACHER], ids=["gaussian", "mixture"])
def test_density_of_many_draws_takes_one_prediction(config: TeacherConfig) -> None:
    teacher, x, mel = make_teacher(config=config), waveform(), make_mel()
    params = teacher.prediction(x, mel).params
    draws = torch.stack([x, x + 0.1, x - 0.2], -1)
    found = teacher.distribution.log_prob(draws, params[..., None])
    expected = [teacher.distribution.log_prob(draw, params) for draw in draws.unbind(-1)]
    torch.testing.assert_close(found, torch.stack(expected, -1))


def test_samples_are_drawn_from_the_parallel_passs_prediction(teacher: Teacher) -> None:
    mel = make_mel()
    x = teacher.sample(mel, generator=torch.Generator().manual_seed(5))
    generator = torch.Generator().manual_seed(5)
    choice = torch.empty_like(x).uniform_(generator=generator)
    noise = teacher.flow.base.sample(x, generator)
    drawn = sample_mixture(teacher.prediction(x, mel).params, choice, noise, FLOOR)
    torch.testing.assert_close(drawn, x)


def test_temperature_shrinks_the_samples_towards_locations(teacher: Teacher) -> None:
    mel = make_mel()
    x = teacher.sample(mel, temperature=0.0)
    locations = teacher.prediction(x, mel).params[:, list(teacher.distribution.locations)]
    assert (locations - x[:, None]).abs().amin(1).max() < 1e-9


def test_the_flow_still_encodes_and_decodes(teacher: Teacher) -> None:
    mel = make_mel()
    frames = teacher.context(mel, mel.shape[-1])
    z, _ = teacher.flow.transform(waveform(), frames)
    torch.testing.assert_close(teacher.flow.transform.inverse(z, frames)[0], waveform())


def test_gaussian_and_mixture_have_one_floor_of_the_deviation() -> None:
    # With one floor of the scale instead, the mixture lost 0.4 nats per sample of silence.
    for config in (TEACHER, MIXTURE_TEACHER):
        teacher = make_teacher(config=config)
        params = torch.full((1, teacher.transformer.num_params, 1), -100.0, dtype=torch.float64)
        floor = torch.full((1, 1), config.log_scale_floor, dtype=torch.float64)
        torch.testing.assert_close(teacher.distribution.log_std(params), floor)
        stds = teacher.distribution.component_log_stds(params)
        torch.testing.assert_close(stds, floor[:, None].expand_as(stds))


def test_linear_prediction_moves_every_location_and_nothing_else() -> None:
    wavenet = dataclasses.replace(TEACHER.wavenet, prediction_order=3)
    config = dataclasses.replace(MIXTURE_TEACHER, wavenet=wavenet)
    teacher, x, mel = make_teacher(config=config), waveform(), make_mel()
    prediction = teacher.wavenet.prediction
    assert prediction is not None
    params = teacher.prediction(x, mel).params
    with torch.no_grad():  # the network reads the prediction, too: silence it there
        teacher.wavenet.head.weight.zero_()
    with_prediction = teacher.prediction(x, mel).params
    shift = prediction(x, teacher.context(mel, FRAMES))[:, None]
    teacher.wavenet.prediction = None
    teacher.wavenet.first = torch.nn.Conv1d(1, teacher.config.wavenet.residual_channels, 1).double()
    moved = with_prediction - teacher.prediction(x, mel).params
    k = config.num_components
    zero = torch.zeros_like(shift).expand(-1, k, -1, -1)
    torch.testing.assert_close(moved, torch.cat([zero, shift.expand(-1, k, -1, -1), zero], 1))
    assert params.shape == moved.shape


def test_a_fresh_mixture_starts_near_the_data() -> None:
    torch.manual_seed(0)
    teacher = Teacher(MIXTURE_TEACHER)
    std = 0.07
    teacher.set_statistics(torch.zeros(4), torch.ones(4), std)
    scale = std / math.sqrt(2)
    x = torch.distributions.Laplace(0.0, scale).sample((4, 1, 100 * HOP))
    nats = -teacher.log_prob(x, make_mel(4, 100).float()).mean() / x.shape[-1]
    entropy = 1 + math.log(2 * scale)
    assert float(nats) < entropy + 0.3


def test_discretised_likelihood_is_the_probability_of_the_rounded_waveform() -> None:
    teacher, mel = make_teacher(config=MIXTURE_TEACHER), make_mel()
    rounded = torch.round(waveform() * 2**15) / 2**15
    dithered = rounded + (torch.rand_like(rounded) - 0.5) * 0.999 / 2**15
    params = teacher.prediction(rounded, mel).params
    expected = discretised_log_prob(rounded, params, log_scale_floor=FLOOR).sum((1, 2))
    assert (expected < 0).all()
    for x in (rounded, dithered):
        torch.testing.assert_close(sixteen_bit_log_prob(teacher, x, mel), expected)


def test_samples_beyond_full_scale_are_the_last_16_bit_steps() -> None:
    teacher, mel = make_teacher(config=MIXTURE_TEACHER), make_mel()
    beyond, last = waveform(), waveform()
    for place, value, step in ((7, 1.0, 2**15 - 1), (30, 1.5, 2**15 - 1), (40, -2.0, -(2**15))):
        beyond[..., place], last[..., place] = value, step / 2**15
    last = torch.round(last * 2**15) / 2**15
    params = teacher.prediction(last, mel).params
    expected = discretised_log_prob(last, params, log_scale_floor=FLOOR).sum((1, 2))
    torch.testing.assert_close(sixteen_bit_log_prob(teacher, beyond, mel), expected)


def test_options_of_another_distribution_are_refused() -> None:
    gaussian, mixture = make_teacher(), make_teacher(config=MIXTURE_TEACHER)
    with pytest.raises(ValueError, match="'mixture': only a 'gaussian' has one location"):
        mixture.predict(waveform(), make_mel())
    with pytest.raises(ValueError, match="'gaussian': the probability of 16-bit steps"):
        sixteen_bit_log_prob(gaussian, waveform(), make_mel())
    filtered = make_teacher(config=dataclasses.replace(MIXTURE_TEACHER, filter_order=8))
    with pytest.raises(ValueError, match="filter_order is 8, expected 0: the probability"):
        sixteen_bit_log_prob(filtered, waveform(), make_mel())


def test_config_errors_name_the_field() -> None:
    for values, message in (
        ({"distribution": "cauchy"}, r"teacher\.distribution is 'cauchy'"),
        ({"distribution": "mixture", "num_components": 0}, r"teacher\.num_components is 0"),
        ({"discretised": True}, r"teacher\.discretised needs .* 'mixture', got 'gaussian'"),
    ):
        with pytest.raises(ValueError, match=message):
            TeacherConfig(**values)


def test_artefacts_from_before_there_were_mixtures_load(tmp_path: Path) -> None:
    teacher = make_teacher().float()
    teacher.save_pretrained(tmp_path)
    described = json.loads((tmp_path / "config.json").read_text())
    for name in ("distribution", "num_components", "discretised"):
        del described["config"][name]
    (tmp_path / "config.json").write_text(json.dumps(described))
    loaded, x, mel = Teacher.from_pretrained(tmp_path), waveform().float(), make_mel().float()
    torch.testing.assert_close(loaded.log_prob(x, mel), teacher.log_prob(x, mel))


def test_a_saved_mixture_loads_unchanged(teacher: Teacher, tmp_path: Path) -> None:
    teacher.float().save_pretrained(tmp_path)
    loaded = Teacher.from_pretrained(tmp_path)
    assert loaded.config == MIXTURE_TEACHER
    x, mel = waveform().float(), make_mel().float()
    torch.testing.assert_close(loaded.log_prob(x, mel), teacher.log_prob(x, mel))


@pytest.mark.parametrize("discretised", [False, True])
def test_a_few_steps_of_training_raise_the_likelihood(discretised: bool) -> None:
    torch.manual_seed(0)
    config = dataclasses.replace(MIXTURE_TEACHER, discretised=discretised)
    teacher, mel, x = Teacher(config).double(), make_mel(), 0.3 * waveform()
    teacher.set_statistics(torch.zeros(4), torch.ones(4), float(x.std()))
    measure = partial(sixteen_bit_log_prob, teacher) if discretised else teacher.log_prob
    optimizer = torch.optim.Adam(teacher.parameters(), lr=3e-3)
    before = measure(x, mel).mean()
    for _ in range(30):
        optimizer.zero_grad()
        (-measure(x, mel).mean() / x.shape[-1]).backward()
        optimizer.step()
    assert measure(x, mel).mean() > before + 0.1 * x.shape[-1]
