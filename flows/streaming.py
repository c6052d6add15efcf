"""Chains of inverse autoregressive steps over a signal that comes frame by frame."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

import numpy as np
import torch
from torch import Tensor

from flows.compiled.layout import Frames, Network, in_panels, lay_out_frames, lay_out_network
from flows.compiled.parallel import Segment, run_segment, start_segment
from flows.mixing import Rotation
from flows.transformers import Affine
from flows.wavenet import WaveNet

CHUNK, CHUNK_OF_FRAMES = 64, 32
"""Steps that go through the layers together, at most: what a layer reads and writes stays in the
first-level cache. Of folded signals, which have few steps, the threads would wait for more."""


class ChainWeights:
    """What a chain of steps multiplies by, laid out for compiled code.

    It is laid out when it is first needed, and again when it has changed since: by an optimiser,
    for one, or by loading another state. A change through `Tensor.data` goes unnoticed, because
    PyTorch does not count it.

    Args:
        networks: conditional networks of equal width in float32 on the CPU, noise side first.
        transformer: of every step.
        rotations: after each step but the last; none for no mixing.
    """

    def __init__(
        self, networks: Sequence[WaveNet], transformer: Affine, rotations: Sequence[Rotation] = ()
    ) -> None:
        self.networks = list(networks)
        self.rotations = list(rotations)
        self._floor = transformer.log_scale_floor
        self._version: list[tuple[int, int]] | None = None
        self._laid_out: tuple[list[Network], list[np.ndarray]] = ([], [])

    @torch.no_grad()
    def laid_out(self) -> tuple[list[Network], list[np.ndarray]]:
        """Return the networks, and what comes after each: a matrix in panels, or none."""
        version = self._versions()
        if version is None or version != self._version:
            channels = self.networks[0].num_channels
            mixing = [rotation.matrix().T[None] for rotation in self.rotations]
            mixing += [torch.empty(0, channels, channels)] * (len(self.networks) - len(mixing))
            self._laid_out = (
                [lay_out_network(network, self._floor) for network in self.networks],
                [in_panels(matrix) for matrix in mixing],
            )
            self._version = version
        return self._laid_out

    def _versions(self) -> list[tuple[int, int]] | None:
        """Where each weight is, and how often it was changed there; None if that is not known."""
        modules = [*self.networks, *self.rotations]
        weights = [w for m in modules for w in (*m.parameters(), *m.buffers())]
        if any(weight.is_inference() for weight in weights):
            return None
        return [(weight.data_ptr(), weight._version) for weight in weights]


class CompiledChain:
    r"""A chain of affine inverse autoregressive steps in compiled code, frame by frame.

    .. math:: x^{(k)}_t = Q_k (x^{(k-1)}_t\, e^{s_k} + \mu_k), \qquad
              s_k, \mu_k \text{ from } x^{(k-1)}_{<t} \text{ and } c

    The layers of all networks are dealt out to the threads in consecutive, equal parts; chunks
    pass from one thread to the next as on an assembly line. The rotation Q is the identity after
    the last step, and where there is none.

    Args:
        weights: of the steps; as they are when the chain is made.
        num_streams: signals in a batch, B.
    """

    def __init__(self, weights: ChainWeights, num_streams: int) -> None:
        self._networks = networks = weights.networks
        self._weights, self._mixing = weights.laid_out()
        channels = networks[0].num_channels
        self._chunk = CHUNK if channels == 1 else CHUNK_OF_FRAMES
        self._time = 0
        total = sum(network.config.num_layers for network in networks)
        threads = min(torch.get_num_threads(), total)
        self._pool = ThreadPoolExecutor(threads)
        cuts = [total * i // threads for i in range(threads + 1)]
        self._stages: list[list[tuple[int, Segment]]] = [[] for _ in range(threads)]
        start = 0  # of a network's layers among all
        for k, network in enumerate(self._weights):
            stop = start + network.dilations.size
            for stage, low, high in zip(self._stages, cuts, cuts[1:], strict=False):
                first, last = max(low, start) - start, min(high, stop) - start
                if first < last:
                    segment = start_segment(
                        network, first, last, num_streams, channels, self._chunk
                    )
                    stage.append((k, segment))
            start = stop

    @torch.no_grad()
    def __call__(self, z: Tensor, context: Tensor) -> Tensor:
        """Continue the signal.

        Args:
            z: what the first step reads, shape (B, C, T).
            context: frames, shape (B, H, L) with T a multiple of L.
        Returns:
            what the last step writes, shape (B, C, T).
        """
        frames = [lay_out_frames(network, z, context) for network in self._networks]
        x = z.transpose(1, 2).clone(memory_format=torch.contiguous_format)
        line = _Line(self._weights, self._mixing, frames, x.numpy(), self._time, self._chunk)
        if len(self._stages) == 1:
            line.run(self._stages[0], None, None)
        else:
            queues: list[SimpleQueue] = [SimpleQueue() for _ in self._stages[1:]]
            list(self._pool.map(line.run, self._stages, [None, *queues], [*queues, None]))
        self._time += z.shape[-1]
        return x.transpose(1, 2)


class _Line:
    """Chunks on their way through the stages."""

    def __init__(
        self,
        weights: list[Network],
        mixing: list[np.ndarray],
        frames: list[Frames],
        x: np.ndarray,
        time: int,
        chunk: int,
    ) -> None:
        self._weights = weights
        self._mixing = mixing
        self._frames = frames
        self._x = x  # (B, T, C)
        self._time = time
        self._chunk = chunk

    def run(
        self,
        stage: list[tuple[int, Segment]],
        inbox: SimpleQueue | None,
        outbox: SimpleQueue | None,
    ) -> None:
        """Take every chunk through one stage, from the stage before to the one after."""
        num_streams, num_samples, _ = self._x.shape
        span = num_samples // self._frames[0].gates.shape[1]
        width = self._weights[0].row_scale.size
        rows: np.ndarray | None
        start = 0
        try:
            while start < num_samples:
                # The rings hold whole chunks: none goes beyond a multiple of their length.
                time = self._time + start
                length = min(num_samples - start, self._chunk - time % self._chunk)
                if inbox is None:
                    rows = np.empty((num_streams, length, width), np.float32)
                else:
                    rows = inbox.get()
                if rows is None:
                    raise RuntimeError("the stage before has failed")
                for k, segment in stage:
                    gates, offsets, *_ = self._frames[k]
                    run_segment(
                        self._weights[k],
                        self._mixing[k],
                        segment,
                        gates,
                        offsets,
                        span,
                        time,
                        self._x,
                        start,
                        rows,
                    )
                if outbox is not None:
                    outbox.put(rows)
                start += length
        finally:
            if outbox is not None:
                outbox.put(None)
