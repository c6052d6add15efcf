"""The student: its sample's own distribution, and the duality with the teacher's direction."""

import dataclasses
import json
import math
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from flows import folded_state
from student import Student, StudentConfig
from student.rendering import draw_frames
from tests.models import (
    FILTERED_STUDENT,
    HOP,
    LOGISTIC_STUDENT,
    STUDENT,
    VOICED_STUDENT,
    make_mel,
    make_student,
)


@pytest.fixture(
    params=[STUDENT, FILTERED_STUDENT, LOGISTIC_STUDENT], ids=["plain", "filtered", "logistic"]
)
def student(request: pytest.FixtureRequest) -> Student:
    return make_student(config=request.param)


def noise(batch: int = 2, frames: int = 6, seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, 1, frames * HOP, generator=generator, dtype=torch.float64)


def test_inverse_recovers_the_noise(student: Student) -> None:
    # MAF and IAF are one object: the slow direction of the student is a likelihood.
    mel, z = make_mel(), noise()
    x = student(z, mel).waveform
    torch.testing.assert_close(student.encode(x, mel), z)


def test_jacobian_is_triangular_with_the_scale_on_its_diagonal(student: Student) -> None:
    # Five public repositories compute the scale from z_<=t; there this test would fail.
    mel, z = make_mel(batch=1), noise(batch=1)
    jacobian = torch.autograd.functional.jacobian(
        lambda flat: student(flat.view_as(z), mel).waveform.flatten(), z.flatten()
    )
    torch.testing.assert_close(jacobian.diagonal().log(), student(z, mel).log_scale.flatten())
    assert jacobian.triu(1).abs().max() == 0


def test_location_and_scale_depend_on_earlier_noise_only(student: Student) -> None:
    mel, z = make_mel(), noise()
    t = 20
    changed = z.clone()
    changed[..., t:] += 1.0
    before, after = student(z, mel), student(changed, mel)
    for name in ("loc", "log_scale"):
        torch.testing.assert_close(
            getattr(before, name)[..., : t + 1], getattr(after, name)[..., : t + 1]
        )
        assert not torch.allclose(
            getattr(before, name)[..., t + 1], getattr(after, name)[..., t + 1]
        )


def test_sample_is_location_plus_scaled_noise(student: Student) -> None:
    mel, z = make_mel(), noise()
    sample = student(z, mel)
    torch.testing.assert_close(sample.waveform, sample.loc + sample.log_scale.exp() * z)
    torch.testing.assert_close(sample.log_scale, torch.stack(sample.flow_log_scales).sum(0))


def test_training_pass_and_flow_sampling_are_the_same_function(student: Student) -> None:
    mel = make_mel()
    x = student.sample(mel, generator=torch.Generator().manual_seed(1))
    z = draw_frames(student.flow.base, x, 6, HOP, torch.Generator().manual_seed(1))
    torch.testing.assert_close(x, student(z, mel).waveform)


def test_receptive_field_is_the_sum_of_the_flows(student: Student) -> None:
    config = student.config
    networks = sum(c.receptive_field for c in config.wavenets)
    assert student.receptive_field == networks + config.filter_order
    frames = student.receptive_field // HOP + 3
    z, mel = noise(batch=1, frames=frames).requires_grad_(), make_mel(batch=1, frames=frames)
    t = frames * HOP - 1
    (gradient,) = torch.autograd.grad(student(z, mel).loc[0, 0, t], z)
    reach = gradient[0, 0].abs() > 0
    first = t - student.receptive_field
    assert not reach[t:].any()
    assert not reach[:first].any()
    assert reach[first:t].all()


@pytest.mark.parametrize("config", [STUDENT, LOGISTIC_STUDENT], ids=["gaussian", "logistic"])
@pytest.mark.parametrize("std", [0.01, 0.1, 1.0])
def test_samples_of_an_untrained_student_have_the_wanted_deviation(
    std: float, config: StudentConfig
) -> None:
    torch.manual_seed(0)
    student = Student(config)
    student.set_initial_std(std)
    x = student.sample(make_mel(batch=4, frames=60).float())
    assert float(x.std()) == pytest.approx(std, rel=0.15)


def test_a_deviation_below_the_smallest_scale_is_refused() -> None:
    with pytest.raises(ValueError, match=r"std is 1e-09, expected more than"):
        Student(STUDENT).set_initial_std(1e-9)


def test_temperature_zero_is_the_location(student: Student) -> None:
    mel = make_mel()
    torch.testing.assert_close(student.sample(mel, temperature=0.0), student(0 * noise(), mel).loc)


@pytest.mark.parametrize("config", [STUDENT, LOGISTIC_STUDENT], ids=["gaussian", "logistic"])
def test_density_of_a_sample_equals_its_own_distributions(config: StudentConfig) -> None:
    # The step-by-step triple, and the flow's change of variables, are the same density.
    student = make_student(config=config)
    mel, z = make_mel(), noise()
    sample = student(z, mel)
    laws = {
        "gaussian": torch.distributions.Normal(0.0, 1.0),
        "logistic": torch.distributions.TransformedDistribution(
            torch.distributions.Uniform(torch.zeros(()).double(), torch.ones(()).double()),
            [torch.distributions.SigmoidTransform().inv],
        ),
    }
    standardised = (sample.waveform - sample.loc) / sample.log_scale.exp()
    log_prob = laws[config.base].log_prob(standardised) - sample.log_scale
    flow = student.log_prob(sample.waveform, mel)
    torch.testing.assert_close(log_prob.sum((1, 2)), flow)


def test_published_shape_has_sixty_layers() -> None:
    sizes = StudentConfig().wavenets
    assert [size.num_layers for size in sizes] == [10, 10, 10, 30]
    assert sizes[3].dilations == tuple(2**i for i in range(10)) * 3


def test_config_errors_name_the_field() -> None:
    for values, message in (
        ({"flow_layers": ()}, r"student\.flow_layers is empty"),
        ({"initial_std": math.exp(-8)}, r"student\.initial_std"),
        ({"filter_order": -1}, r"student\.filter_order is -1"),
        ({"base": "cauchy"}, r"student\.base is 'cauchy', expected one of 'gaussian', 'logistic'"),
        ({"hop_length": 0}, r"student\.hop_length is 0"),
    ):
        with pytest.raises(ValueError, match=message):
            StudentConfig(**values)


def test_weights_of_earlier_versions_keep_their_places(tmp_path: Path) -> None:
    # Version 0.1 wrapped each step of a student with a voice and a filter once more.
    config = dataclasses.replace(VOICED_STUDENT, filter_order=5)
    student = make_student(config=config).float()
    student.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    earlier = {
        re.sub(r"(transforms\.\d+\.transform)(?=\.(conditioner|bias))", r"\1.transform", name): part
        for name, part in weights.items()
    }
    assert len(earlier.keys() - weights.keys()) > 10
    assert Student.current_names(earlier).keys() == weights.keys()
    assert Student.current_names(weights).keys() == weights.keys()
    save_file(earlier, tmp_path / "model.safetensors")
    described = json.loads((tmp_path / "config.json").read_text())
    del described["weights_sha256"]
    (tmp_path / "config.json").write_text(json.dumps(described))
    loaded = Student.from_pretrained(tmp_path)
    expected = folded_state(student)
    assert all(torch.equal(part, expected[name]) for name, part in loaded.state_dict().items())
