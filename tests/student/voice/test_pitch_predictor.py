"""The predicted pitch: a bin, refined by its neighbours."""

import pytest
import torch

from student.voice.pitch_predictor import BINS_PER_OCTAVE, PitchPredictor, pitch_bins

FMIN, FMAX = 60.0, 400.0


def make_predictor() -> PitchPredictor:
    torch.manual_seed(0)
    return PitchPredictor(6, FMIN, FMAX)


def test_bins_cover_the_range() -> None:
    last = FMIN * 2 ** ((pitch_bins(FMIN, FMAX) - 1) / BINS_PER_OCTAVE)
    assert FMAX <= last < FMAX * 2 ** (1 / BINS_PER_OCTAVE)


@pytest.mark.parametrize("share", [0.5, 0.8])
def test_neighbours_refine_the_best_bin_and_far_ones_do_not(share: float) -> None:
    predictor = make_predictor()
    assert predictor.head.bias is not None
    with torch.no_grad():
        predictor.head.weight.zero_()
        predictor.head.bias.fill_(-50.0)
        predictor.head.bias[1 + 20] = torch.tensor(share + 1e-4).log()
        predictor.head.bias[1 + 21] = torch.tensor(1 - share).log()
        predictor.head.bias[1 + 60] = torch.tensor(share).log()
    with torch.no_grad():
        pitch = predictor(torch.zeros(1, 6, 1))
    expected = FMIN * 2 ** ((20 + 1 - share) / BINS_PER_OCTAVE)
    assert float(pitch.hz) == pytest.approx(expected, rel=1e-4)


def test_pitch_keeps_to_its_range() -> None:
    with torch.no_grad():
        hz = make_predictor()(100 * torch.randn(1, 6, 200)).hz
    assert FMIN <= float(hz.min()) < float(hz.max()) <= FMAX


def test_mixed_precision_does_not_round_the_pitch() -> None:
    predictor, hidden = make_predictor(), torch.randn(1, 6, 20)
    expected = predictor(hidden).hz
    with torch.autocast("cpu", torch.bfloat16):
        found = predictor(hidden).hz
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_voicing_reads_the_layers_through_their_slope() -> None:
    # Trained weights mean nothing under another slope.
    predictor = make_predictor()
    with torch.no_grad():
        for layer in [*predictor.layers, predictor.head]:
            layer.weight.zero_()
            layer.bias.zero_()
        for layer in predictor.layers:
            layer.weight.diagonal().fill_(1.0)
        predictor.head.weight[0] = 1.0
        predictor.head.bias[0] = 0.5
        voicing = predictor(torch.tensor([[3.0], [-2.0], [0.0], [0.0], [0.0], [0.0]])[None]).voicing
    assert float(voicing) == pytest.approx(0.5 + 3.0 - 0.2**3 * 2.0)
