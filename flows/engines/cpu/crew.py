"""Threads that draw a WaveNet's samples: one for a group of streams, or two that share it."""

import math
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from torch import Tensor

from flows.engines.cpu.arrays import Exchange, Frames, Samples, Streams
from flows.engines.cpu.exchange import MARKED
from flows.engines.cpu.layout import (
    lay_out_frames,
    lay_out_loop,
    start_exchange,
    start_streams,
    threads_sharing,
)
from flows.engines.cpu.sample_loop import advance
from flows.networks.wavenet import WaveNet

LONGEST_BLOCK = 8
"""Samples for which a layer's older taps are computed at once, at most."""

TURN = 512
"""Samples after which the way to draw them is chosen anew."""


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
        in_pairs: the layers multiply in bfloat16.
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
        in_pairs: bool = False,
    ) -> None:
        self._wavenet, self._pool = wavenet, pool
        self._networks = networks = lay_out_loop(wavenet, log_scale_floor, parts, in_pairs)
        channels, order = wavenet.num_channels, wavenet.config.prediction_order
        bounds = np.linspace(0, num_streams, num_groups + 1).astype(int)
        self._groups: list[tuple[slice, Exchange, list[Streams]]] = []
        for group in (slice(*pair) for pair in pairwise(bounds)):
            size = group.stop - group.start
            states = [start_streams(own, size, channels, order, block) for own in networks]
            self._groups.append((group, start_exchange(networks[0], size), states))

    def take_over(self, other: "Crew") -> None:
        """Continue where another crew, with the same streams in the same groups, has stopped.

        That is at a multiple of the block: of a block that has begun, nothing is handed over.
        """
        for (_, _, states), (_, _, others) in zip(self._groups, other._groups, strict=True):
            for mine in states:
                theirs = others[0]  # each of them remembers the same
                mine.past[:] = theirs.past
                mine.previous[:] = theirs.previous
                mine.prediction[:] = theirs.prediction
                mine.recent[:] = theirs.recent
                mine.history[:] = theirs.history
                mine.taps[:] = theirs.taps

    def lay_out(
        self, x: Tensor, context: Tensor | None, first_frame: int, span: int
    ) -> list[Frames]:
        """Lay out what the context of a chunk contributes.

        Args:
            x: of the chunk's shape, (B, C, T).
            context: its frames, shape (B, H, L).
            first_frame: number of the first of them.
            span: samples per frame.
        """
        return lay_out_frames(self._wavenet, x, context, first_frame, span, len(self._networks))

    def draw(
        self, samples: Samples, frames: list[Frames], start: int, first: int, stop: int
    ) -> None:
        """Draw some samples of a chunk.

        Args:
            samples: the chunk's.
            frames: from `lay_out`.
            start: time of the chunk's first sample.
            first: sample of the chunk to begin with, a multiple of the block.
            stop: the one after the last.
        """
        runs = []
        for group, exchange, states in self._groups:
            # What stands there is not of the first sample.
            exchange.units[:] = MARKED * (1 - (start + first) % 2)
            try:
                for network, streams, own in zip(self._networks, states, frames, strict=True):
                    what = (network, streams, exchange, own.of(group), samples.of(group))
                    runs.append(self._pool.submit(advance, *what, start, first, stop))
            except RuntimeError:  # no thread to be had: nobody is to wait for it
                exchange.counters[:] = np.iinfo(np.int64).max
                raise
        for run in runs:
            run.result()


class Faster:
    """The faster of two crews, one thread for a group of streams or two.

    Threads that share streams wait for each other at every layer: fast on idle cores, slow where
    other programs run. So one thread begins, two go on, and one again if they turn out slower.

    Args:
        alone: has one thread a group.
        shared: has two; None if there are not so many, or they are not worth trying.
    """

    def __init__(self, alone: Crew, shared: Crew | None) -> None:
        self._alone, self._shared = alone, shared
        self._crew, self._turns = alone, 0
        self._pace = math.inf  # of one thread, seconds a sample
        self._seconds, self._samples = 0.0, 0  # of two

    def draw(self, chunk: Chunk, context: Tensor | None, start: int, span: int) -> None:
        """Draw the samples of a chunk.

        Args:
            chunk: what is drawn from and written to.
            context: the chunk's frames, shape (B, H, L).
            start: time of the chunk's first sample.
            span: samples per frame.
        """
        samples = Samples(*(tensor.numpy() for tensor in chunk))
        frames: dict[Crew, list[Frames]] = {}
        length, first = chunk.x.shape[-1], 0
        while first < length:
            crew = self._crew
            if crew not in frames:
                frames[crew] = crew.lay_out(chunk.x, context, start // span, span)
            stop = min(length, first + (length if self._shared is None else TURN))
            began = time.perf_counter()
            crew.draw(samples, frames[crew], start, first, stop)
            if (start + stop) % LONGEST_BLOCK == 0:  # nothing is computed ahead of then
                self._choose(stop - first, time.perf_counter() - began)
            first = stop

    def _choose(self, num_samples: int, seconds: float) -> None:
        """Choose who draws next, from how long the last samples took."""
        if self._shared is None:
            return
        self._turns += 1
        if self._crew is self._alone:
            self._pace = min(self._pace, seconds / num_samples)
            if self._turns == 2:
                self._shared.take_over(self._alone)
                self._crew = self._shared
        else:
            self._seconds, self._samples = self._seconds + seconds, self._samples + num_samples
            if self._turns >= 4 and self._seconds > self._samples * self._pace:
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
    in_pairs: bool = False,
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
        in_pairs: the layers multiply in bfloat16.
    """
    num_groups = min(num_streams, num_threads)
    parts = threads_sharing(wavenet.config, num_threads // num_groups, in_pairs)

    def crew(parts: int) -> Crew:
        how = (num_groups, parts, block, pool, in_pairs)
        return Crew(wavenet, log_scale_floor, num_streams, *how)

    worth_trying = parts == 2 and num_samples > 4 * TURN
    return Faster(crew(1), crew(2) if worth_trying else None)
