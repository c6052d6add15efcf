"""A worker pool: threads that share a WaveNet draw one thread's samples to the bit."""

import dataclasses
import math
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from flows import Affine, Autoregressive, MixtureCdf, WaveNet, WaveNetConfig, draw_chunks, maf
from flows.engines.cpu import worker_pool
from flows.engines.cpu.arrays import Frames, Samples
from flows.engines.cpu.instructions.intrinsics import MULTIPLIES_PAIRS
from flows.engines.cpu.layout import LEAST_SHARED, LEAST_SHARED_IN_PAIRS, threads_sharing
from flows.engines.cpu.worker_pool import AdaptivePool, Chunk, WorkerPool

HIDDEN, SPAN, FRAMES = 3, 24, 20
IN_PAIRS = [False, True][: 1 + MULTIPLIES_PAIRS]
WIDE = WaveNetConfig(num_layers=5, layers_per_cycle=5, residual_channels=64, skip_channels=64)
NETS = {
    "skips": (WIDE, 0),
    "an_odd_number_of_skips": (dataclasses.replace(WIDE, skip_channels=37), 0),
    "no_skips_kernel_3": (dataclasses.replace(WIDE, skip_channels=0, kernel_size=3), 0),
    "one_layer": (dataclasses.replace(WIDE, num_layers=1), 0),
    "linear_prediction": (dataclasses.replace(WIDE, prediction_order=5), 0),
    "mixture": (dataclasses.replace(WIDE, residual_channels=96), 3),
}


def make(name: str, hidden: int = HIDDEN) -> tuple[Autoregressive, Chunk, Tensor]:
    """Build a flow, with noise, context and choice of three streams."""
    torch.manual_seed(0)
    config, components = NETS[name]
    transformer = MixtureCdf(components, base="logistic") if components else Affine()
    locations = tuple(range(components, 2 * components)) if components else (0,)
    network = WaveNet(config, transformer.num_params, 1, hidden, locations)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.03 * torch.randn_like(parameter))
        if network.prediction is not None:  # keep the synthesis filter tame
            for parameter in network.prediction.parameters():
                parameter.mul_(0.1)
    noise = torch.randn(3, 1, FRAMES * SPAN)
    choice = torch.rand_like(noise) if components else noise[..., :0]
    chunk = Chunk(noise, choice, torch.zeros_like(noise))
    return maf(network, transformer), chunk, torch.randn(3, HIDDEN, FRAMES)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as made:
        yield made


def make_pool(
    flow: Autoregressive, groups: int, parts: int, pool: ThreadPoolExecutor, in_pairs: bool = False
) -> WorkerPool:
    assert isinstance(flow.conditioner, WaveNet)
    assert isinstance(flow.transformer, Affine | MixtureCdf)
    return WorkerPool(
        flow.conditioner,
        flow.transformer.log_scale_floor,
        3,
        groups,
        parts,
        math.gcd(SPAN, 8),
        pool,
        in_pairs,
    )


@torch.no_grad()
def drawn_by(pools: list[WorkerPool], chunk: Chunk, context: Tensor, pieces: list[int]) -> Tensor:
    """Draw pieces with the worker pools in turn."""
    bounds = [0, *pieces, FRAMES * SPAN]
    for k, (first, stop) in enumerate(pairwise(bounds)):
        now = pools[k % len(pools)]
        if k:
            now.take_over(pools[(k - 1) % len(pools)])
        frames = now.lay_out(chunk.x, context, 0, SPAN)
        now.draw(Samples(*(tensor.numpy() for tensor in chunk)), frames, 0, first, stop)
    return chunk.x.clone()


@pytest.mark.parametrize("in_pairs", IN_PAIRS)
@pytest.mark.parametrize("name", NETS)
def test_two_threads_draw_what_one_draws(
    name: str, in_pairs: bool, pool: ThreadPoolExecutor
) -> None:
    flow, chunk, context = make(name)
    alone = drawn_by([make_pool(flow, 1, 1, pool, in_pairs)], chunk, context, [])
    choice = chunk.choice if NETS[name][1] else None
    with torch.autocast("cpu", torch.bfloat16, in_pairs):
        reference = torch.cat(list(draw_chunks(flow, chunk.noise, context, choice)), -1)
    torch.testing.assert_close(alone, reference, rtol=1e-5, atol=1e-5)
    assert 0.3 < float(alone.std()) < 30
    for groups in (1, 2):
        chunk.x.zero_()
        pools = [make_pool(flow, groups, 2, pool, in_pairs)]
        assert torch.equal(drawn_by(pools, chunk, context, []), alone)


@pytest.mark.parametrize("in_pairs", IN_PAIRS)
@pytest.mark.parametrize("name", NETS)
def test_one_number_of_threads_continues_where_another_stopped(
    name: str, in_pairs: bool, pool: ThreadPoolExecutor
) -> None:
    flow, chunk, context = make(name)
    alone = drawn_by([make_pool(flow, 1, 1, pool, in_pairs)], chunk, context, [])
    chunk.x.zero_()
    pools = [make_pool(flow, 1, parts, pool, in_pairs) for parts in (1, 2)]
    assert torch.equal(drawn_by(pools, chunk, context, [8, 64, 72, 240, 400]), alone)


@pytest.mark.parametrize("in_pairs", IN_PAIRS)
@pytest.mark.parametrize("name", ["skips", "no_skips_kernel_3"])
@pytest.mark.parametrize("unit", [3, 40])  # of the first thread and of the second
def test_nan_reaches_the_sample(
    name: str, unit: int, in_pairs: bool, pool: ThreadPoolExecutor
) -> None:
    flow, chunk, context = make(name)
    with torch.no_grad():  # one gated unit of one layer, so that only one thread computes it
        flow.conditioner.layers[0].gate.parametrizations.weight.original1[unit] = math.nan
    for parts in (1, 2):
        chunk.x.zero_()
        pools = [make_pool(flow, 1, parts, pool, in_pairs)]
        assert drawn_by(pools, chunk, context, []).isnan().all()


class Refusing(ThreadPoolExecutor):
    """An executor that can start only one thread."""

    submitted = 0

    def submit(self, *arguments: Any) -> Any:  # type: ignore[override]
        self.submitted += 1
        if self.submitted > 1:
            raise RuntimeError("can't start new thread")
        return super().submit(*arguments)


@torch.no_grad()
def test_sampling_does_not_wait_for_a_thread_that_cannot_start() -> None:
    flow, chunk, context = make("skips")
    with Refusing() as pool, pytest.raises(RuntimeError, match="new thread"):
        drawn_by([make_pool(flow, 1, 2, pool)], chunk, context, [])


def test_wide_networks_are_shared_if_there_are_threads() -> None:
    wide = dataclasses.replace(WIDE, residual_channels=LEAST_SHARED)
    assert [threads_sharing(wide, threads) for threads in (1, 2, 5)] == [1, 2, 2]
    assert threads_sharing(dataclasses.replace(wide, residual_channels=LEAST_SHARED // 2), 2) == 1
    assert threads_sharing(dataclasses.replace(wide, residual_channels=LEAST_SHARED + 2), 2) == 1
    assert threads_sharing(wide, 2, in_pairs=True) == 1
    wider = dataclasses.replace(wide, residual_channels=LEAST_SHARED_IN_PAIRS)
    assert threads_sharing(wider, 2, in_pairs=True) == 2


@pytest.mark.parametrize("conditional", [True, False])
def test_a_long_signal_is_the_same_with_two_threads(
    conditional: bool, two_threads: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_pool, "TURN", 64)
    flow, chunk, frames = make("skips", HIDDEN if conditional else 0)
    noise, context = chunk.noise[:1], frames[:1] if conditional else None
    in_two = torch.cat(list(draw_chunks(flow, noise, context, chunk=37)), -1)
    torch.set_num_threads(1)
    assert torch.equal(torch.cat(list(draw_chunks(flow, noise, context, chunk=37)), -1), in_two)


class Recorded:
    """A replacement of the worker pool that takes a given time for a sample."""

    def __init__(self, name: str, seconds: list[float], clock: list[float], log: list[str]) -> None:
        self.name, self.seconds, self.clock, self.log = name, seconds, clock, log

    def take_over(self, other: "Recorded") -> None:
        self.log.append(f"{self.name} after {other.name}")

    def lay_out(self, x: Tensor, context: None, first_frame: int, span: int) -> list[Frames]:
        self.log.append(f"{self.name} lays out {first_frame}")
        return []

    def draw(
        self, samples: Samples, frames: list[Frames], start: int, first: int, stop: int
    ) -> None:
        seconds = self.seconds.pop(0) if len(self.seconds) > 1 else self.seconds[0]
        self.clock[0] += seconds * (stop - first)
        self.log.append(f"{self.name} {start + first} to {start + stop}")


BEGIN = ["one lays out 0", "one 0 to 512", "one 512 to 1024", "two after one"]
TRY = ["two lays out 0", "two 1024 to 1536", "two 1536 to 2000"]


@pytest.mark.parametrize(
    ("shared", "expected"),
    [
        ([0.5], [*TRY, "two lays out 2", "two 2000 to 2512", "two 2512 to 3000"]),
        ([3.0, 0.2], [*TRY, "one after two", "one lays out 2", "one 2000 to 3000"]),
        (
            [0.5, 0.5, 3.0],
            [
                *TRY,
                "two lays out 2",
                "two 2000 to 2512",
                "one after two",
                "one lays out 2",
                "one 2512 to 3000",
            ],
        ),
    ],
    ids=["faster", "slower", "slower_later"],
)
def test_threads_share_as_long_as_that_is_faster(
    shared: list[float], expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, log = [0.0], list[str]()
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    # The first turn of one thread is slow, and is not counted.
    one = Recorded("one", [9.0, 1.0], clock, log)
    pools: list[Any] = [one, Recorded("two", shared, clock, log)]
    adaptive = AdaptivePool(*pools)
    for start, stop in ((0, 2000), (2000, 3000)):
        signal = torch.zeros(1, 1, stop - start)
        adaptive.draw(Chunk(signal, signal, signal), None, start, 1000)
    assert log == [*BEGIN, *expected]
