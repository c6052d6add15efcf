"""Chains of inverse autoregressive steps over a signal that comes frame by frame."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

import numpy as np
import torch
from torch import Tensor

from flows.compiled.layout import Frames, Network, lay_out_frames, lay_out_network
from flows.compiled.parallel import Segment, run_segment, start_segment
from flows.transformers import Affine
from flows.wavenet import WaveNet

LONGEST_CHUNK = 64
"""Samples that go through the layers together: few enough for the first-level cache."""


class CompiledChain:
    r"""A chain of affine inverse autoregressive steps in compiled code, frame by frame.

    .. math:: x^{(k)}_t = x^{(k-1)}_t\, e^{s_k} + \mu_k, \qquad
              s_k, \mu_k \text{ from } x^{(k-1)}_{<t} \text{ and } c

    The layers of all networks are dealt out to the threads in consecutive, equal parts; chunks of a
    frame pass from one thread to the next as on an assembly line. Weights are copied when the
    chain is made.

    Args:
        networks: conditional networks of equal width in float32 on the CPU, noise side first.
        transformer: of every step.
        num_streams: signals in a batch, B.
        frame_length: samples per frame.
    """

    def __init__(
        self,
        networks: Sequence[WaveNet],
        transformer: Affine,
        num_streams: int,
        frame_length: int,
    ) -> None:
        self._networks = list(networks)
        floor = transformer.log_scale_floor
        self._weights = [lay_out_network(network, floor) for network in networks]
        chunks = range(1, min(frame_length, LONGEST_CHUNK) + 1)
        self._chunk = max(n for n in chunks if frame_length % n == 0)
        self._time = 0
        total = sum(network.config.num_layers for network in networks)
        threads = min(torch.get_num_threads(), total)
        self._pool = ThreadPoolExecutor(threads)
        cuts = [total * i // threads for i in range(threads + 1)]
        self._stages: list[list[tuple[int, Segment]]] = [[] for _ in range(threads)]
        start = 0  # of a network's layers among all
        for k, weights in enumerate(self._weights):
            stop = start + weights.dilations.size
            for stage, low, high in zip(self._stages, cuts, cuts[1:], strict=False):
                first, last = max(low, start) - start, min(high, stop) - start
                if first < last:
                    channels = networks[k].num_channels
                    segment = start_segment(
                        weights, first, last, num_streams, channels, self._chunk
                    )
                    stage.append((k, segment))
            start = stop

    @torch.no_grad()
    def __call__(self, z: Tensor, context: Tensor) -> Tensor:
        """Continue the signal.

        Args:
            z: what the first step reads, shape (B, C, n * frame_length).
            context: the n frames, shape (B, H, n).
        Returns:
            what the last step writes, shape (B, C, n * frame_length).
        """
        frames = [lay_out_frames(network, z, context) for network in self._networks]
        # Chunks first: each is a contiguous block of a copy, changed in place from step to step.
        x = z.unflatten(-1, (-1, self._chunk)).permute(2, 0, 1, 3)
        x = x.clone(memory_format=torch.contiguous_format)
        line = _Line(self._weights, frames, x.numpy(), self._time)
        if len(self._stages) == 1:
            line.run(self._stages[0], None, None)
        else:
            queues: list[SimpleQueue] = [SimpleQueue() for _ in self._stages[1:]]
            list(self._pool.map(line.run, self._stages, [None, *queues], [*queues, None]))
        self._time += z.shape[-1]
        return x.permute(1, 2, 0, 3).flatten(2)


class _Line:
    """Chunks on their way through the stages."""

    def __init__(
        self, weights: list[Network], frames: list[Frames], x: np.ndarray, time: int
    ) -> None:
        self._weights = weights
        self._frames = frames
        self._x = x  # (n, B, C, T)
        self._time = time

    def run(
        self,
        stage: list[tuple[int, Segment]],
        inbox: SimpleQueue | None,
        outbox: SimpleQueue | None,
    ) -> None:
        """Take every chunk through one stage, from the stage before to the one after."""
        num_chunks, num_streams, _, length = self._x.shape
        per_frame = num_chunks // self._frames[0].gates.shape[1]
        width = self._weights[0].row_scale.size
        rows: np.ndarray | None
        try:
            for i in range(num_chunks):
                if inbox is None:
                    rows = np.empty((num_streams, length, width), np.float32)
                else:
                    rows = inbox.get()
                if rows is None:
                    raise RuntimeError("the stage before has failed")
                for k, segment in stage:
                    gates, offsets, *_ = self._frames[k]
                    frame, time = i // per_frame, self._time + i * length
                    run_segment(
                        self._weights[k], segment, gates, offsets, frame, time, self._x[i], rows
                    )
                if outbox is not None:
                    outbox.put(rows)
        finally:
            if outbox is not None:
                outbox.put(None)
