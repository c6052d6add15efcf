"""Threads that draw a WaveNet's samples: one for a group of streams, or two that share it."""

import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from torch import Tensor

from flows.compiled.layout import (
    Exchange,
    Samples,
    Streams,
    lay_out_frames,
    lay_out_network,
    start_exchange,
    start_streams,
    threads_sharing,
)
from flows.compiled.sequential import advance
from flows.wavenet import WaveNet

LONGEST_BLOCK = 8
"""Samples for which a layer's older taps are computed at once, at most."""


TRIAL = 512
"""Samples after which the way to draw them is chosen."""


class Chunk(NamedTuple):
    """Consecutive samples of B streams."""

    noise: Tensor  # (B, C, T)
    choice: Tensor  # uniform in [0, 1), of a mixture; (B, C, T), else (B, C, 0)
    x: Tensor  # gets the samples, (B, C, T)


class Crew:
    """Threads that draw streams chunk by chunk; what they draw does not depend on their number.

    Args:
        wavenet: the network, in float32 on the CPU.
        log_scale_floor: of the affine transformer.
        num_streams: B.
        num_groups: of streams. Within a group, a weight is read once for all of them.
        parts: threads of a group, 1 or 2.
        block: samples for which older taps are computed at once: a power of two up to
            `LONGEST_BLOCK`; where there are frames, a divisor of their length.
        pool: has `num_groups * parts` threads or more, which nothing else uses.
    """

    def __init__(
        self,
        wavenet: WaveNet,
        log_scale_floor: float,
        num_streams: int,
        num_groups: int,
        parts: int,
        block: int,
        pool: ThreadPoolExecutor,
    ) -> None:
        self._wavenet, self._parts, self._pool = wavenet, parts, pool
        self._networks = networks = lay_out_network(wavenet, log_scale_floor, parts)
        channels, order = wavenet.num_channels, wavenet.config.prediction_order
        bounds = np.linspace(0, num_streams, num_groups + 1).astype(int)
        self._groups: list[tuple[slice, Exchange, list[Streams]]] = []
        for group in (slice(*pair) for pair in pairwise(bounds)):
            size = group.stop - group.start
            states = [start_streams(own, size, channels, order, block) for own in networks]
            self._groups.append((group, start_exchange(networks[0], size), states))

    def take_over(self, other: "Crew") -> None:
        """Continue where another crew, with the same streams in the same groups, has stopped."""
        width = self._wavenet.config.residual_channels
        for (_, _, states), (_, _, others) in zip(self._groups, other._groups, strict=True):
            for mine in states:
                theirs = others[0]  # each of them remembers the same
                mine.rows[:, :width] = theirs.rows[:, :width]
                mine.previous[:] = theirs.previous
                mine.prediction[:] = theirs.prediction
                mine.recent[:] = theirs.recent

    def draw(
        self,
        chunk: Chunk,
        context: Tensor | None,
        start: int,
        span: int,
        first: int,
        stop: int,
    ) -> None:
        """Draw some samples of a chunk.

        Args:
            chunk: what they are drawn from and written to.
            context: the chunk's frames, shape (B, H, L).
            start: time of the chunk's first sample.
            span: samples per frame.
            first: sample of the chunk to begin with, a multiple of the block.
            stop: the one after the last.
        """
        frames = lay_out_frames(self._wavenet, chunk.x, context, start // span, span, self._parts)
        samples = Samples(*(tensor.numpy() for tensor in chunk))
        runs = []
        for group, exchange, states in self._groups:
            for network, streams, own in zip(self._networks, states, frames, strict=True):
                what = (network, streams, exchange, own.of(group), samples.of(group))
                runs.append(self._pool.submit(advance, *what, start, first, stop))
        for run in runs:
            run.result()


class Faster:
    """The faster of two crews, one thread for a group of streams or two.

    Threads that share streams wait for each other at every layer: fast on idle cores, slow where
    other programs run. So each way is tried first; two threads that have become slower than one
    was are given up.

    Args:
        alone: has one thread a group.
        shared: has two; None if there are not so many, or they are not worth trying.
    """

    def __init__(self, alone: Crew, shared: Crew | None) -> None:
        self._alone, self._shared, self._seconds = alone, shared, 0.0
        self._crew = alone

    def draw(self, chunk: Chunk, context: Tensor | None, start: int, span: int) -> None:
        """Draw the samples of a chunk, as `Crew.draw`."""
        length, first = chunk.x.shape[-1], 0
        while first < length:
            trial = self._shared is not None and self._crew is self._alone
            stop = min(length, first + TRIAL) if trial else length
            began = time.perf_counter()
            self._crew.draw(chunk, context, start, span, first, stop)
            self._compare((time.perf_counter() - began) / (stop - first))
            first = stop

    def _compare(self, seconds: float) -> None:
        """Choose who draws next, from the seconds that a sample has just taken."""
        if self._shared is None:
            return
        if self._crew is self._alone:
            self._seconds = seconds
            self._shared.take_over(self._alone)
            self._crew = self._shared
        elif seconds > self._seconds:
            self._alone.take_over(self._shared)
            self._crew, self._shared = self._alone, None


def hire(
    wavenet: WaveNet,
    log_scale_floor: float,
    num_streams: int,
    num_samples: int,
    block: int,
    num_threads: int,
    pool: ThreadPoolExecutor,
) -> Faster:
    """Put together who draws some streams: a group of them for every thread, or for every two.

    Args:
        wavenet: the network, in float32 on the CPU.
        log_scale_floor: of the affine transformer.
        num_streams: B.
        num_samples: of each.
        block: see `Crew`.
        num_threads: at most.
        pool: has so many threads, which nothing else uses.
    """
    num_groups = min(num_streams, num_threads)
    parts = threads_sharing(wavenet.config, num_threads // num_groups)

    def crew(parts: int) -> Crew:
        return Crew(wavenet, log_scale_floor, num_streams, num_groups, parts, block, pool)

    worth_trying = parts == 2 and num_samples > 2 * TRIAL
    return Faster(crew(1), crew(2) if worth_trying else None)
