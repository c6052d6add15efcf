"""Chains of inverse autoregressive steps over a signal that comes frame by frame."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from flows.engines.cpu.arrays import ContextWeights, Network
from flows.engines.cpu.instructions.amx import amx_is_granted
from flows.engines.cpu.layout import lay_out_context, lay_out_pass
from flows.engines.cpu.panels import are_pairs, in_panels, rounded_to_pairs
from flows.engines.cpu.parallel_pass import run_segment
from flows.engines.cpu.segment import Segment, start_segment
from flows.networks.conditioning import check_frames
from flows.networks.wavenet import WaveNet
from flows.transforms.base import check_signal
from flows.transforms.mixing import Rotation
from flows.transforms.transformers import Affine

CHUNK, CHUNK_OF_FRAMES = 256, 64
"""Longest chunk, in time steps: for a signal of one channel, and for a folded signal.

A chunk goes through the layers together. A chunk of 256 steps keeps a layer's inputs and outputs in
the second-level cache, and reads the weights as seldom as the cache allows. A folded signal has few
time steps: with longer chunks several threads would wait for each other. One thread has nobody to
wait for, and takes `CHUNK` steps of either signal; a layer's state holds whole chunks."""

FEW_CHUNKS = 8
"""A signal of fewer chunks than this is cut into chunks of half the length. Otherwise most threads
would wait for the first chunk at the beginning, and for the last chunk at the end."""

LEAST_WORK = 100_000_000
"""Weights times time steps, about the number of multiplications, that a piece of signal must have
for each thread. With less work, the threads lose more time by handing chunks on than they gain
(measured)."""
TILES_GAIN = 3
"""How many times as much work a processor with tiles (AMX) does in the same time."""


class Step(NamedTuple):
    """The weights of one step."""

    network: Network
    context: ContextWeights
    mixing: np.ndarray
    """The matrix that rotates the step's output, in panels; empty for no rotation."""


class ChainWeights:
    """The weights of a chain of steps, laid out for compiled code.

    The weights are laid out when they are first needed, and again after they have changed, for
    example by an optimiser or by `load_state_dict`. A change through `Tensor.data` goes unnoticed,
    because PyTorch does not count such changes.

    Args:
        networks: conditional networks of equal width in float32 on the CPU, noise side first.
        transformer: the affine transformer of every step.
        rotations: one rotation after each step but the last; empty for no mixing.
    """

    def __init__(
        self, networks: Sequence[WaveNet], transformer: Affine, rotations: Sequence[Rotation] = ()
    ) -> None:
        self.networks = list(networks)
        self.rotations = list(rotations)
        self._modules = [m for part in (*networks, *rotations) for m in part.modules()]
        self._num_weights = sum(w.numel() for net in networks for w in net.parameters())
        self._floor = transformer.log_scale_floor
        self._version: list[tuple[int, int]] | None = None
        self._laid_out: dict[bool, list[Step]] = {}

    @torch.no_grad()
    def laid_out(self, in_pairs: bool = False) -> list[Step]:
        """Return the steps, with layers' matrices in float32 or in pairs of bfloat16 numbers."""
        version = self._versions()
        if version is None or version != self._version:
            self._laid_out, self._version = {}, version
        laid_out = self._laid_out  # another thread may begin a new one
        if in_pairs not in laid_out:
            channels = self.networks[0].num_channels
            mixing = [rotation.matrix().T[None] for rotation in self.rotations]
            mixing += [torch.empty(0, channels, channels)] * (len(self.networks) - len(mixing))
            laid_out[in_pairs] = [
                Step(
                    lay_out_pass(net, self._floor, in_pairs),
                    lay_out_context(net, in_pairs),
                    in_panels(matrix),
                )
                for net, matrix in zip(self.networks, mixing, strict=True)
            ]
        return laid_out[in_pairs]

    def num_threads(self, in_pairs: bool, num_steps: int) -> int:
        """Return how many threads draw pieces of `num_steps` time steps, of all streams together.

        No more than PyTorch has, than there are layers, and than find `LEAST_WORK`.
        """
        work = num_steps * self._num_weights
        if in_pairs and amx_is_granted():
            work //= TILES_GAIN
        layers = sum(network.config.num_layers for network in self.networks)
        return max(1, min(torch.get_num_threads(), layers, work // LEAST_WORK))

    def _versions(self) -> list[tuple[int, int]] | None:
        """Return each weight's address and PyTorch's count of its changes.

        Inference tensors have no such count: the result is then None.
        """
        # `Module.parameters` would walk through all modules at every draw, which takes 0.2 ms.
        owners = [tensors for m in self._modules for tensors in (m._parameters, m._buffers)]
        weights = [w for tensors in owners for w in tensors.values() if w is not None]
        try:
            return [(weight.data_ptr(), weight._version) for weight in weights]
        except RuntimeError:  # inference tensors have no count
            return None


class CompiledChain:
    r"""A chain of affine inverse autoregressive steps in compiled code, frame by frame.

    .. math:: x^{(k)}_t = Q_k (x^{(k-1)}_t\, e^{s_k} + \mu_k), \qquad
              s_k, \mu_k \text{ from } x^{(k-1)}_{<t} \text{ and } c

    The layers of all networks are divided among the threads in consecutive, equal parts, and
    chunks pass from one thread to the next as on an assembly line. The rotation Q is the identity
    after the last step, and in a chain without rotations.

    Args:
        weights: the steps' weights. The chain uses their values at its construction.
        num_streams: signals in a batch, B.
        in_pairs: whether the layers multiply in bfloat16.
        length: expected number of time steps in a piece of the signal; None for a long signal. Few
            steps are drawn by fewer threads; the threads stay the same for later pieces.
    """

    def __init__(
        self,
        weights: ChainWeights,
        num_streams: int,
        in_pairs: bool = False,
        length: int | None = None,
    ) -> None:
        self._networks = networks = weights.networks
        self._steps = weights.laid_out(in_pairs)
        channels = networks[0].num_channels
        self._time = 0
        self._num_streams = num_streams
        threads = weights.num_threads(in_pairs, num_streams * (10**9 if length is None else length))
        self._chunk = CHUNK if channels == 1 or threads == 1 else CHUNK_OF_FRAMES
        total = sum(network.config.num_layers for network in networks)
        self._pool = ThreadPoolExecutor(max(1, threads - 1))  # the caller has a stage, too
        cuts = [total * i // threads for i in range(threads + 1)]
        self._stages: list[list[tuple[int, Segment]]] = [[] for _ in range(threads)]
        start = 0  # number of a network's first layer among the layers of all networks
        for k, (network, *_) in enumerate(self._steps):
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
        """Transform the next piece of the signal.

        Args:
            z: input of the first step, float32, shape (B, C, T).
            context: frames, shape (B, H, L) with T a multiple of L.
        Returns:
            output of the last step, shape (B, C, T).
        Raises:
            ValueError: if a shape or the type does not fit.
        """
        check_signal(z, self._networks[0].num_channels, "z")
        if z.shape[0] != self._num_streams or z.dtype != torch.float32:
            raise ValueError(
                f"z has {z.shape[0]} streams of {z.dtype}, expected {self._num_streams} of "
                "torch.float32"
            )
        check_frames(context, z, self._networks[0].context_channels)
        x = z.transpose(1, 2).clone(memory_format=torch.contiguous_format)
        frames = context.transpose(1, 2).to(x).contiguous()
        *others, last = self._stages
        is_short = len(others) > 0 and z.shape[-1] < FEW_CHUNKS * self._chunk
        length = self._chunk // 2 if is_short else self._chunk
        line = _Line(self._steps, frames.numpy(), x.numpy(), self._time, length)
        queues: list[SimpleQueue] = [SimpleQueue() for _ in others]
        inboxes: list[SimpleQueue | None] = [None, *queues]
        runs = [
            self._pool.submit(line.run, stage, inbox, outbox)
            for stage, inbox, outbox in zip(others, inboxes, queues, strict=False)
        ]
        try:
            line.run(last, inboxes[-1], None)
        finally:
            for run in runs:
                run.result()  # raises the stage's exception, if it failed
        self._time += z.shape[-1]
        return x.transpose(1, 2)


class _Line:
    """The chunks of one piece of signal, on their way through the threads' stages."""

    def __init__(
        self,
        steps: list[Step],
        frames: np.ndarray,
        x: np.ndarray,
        time: int,
        chunk: int,
    ) -> None:
        self._steps = steps
        self._frames = frames  # (B, L, H)
        self._read = rounded_to_pairs(frames) if are_pairs(steps[0].context.gates) else frames
        self._x = x  # (B, T, C)
        self._time = time
        self._length = chunk

    def run(
        self,
        stage: list[tuple[int, Segment]],
        inbox: SimpleQueue | None,
        outbox: SimpleQueue | None,
    ) -> None:
        """Take every chunk from the stage before, through this stage, to the stage after."""
        num_streams, num_samples, _ = self._x.shape
        span = num_samples // self._frames.shape[1]
        width = self._steps[0].network.row_scale.size
        rows: np.ndarray | None
        start = 0
        try:
            while start < num_samples:
                # A ring holds whole chunks: no chunk may cross a multiple of the chunk length.
                time = self._time + start
                length = min(num_samples - start, self._length - time % self._length)
                if inbox is None:
                    rows = np.empty((num_streams, length, width), np.float32)
                else:
                    rows = inbox.get()
                if rows is None:
                    raise RuntimeError("the stage before has failed")
                for k, segment in stage:
                    run_segment(
                        *self._steps[k],
                        segment,
                        self._frames,
                        self._read,
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
