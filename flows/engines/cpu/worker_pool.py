"""Worker pools that draw a WaveNet's samples: one or two threads for each group of streams."""

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
from flows.engines.cpu.sample_loop import advance, advance_together
from flows.networks.wavenet import WaveNet

LONGEST_BLOCK = 8
"""The largest number of samples whose older taps a layer computes at once."""

TURN = 512
"""Number of samples after which the number of threads is chosen again."""


class Chunk(NamedTuple):
    """Consecutive samples of B streams."""

    noise: Tensor  # (B, C, T)
    choice: Tensor  # uniform in [0, 1), shape (B, C, T) for a mixture; (B, C, 0) otherwise
    x: Tensor  # the drawn samples are written here, (B, C, T)


class WorkerPool:
    """A worker pool that draws streams chunk by chunk.

    The samples do not depend on the number of threads.

    Args:
        wavenet: the network, in float32 on the CPU.
        log_scale_floor: lower bound of the affine transformer's log-scale.
        num_streams: number of streams, B.
        num_groups: number of groups of streams. A weight is read once for a whole group.
        parts: number of threads for each group, 1 or 2.
        block: number of samples whose older taps are computed at once: a power of two up to
            `LONGEST_BLOCK` and, with a context, a divisor of the frame length.
        executor: at least `num_groups * parts` threads, which nothing else uses.
        in_pairs: whether the layers multiply in bfloat16.
    """

    def __init__(
        self,
        wavenet: WaveNet,
        log_scale_floor: float,
        num_streams: int,
        num_groups: int,
        parts: int,
        block: int,
        executor: ThreadPoolExecutor,
        in_pairs: bool = False,
    ) -> None:
        self._wavenet, self._executor = wavenet, executor
        self._networks = networks = lay_out_loop(wavenet, log_scale_floor, parts, in_pairs)
        channels, order = wavenet.num_channels, wavenet.config.prediction_order
        bounds = np.linspace(0, num_streams, num_groups + 1).astype(int)
        self._groups: list[tuple[slice, Exchange, list[Streams]]] = []
        for group in (slice(*pair) for pair in pairwise(bounds)):
            size = group.stop - group.start
            states = [start_streams(own, size, channels, order, block) for own in networks]
            self._groups.append((group, start_exchange(networks[0], size), states))

    def take_over(self, other: "WorkerPool") -> None:
        """Continue where another pool stopped; both pools have equal groups of streams.

        The other pool must have stopped at a multiple of the block length, because the sums of an
        unfinished block are not copied.
        """
        for (_, _, states), (_, _, others) in zip(self._groups, other._groups, strict=True):
            for mine in states:
                theirs = others[0]  # all threads of a group hold equal states
                mine.past[:] = theirs.past
                mine.previous[:] = theirs.previous
                mine.prediction[:] = theirs.prediction
                mine.recent[:] = theirs.recent
                mine.history[:] = theirs.history
                mine.taps[:] = theirs.taps

    def lay_out(
        self, x: Tensor, context: Tensor | None, first_frame: int, span: int
    ) -> list[Frames]:
        """Lay out the context's contributions to a chunk, one `Frames` for each thread of a group.

        Args:
            x: a tensor of the chunk's shape, (B, C, T).
            context: the chunk's frames, shape (B, H, L).
            first_frame: number of the chunk's first frame.
            span: samples per frame.
        """
        return lay_out_frames(self._wavenet, x, context, first_frame, span, len(self._networks))

    def draw(
        self, samples: Samples, frames: list[Frames], start: int, first: int, stop: int
    ) -> None:
        """Draw some samples of a chunk.

        Args:
            samples: noise and output of the chunk.
            frames: the context's contributions, from `lay_out`.
            start: time of the chunk's first sample.
            first: index in the chunk of the first sample to draw, a multiple of the block length.
            stop: index in the chunk after the last sample to draw.
        """
        draw = advance if len(self._networks) == 1 else advance_together
        runs = []
        for group, exchange, states in self._groups:
            # Give the memory the mark that the first sample does not have. So no thread takes old
            # units for the units of the first sample.
            exchange.units[:] = MARKED * (1 - (start + first) % 2)
            try:
                for network, streams, own in zip(self._networks, states, frames, strict=True):
                    what = (network, streams, exchange, own.of(group), samples.of(group))
                    runs.append(self._executor.submit(draw, *what, start, first, stop))
            except RuntimeError:  # the pool starts no thread: release a thread that waits for it
                exchange.counters[:] = np.iinfo(np.int64).max
                raise
        for run in runs:
            run.result()


class AdaptivePool:
    """Two worker pools, of which the faster one draws.

    Two threads that share a group of streams wait for each other at every layer. They are fast on
    idle cores, and slow if other programs use the cores. Drawing begins with the pool `alone`, and
    goes on with the pool `shared` after two turns of `TURN` samples. If `shared` turns out to be
    slower, `alone` draws all the rest. Both draw the same samples.

    Args:
        alone: the pool with one thread for each group.
        shared: the pool with two threads for each group; None if there are too few threads, or if
            the network or the signal is too small to gain from two.
    """

    def __init__(self, alone: WorkerPool, shared: WorkerPool | None) -> None:
        self._alone, self._shared = alone, shared
        self._drawing, self._turns = alone, 0
        self._pace = math.inf  # least time of the pool of one thread, seconds a sample
        self._seconds, self._samples = 0.0, 0  # time and samples of the pool of two, so far

    def draw(self, chunk: Chunk, context: Tensor | None, start: int, span: int) -> None:
        """Draw the samples of a chunk.

        Args:
            chunk: noise and output of the chunk.
            context: the chunk's frames, shape (B, H, L).
            start: time of the chunk's first sample.
            span: samples per frame.
        """
        samples = Samples(*(tensor.numpy() for tensor in chunk))
        frames: dict[WorkerPool, list[Frames]] = {}
        length, first = chunk.x.shape[-1], 0
        while first < length:
            pool = self._drawing
            if pool not in frames:
                frames[pool] = pool.lay_out(chunk.x, context, start // span, span)
            stop = min(length, first + (length if self._shared is None else TURN))
            began = time.perf_counter()
            pool.draw(samples, frames[pool], start, first, stop)
            if (start + stop) % LONGEST_BLOCK == 0:  # no layer's block is unfinished
                self._choose(stop - first, time.perf_counter() - began)
            first = stop

    def _choose(self, num_samples: int, seconds: float) -> None:
        """Choose the pool that draws next, from the seconds that the last samples took."""
        if self._shared is None:
            return
        self._turns += 1
        if self._drawing is self._alone:
            self._pace = min(self._pace, seconds / num_samples)
            if self._turns == 2:
                self._shared.take_over(self._alone)
                self._drawing = self._shared
        else:
            self._seconds, self._samples = self._seconds + seconds, self._samples + num_samples
            if self._turns >= 4 and self._seconds > self._samples * self._pace:
                self._alone.take_over(self._shared)
                self._drawing, self._shared = self._alone, None


def make_pool(
    wavenet: WaveNet,
    log_scale_floor: float,
    num_streams: int,
    num_samples: int,
    block: int,
    num_threads: int,
    executor: ThreadPoolExecutor,
    in_pairs: bool = False,
) -> AdaptivePool:
    """Make worker pools for some streams, with a group of streams for each thread or two threads.

    Args:
        wavenet: the network, in float32 on the CPU.
        log_scale_floor: lower bound of the affine transformer's log-scale.
        num_streams: number of streams, B.
        num_samples: length of each stream, samples.
        block: number of samples whose older taps are computed at once, see `WorkerPool`.
        num_threads: largest number of threads.
        executor: `num_threads` threads, which nothing else uses.
        in_pairs: whether the layers multiply in bfloat16.
    """
    num_groups = min(num_streams, num_threads)
    parts = threads_sharing(wavenet.config, num_threads // num_groups, in_pairs)

    def pool(parts: int) -> WorkerPool:
        how = (num_groups, parts, block, executor, in_pairs)
        return WorkerPool(wavenet, log_scale_floor, num_streams, *how)

    worth_trying = parts == 2 and num_samples > 4 * TURN
    return AdaptivePool(pool(1), pool(2) if worth_trying else None)
