"""A signal in chunks: a causal network's joined results equal one pass over the whole."""

import itertools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from flows import CausalConvolution, Past, WaveNet, WaveNetConfig
from flows.networks import gated

HIDDEN, HOP, FRAMES = 3, 4, 23
SKIPS = WaveNetConfig(num_layers=4, layers_per_cycle=4, residual_channels=6, skip_channels=5)
NO_SKIPS = WaveNetConfig(
    num_layers=3, layers_per_cycle=3, kernel_size=3, residual_channels=6, skip_channels=0
)
PREDICTING = WaveNetConfig(num_layers=2, residual_channels=6, skip_channels=5, prediction_order=7)

Network = Callable[[Tensor, Tensor | None, Past | None], Tensor]


def make(name: str, context: int) -> Network:
    torch.manual_seed(0)
    if name == "convolution":
        convolution = CausalConvolution(9, 2, context).double()
        with torch.no_grad():
            convolution.bias.normal_(std=0.3)
        return lambda x, frames, past: torch.stack(
            convolution.shift_and_log_scale(x, frames, past), 1
        )
    config = {"skips": SKIPS, "no_skips": NO_SKIPS, "predicting": PREDICTING}[name]
    network = WaveNet(config, 2, 2, context).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network


@pytest.mark.parametrize("name", ["skips", "no_skips", "predicting", "convolution"])
@pytest.mark.parametrize("context", [0, HIDDEN])
@pytest.mark.parametrize("sizes", [[1], [2, 1, 5], [FRAMES - 1, 1]])
@pytest.mark.parametrize("in_rows", [False, True])
def test_chunks_join_to_the_whole(
    name: str, context: int, sizes: list[int], in_rows: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gated, "prefers_rows", lambda h: in_rows)
    network = make(name, context)
    x = torch.randn(2, 2, FRAMES * HOP, dtype=torch.float64)
    frames = torch.randn(2, HIDDEN, FRAMES, dtype=torch.float64) if context else None
    past, joined, start = Past(), [], 0
    for size in itertools.cycle(sizes):
        end = min(start + size, FRAMES)
        with past:
            part = None if frames is None else frames[..., start:end]
            joined.append(network(x[..., start * HOP : end * HOP], part, past))
        start = end
        if start == FRAMES:
            break
    torch.testing.assert_close(torch.cat(joined, -1), network(x, frames, None))


def test_the_streaming_state_does_not_grow() -> None:
    network = make("skips", 0)
    past = Past()
    sizes = set()
    for _ in range(5):
        with past:
            network(torch.randn(1, 2, 40, dtype=torch.float64), None, past)
        sizes.add(sum(kept.untyped_storage().nbytes() for kept in past._kept))
    assert len(sizes) == 1


@pytest.mark.parametrize("length", [1, 4, 9])
def test_the_past_of_a_chunk_is_the_end_of_the_chunks_before(length: int) -> None:
    x, alone, in_front = torch.randn(2, 3, 20), Past(), Past()
    for chunk in x.split([1, 6, 2, 11], -1):
        with alone, in_front:
            expected = in_front.before(chunk, length)[..., :length]
            assert torch.equal(alone.swap(chunk, length), expected)


def test_an_error_within_a_pass_is_not_hidden() -> None:
    network, x, past = make("no_skips", 0), torch.zeros(1, 2, 8, dtype=torch.float64), Past()
    with past:
        network(x, None, past)
    with pytest.raises(KeyboardInterrupt), past:
        raise KeyboardInterrupt
