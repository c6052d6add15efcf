"""A kernel that draws sample after sample, in Triton's interpreter or on a GPU."""

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import Tensor

from flows import Autoregressive, EngineError, MixtureCdf, WaveNetConfig, draw_chunks
from flows.engines.triton.stack import WIDEST, is_interpreted
from tests.flows.engines.test_sequential import NETS, SKIPS, Net
from tests.flows.engines.triton.test_stack import compiled_for_gpus

DEVICE = "cpu" if is_interpreted() else "cuda"


def short(net: Net) -> Net:
    """Few layers and samples, of one channel: the interpreter takes a millisecond a layer."""
    config = dataclasses.replace(net.config, num_layers=3, layers_per_cycle=3)
    frames, length = (4, 5) if net.frames else (0, 20)
    return dataclasses.replace(net, config=config, channels=1, frames=frames, length=length)


SHORT = {
    name: short(net)
    for name, net in NETS.items()
    if not name.startswith("frames_of") and not net.config.pitch.longest_lag
}

Signal = tuple[Autoregressive, Tensor, Tensor | None, Tensor | None]


def make(net: Net, streams: int = 2) -> Signal:
    flow, noise, context, choice = net.make()
    some = [None if t is None else t[:streams].to(DEVICE) for t in (noise, context, choice)]
    choice = some[2] if isinstance(flow.transformer, MixtureCdf) else None
    return flow.to(DEVICE), some[0], some[1], choice


def drawn(signal: Signal, engine: str, chunk: int = 100) -> Tensor:
    return torch.cat(list(draw_chunks(*signal, engine, chunk)), -1)


@pytest.mark.parametrize("name", SHORT)
def test_the_kernel_draws_what_float64_steps_draw(name: str) -> None:
    signal = make(SHORT[name])
    found = drawn(signal, "persistent")
    flow, *tensors = signal
    wide = [None if t is None else t.double() for t in tensors]
    expected = drawn((flow.double(), *wide), "torch")
    assert 0.3 < float(expected.std()) < 10
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["linear_prediction", "mixture"])
def test_pieces_join_to_the_whole(name: str) -> None:
    signal = make(SHORT[name], streams=1)
    whole = drawn(signal, "persistent")
    assert torch.equal(drawn(signal, "persistent", chunk=7), whole)


def test_nan_reaches_the_sample() -> None:
    signal = make(SHORT["skips"], streams=1)
    with torch.no_grad():
        signal[0].conditioner.layers[0].gate.bias[0] = torch.nan
    assert drawn(signal, "persistent").isnan().all()


def test_unsupported_flows_are_refused() -> None:
    with pytest.raises(EngineError, match="signals of one channel, got 2"):
        drawn(make(dataclasses.replace(Net(), channels=2)), "persistent")
    wide = WaveNetConfig(num_layers=1, residual_channels=WIDEST + 2, skip_channels=4)
    with pytest.raises(EngineError, match=f"at most {WIDEST} channels, got {WIDEST + 2}"):
        drawn(make(Net(wide)), "persistent")
    lagging = dataclasses.replace(NETS["long_term_prediction"], channels=1)
    with pytest.raises(EngineError, match="knows no long-term prediction"):
        drawn(make(lagging), "persistent")
    flow, noise, context, choice = make(Net(SKIPS))
    with pytest.raises(EngineError, match=r"numbers of 32 bits on cuda, got torch\.float64"):
        drawn((flow.double(), noise.double(), context.double(), choice), "persistent")


@pytest.mark.slow
def test_the_kernel_compiles_for_gpus(tmp_path: Path) -> None:
    for kernel in compiled_for_gpus("loop", tmp_path):
        assert kernel["shared_bytes"] <= 1024, kernel
        assert kernel["instructions"] == ["bar.sync"], kernel
