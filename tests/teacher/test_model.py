"""The teacher: exact likelihood, one floor, cached sampling."""

import math
from unittest import mock

import pytest
import torch

from teacher import Teacher, TeacherConfig
from tests.models import HOP, TEACHER, make_mel, make_teacher


def test_log_prob_is_the_sum_of_predicted_gaussians() -> None:
    teacher, mel = make_teacher(), make_mel()
    x = 0.3 * torch.randn(2, 1, 6 * HOP, dtype=torch.float64)
    loc, log_scale = teacher.predict(x, mel)
    expected = torch.distributions.Normal(loc, log_scale.exp()).log_prob(x).sum((1, 2))
    torch.testing.assert_close(teacher.log_prob(x, mel), expected)


def test_likelihood_prediction_and_sampling_have_one_log_scale_floor() -> None:
    # Public implementations clamp at different floors in likelihood, KL and sampling.
    teacher, mel = make_teacher(), make_mel()
    with torch.no_grad():
        teacher.wavenet.head.weight.zero_()
        teacher.wavenet.frame_params.weight.zero_()  # type: ignore[union-attr]
        teacher.wavenet.head.bias.copy_(torch.tensor([0.0, -100.0]))
    floor = TEACHER.log_scale_floor
    x = torch.zeros(2, 1, 6 * HOP, dtype=torch.float64)
    _, log_scale = teacher.predict(x, mel)
    torch.testing.assert_close(log_scale, torch.full_like(log_scale, floor))
    per_sample = -floor - 0.5 * math.log(2 * math.pi)
    torch.testing.assert_close(
        teacher.log_prob(x, mel), torch.full((2,), per_sample * 6 * HOP, dtype=torch.float64)
    )
    many = torch.cat(
        [teacher.sample(mel, generator=torch.Generator().manual_seed(i)) for i in range(9)]
    )
    assert float(many.std()) == pytest.approx(math.exp(floor), rel=0.1)


def test_sampling_inverts_the_likelihoods_transform() -> None:
    teacher, mel = make_teacher(), make_mel()
    x = teacher.sample(mel, generator=torch.Generator().manual_seed(3))
    generator = torch.Generator().manual_seed(3)
    noise = torch.empty_like(x).normal_(generator=generator)
    z, _ = teacher.flow.transform(x, teacher.context(mel, mel.shape[-1]))
    torch.testing.assert_close(z, noise)


def test_sampling_never_reruns_the_receptive_field() -> None:
    # Public implementations take minutes per second of audio because they do.
    teacher, mel = make_teacher(), make_mel()
    with (
        mock.patch.object(type(teacher.wavenet), "forward", side_effect=AssertionError),
        mock.patch.object(teacher.wavenet, "step", wraps=teacher.wavenet.step) as step,
    ):
        x = teacher.sample(mel)
    assert step.call_count == x.shape[-1]


def test_margins_replace_padding_by_the_true_neighbours() -> None:
    teacher = make_teacher()
    margin = TEACHER.context_margin
    mel = make_mel(frames=8)
    x = 0.3 * torch.randn(2, 1, 6 * HOP, dtype=torch.float64)
    inner = slice(margin, -margin)
    with_neighbours = teacher.predict(x, mel)[0]
    without = teacher.predict(x, mel[..., inner])[0]
    middle = slice(HOP, -HOP)
    torch.testing.assert_close(
        teacher.context(mel, 6)[..., 1:-1], teacher.context(mel[..., inner], 6)[..., 1:-1]
    )
    assert (with_neighbours - without)[..., :HOP].abs().max() > 1e-6
    assert with_neighbours[..., middle].shape == without[..., middle].shape


def test_context_frames_serve_their_own_samples_only() -> None:
    # A frame does not reach samples outside its margin: look-ahead is context_margin frames.
    teacher = make_teacher()
    mel = make_mel(batch=1).requires_grad_()
    x = torch.zeros(1, 1, 6 * HOP, dtype=torch.float64)
    (gradient,) = torch.autograd.grad(teacher.predict(x, mel)[0][..., 2 * HOP + 1].sum(), mel)
    reach = gradient[0].abs().sum(0) > 0
    assert reach.tolist()[4:] == [False, False]
    assert reach[1:4].all()


@pytest.mark.parametrize(
    ("samples", "bands", "frames"), [(47, 4, 6), (48, 5, 6), (48, 4, 7), (48, 4, 5)]
)
def test_shapes_that_do_not_fit_are_refused(samples: int, bands: int, frames: int) -> None:
    teacher = make_teacher()
    x = torch.zeros(1, 1, samples, dtype=torch.float64)
    mel = torch.zeros(1, bands, frames, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"expected (a multiple of 8|\(B, 4, 6\))"):
        teacher.log_prob(x, mel)


def test_statistics_normalise_the_mel() -> None:
    teacher, mel = make_teacher(), make_mel()
    scaled = Teacher(TEACHER).double().eval()
    scaled.load_state_dict(teacher.state_dict())
    scaled.context.set_statistics(torch.full((4,), 3.0), torch.full((4,), 2.0))  # the mel alone
    x = torch.zeros(2, 1, 6 * HOP, dtype=torch.float64)
    torch.testing.assert_close(scaled.predict(x, 2 * mel + 3)[0], teacher.predict(x, mel)[0])


def test_config_errors_name_the_field() -> None:
    with pytest.raises(ValueError, match=r"teacher\.num_mels is 0"):
        TeacherConfig(num_mels=0)
