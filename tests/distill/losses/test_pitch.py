"""The loss of a predicted pitch."""

import dataclasses

import pytest
import torch
from torch import Tensor

from distill import (
    Distillation,
    DistillationConfig,
    SpectralConfig,
    check_health,
    multi_resolution_stft,
)
from distill.losses.pitch import BELL, measured_voice, pitch_loss
from student import ExcitationConfig, ExcitedContext, MeasuredVoice, Pitch, StudentConfig
from student.voice.pitch_predictor import BINS_PER_OCTAVE, pitch_bins
from tests.models import (
    EXCITED_STUDENT,
    FRAME_STUDENT,
    HOP,
    STUDENT,
    TEACHER,
    VOICED_STUDENT,
    make_mel,
    make_student,
    make_teacher,
)

SPECTRAL = SpectralConfig(fft_sizes=(64,), hop_lengths=(16,), win_lengths=(64,))
CONFIG = ExcitationConfig(kind="harmonic")
EXCITATION = EXCITED_STUDENT.excitation


def measure_voice(waveform: Tensor) -> MeasuredVoice:
    return measured_voice(waveform, HOP, EXCITATION)


def predicted(hz: Tensor, voicing: Tensor) -> Pitch:
    """Make a prediction with the loss's own bell around a pitch; pitch and voicing are (B, L)."""
    bins = torch.arange(pitch_bins(CONFIG.fmin_hz, CONFIG.fmax_hz))[:, None]
    position = BINS_PER_OCTAVE * (hz / CONFIG.fmin_hz).log2()[:, None]
    return Pitch(hz, voicing, -0.5 * ((bins - position) / BELL).square())


def test_loss_counts_the_pitch_of_voiced_frames_alone() -> None:
    hz = torch.tensor([[100.0, 150.0]])
    voiced = torch.tensor([[True, False]])
    sure = torch.tensor([[20.0, -20.0]])
    assert float(pitch_loss(predicted(hz, sure), hz, voiced, CONFIG)) == pytest.approx(0, abs=1e-6)
    # Between two bells the divergence is half the squared distance in deviations.
    above = hz * 2 ** torch.tensor([[2 / BINS_PER_OCTAVE, 1.0]])
    found = pitch_loss(predicted(above, sure), hz, voiced, CONFIG)
    assert float(found) == pytest.approx((2 / BELL) ** 2 / 2, rel=1e-3)
    wrong = pitch_loss(predicted(hz, -sure), hz, voiced, CONFIG)
    assert float(wrong) == pytest.approx(20.0, rel=1e-6)
    none = pitch_loss(predicted(hz, -sure.abs()), hz, torch.zeros(1, 2).bool(), CONFIG)
    assert float(none) < 1e-6


@pytest.mark.parametrize("counts", [(3, 1), (4, 0), (0, 0)])
def test_the_pitch_term_in_two_processes_is_the_whole_batchs(
    counts: tuple[int, int],
) -> None:
    torch.manual_seed(0)
    hz = 100 + 50 * torch.rand(2, 4, dtype=torch.float64)
    voiced = torch.arange(4) < torch.tensor(counts)[:, None]
    bins = pitch_bins(CONFIG.fmin_hz, CONFIG.fmax_hz)
    voicing = torch.randn(2, 4, dtype=torch.float64)
    scores = torch.randn(2, bins, 4, dtype=torch.float64)
    whole = Pitch(hz, voicing, scores)
    halves = [Pitch(*(part[i : i + 1] for part in whole)) for i in range(2)]
    sums: list[Tensor] = []
    for i, half in enumerate(halves):
        pitch_loss(half, hz[i : i + 1], voiced[i : i + 1], CONFIG, lambda x: sums.append(x) or x)
    found = [
        pitch_loss(half, hz[i : i + 1], voiced[i : i + 1], CONFIG, lambda x: sums[0] + sums[1])
        for i, half in enumerate(halves)
    ]
    expected = pitch_loss(whole, hz, voiced, CONFIG)
    torch.testing.assert_close(torch.stack(found).mean(), expected)


def make_objective(**weights: float) -> Distillation:
    config = DistillationConfig(spectral=SPECTRAL, **weights)
    student = make_student(config=EXCITED_STUDENT)
    return Distillation(student, make_teacher(), config)


def make_batch() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    z = torch.randn(2, 1, 20 * HOP, generator=generator, dtype=torch.float64)
    time = torch.arange(20 * HOP).double() / EXCITED_STUDENT.excitation.sample_rate
    tone = torch.stack([torch.cos(2 * torch.pi * hz * time) for hz in (30.0, 45.0)])
    return z, make_mel(2, 20), 0.1 * tone[:, None]


def test_the_objective_trains_the_pitch_beside_the_sample() -> None:
    objective, batch = make_objective(), make_batch()
    before = objective(*batch)
    sample = objective.student(*batch[:2], measure_voice(batch[2]))
    expected = objective.score(sample, *batch[1:])["loss"] + before["pitch"]
    torch.testing.assert_close(before["loss"], expected)
    before["loss"].backward()
    trained = [p for p in objective.student.parameters() if p.requires_grad]
    assert all(p.grad is not None for p in trained)
    optimizer = torch.optim.Adam(trained, lr=5e-3)
    for _ in range(40):
        optimizer.zero_grad()
        objective(*batch)["loss"].backward()
        optimizer.step()
    after = objective(*batch)
    for name in ("loss", "pitch", "kl"):
        assert float(after[name]) < float(before[name])


def test_the_recordings_own_voice_drives_training_and_the_predicted_one_all_else() -> None:
    objective, (z, mel, recording) = make_objective(), make_batch()
    student = objective.student
    waveforms = {
        training: student(z, mel, measure_voice(recording) if training else None).waveform
        for training in (True, False)
    }
    assert not torch.allclose(*waveforms.values())
    torch.testing.assert_close(waveforms[False], student(z, mel).waveform)
    for training, waveform in waveforms.items():
        objective.train(training)
        distance = multi_resolution_stft(waveform, recording, SPECTRAL)[0]
        found = objective(z, mel, recording)["spectral_convergence"]
        torch.testing.assert_close(found, distance.to(found))


@pytest.mark.parametrize("config", [EXCITED_STUDENT, VOICED_STUDENT], ids=["harmonic", "voice"])
def test_with_a_voice_the_pitch_trains_the_predictor_alone(config: StudentConfig) -> None:
    student, mel = make_student(config=config), make_mel(2, 20)
    context = student.context
    assert isinstance(context, ExcitedContext)
    pitch = context.pitch(context.hidden(mel, 20))
    (pitch.scores.square().sum() + pitch.voicing.sum()).backward()
    parts = [(name.split(".")[0], p.grad) for name, p in context.named_parameters()]
    reached = {part for part, gradient in parts if gradient is not None and gradient.any()}
    assert reached == ({"predictor"} if context.voice is not None else {"predictor", "frames"})
    # The predictor reads the log-mel of its own frame, of the one before and of the ones after.
    margin = context.margin
    for frame in range(20):
        moved = mel.clone()
        moved[..., frame] += 1.0
        changed = (context.pitch(context.hidden(moved, 20)).scores != pitch.scores).any(1)[0]
        seen = [i for i in range(20) if changed[i]]
        assert min(seen) == max(0, frame - margin)
        last = frame + margin - (context.voice is not None)
        if frame not in (0, 19):
            assert max(seen) == min(19, last)


def test_a_pitch_term_without_weight_is_reported_but_not_trained() -> None:
    objective = make_objective(pitch_weight=0.0)
    terms = objective(*make_batch())
    assert not terms["pitch"].requires_grad
    terms["loss"].backward()
    assert isinstance(objective.student.context, ExcitedContext)
    assert objective.student.context.predictor.head.weight.grad is None


def test_health_compares_contexts_without_the_pitch() -> None:
    reports = [check_health(make_objective(pitch_weight=w), *make_batch()) for w in (0.0, 100.0)]
    assert reports[0].values["context_gap"] == reports[1].values["context_gap"]


def test_a_student_without_excitation_has_no_such_term() -> None:
    config = DistillationConfig(spectral=SPECTRAL)
    objective = Distillation(make_student(config=FRAME_STUDENT), make_teacher(), config)
    assert "pitch" not in objective(*make_batch())


@pytest.mark.parametrize("filter_order", [0, 5])
def test_filters_learn_beside_the_pitch_without_a_sample(filter_order: int) -> None:
    student = make_student(config=dataclasses.replace(VOICED_STUDENT, filter_order=filter_order))
    config = DistillationConfig(spectral=SPECTRAL, voice_weight=2.0)
    objective = Distillation(student, make_teacher(), config)
    _, mel, recording = make_batch()
    before = objective.score_excitation(mel, recording)
    assert set(before) == {"loss", "pitch", "voice"}
    torch.testing.assert_close(before["loss"], before["pitch"] + 2 * before["voice"])
    before["loss"].backward()
    context = student.context
    assert isinstance(context, ExcitedContext)
    assert context.voice is not None
    learnt = [*context.frames.parameters(), *context.voice.parameters()]
    learnt += [*context.predictor.parameters()]
    assert all(p.grad is not None for p in learnt)
    assert all(p.grad is None for network in student.parts.networks for p in network.parameters())
    optimizer = torch.optim.Adam(learnt, lr=5e-3)
    for _ in range(40):
        optimizer.zero_grad()
        objective.score_excitation(mel, recording)["loss"].backward()
        optimizer.step()
    after = objective.score_excitation(mel, recording)
    for name in ("pitch", "voice"):
        assert float(after[name]) < 0.9 * float(before[name])
    whole = objective(*make_batch())
    sample = student(*make_batch()[:2], measure_voice(recording))
    torch.testing.assert_close(
        whole["loss"], objective.score(sample, mel, recording)["loss"] + after["loss"]
    )


def test_the_voice_of_a_recording_is_measured_where_the_student_reads_it() -> None:
    _, _, recording = make_batch()
    found = measured_voice(recording, HOP, EXCITATION)
    assert found.hz.shape == found.voiced.shape == (2, 20)
    assert found.energy.shape == (2, 20 * HOP)
    middle = found.hz[:, 5:15].median(1).values
    torch.testing.assert_close(middle, torch.tensor([30.0, 45.0]).double(), rtol=0.03, atol=0)


@pytest.mark.parametrize("config", [EXCITED_STUDENT, VOICED_STUDENT], ids=["excited", "voiced"])
def test_the_context_network_runs_once_a_step(config: StudentConfig) -> None:
    student = make_student(config=dataclasses.replace(config, filter_order=5))
    objective = Distillation(student, make_teacher(), DistillationConfig(spectral=SPECTRAL))
    runs: list[None] = []
    student.frame_context.register_forward_hook(lambda *_: runs.append(None))
    z, mel, recording = make_batch()
    for training in (True, False):
        runs.clear()
        objective.train(training)
        terms = objective(z, mel, recording)
        assert len(runs) == 1
    sample = student(z, mel)  # which runs the network by itself
    torch.testing.assert_close(
        objective.score(sample, mel, recording)["kl"], terms["kl"], rtol=0, atol=0
    )
    runs.clear()
    objective.score_excitation(mel, recording)
    assert len(runs) == 1


def test_a_given_pitch_is_not_learnt() -> None:
    student = make_student(config=dataclasses.replace(EXCITED_STUDENT, pitch=True))
    teacher = make_teacher(config=dataclasses.replace(TEACHER, pitch=True))
    config = DistillationConfig(spectral=SPECTRAL)
    objective = Distillation(student, teacher, config)
    z, mel, recording = make_batch()
    terms = objective(
        z, torch.cat([mel, torch.full((2, 1, 20), 5.0), torch.ones(2, 1, 20)], 1), recording
    )
    assert "pitch" not in terms
    terms["loss"].backward()
    trained = [p for p in student.parameters() if p.requires_grad]
    assert all(p.grad is not None for p in trained)


def test_models_are_given_the_pitch_both_or_neither() -> None:
    student = make_student(config=dataclasses.replace(STUDENT, pitch=True))
    with pytest.raises(ValueError, match=r"student\.pitch is True, but the teacher's is False"):
        Distillation(student, make_teacher(), DistillationConfig(spectral=SPECTRAL))
