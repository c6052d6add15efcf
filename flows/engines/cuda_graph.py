"""A cached step as a CUDA graph, replayed for every sample.

A step consists of a few hundred small kernels. A GPU computes the kernels faster than Python
launches them. A CUDA graph launches all kernels at once, but repeats them exactly: the tensors of a
step must stay at their addresses, and values that change from step to step must be in tensors.
"""

import dataclasses
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from flows.engines.cached import draw_sample
from flows.networks.linear_prediction import PredictionCache
from flows.networks.pitch_prediction import PitchCache
from flows.networks.wavenet import WaveNet, WaveNetState
from flows.transforms.mixture import MixtureCdf
from flows.transforms.transformers import Affine

WARM_UP_STEPS = 3
"""Number of steps before a capture, in which libraries allocate their memory."""


@torch.no_grad()
def graph_chunks(
    wavenet: WaveNet,
    transformer: Affine | MixtureCdf,
    noise: Tensor,
    context: Tensor | None,
    choice: Tensor | None,
    chunk: int,
) -> Iterator[Tensor]:
    """Draw signals on CUDA by replaying one step; see `cached_chunks`."""
    step = StaticStep(wavenet, transformer, noise, context, choice, chunk)
    yield from step.chunks(capture(step), noise, choice)


def capture(step: "StaticStep") -> Callable[[], None]:
    """Record a new step as a CUDA graph; return the function that replays the graph."""
    stream = torch.cuda.Stream(step.device)
    stream.wait_stream(torch.cuda.current_stream(step.device))
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP_STEPS):
            step()
            step.restart()
    torch.cuda.current_stream(step.device).wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.device(step.device), torch.cuda.graph(graph, stream=stream):
        step()  # recorded, not run
    return graph.replay


class StaticStep:
    """A step that draws one sample of every stream with fixed kernels on fixed memory.

    The step runs `WaveNet.step`. The layers' caches are ring buffers, whose positions are in a
    tensor. The context of the current frame is in buffers, which `enter_frame` fills.

    Args:
        wavenet: the network.
        transformer: the transformer of each sample.
        noise: noise of the whole signal, shape (B, C, T).
        context: frames, shape (B, H, L); None for an unconditional network.
        choice: uniform in [0, 1), chooses the components of a mixture, shape (B, C, T); None for an
            affine transformer.
        chunk: samples in a piece.
    """

    def __init__(
        self,
        wavenet: WaveNet,
        transformer: Affine | MixtureCdf,
        noise: Tensor,
        context: Tensor | None,
        choice: Tensor | None,
        chunk: int,
    ) -> None:
        self.device = noise.device
        self._wavenet, self._transformer = wavenet, transformer
        self._whole = wavenet.start(noise, context)
        self._time = torch.zeros(1, dtype=torch.long, device=noise.device)
        self._place = torch.zeros_like(self._time)  # index of the next sample in the chunk
        size = (min(chunk, noise.shape[-1]), *noise.shape[:2])
        self._noise, self._drawn = noise.new_zeros(size), noise.new_zeros(size)
        self._choice = None if choice is None else choice.new_zeros(size)
        self._previous = torch.zeros_like(noise[..., 0])
        config = wavenet.config
        lengths = [(config.kernel_size - 1) * dilation for dilation in config.dilations]
        self._positions = RingPositions(
            [layer.taps for layer in self._whole.layers], lengths, self._time
        )
        silent = noise.new_zeros(noise.shape[0], config.residual_channels)
        rings = [
            Ring(silent.repeat(length, 1, 1), at)
            for length, at in zip(lengths, self._positions.of_layers, strict=True)
        ]
        self._state = _in_place(self._whole, rings)
        self._memory = [self._time, self._place, self._previous, *(ring.rows for ring in rings)]
        if self._state.prediction is not None:
            self._memory += [self._state.prediction.recent, self._state.prediction.current]
        if isinstance(self._state.prediction, PitchCache):
            self._memory.append(self._state.prediction.taps)

    def restart(self) -> None:
        """Reset the state to silence, as before the first sample."""
        for memory in self._memory:
            memory.zero_()

    def chunks(
        self, step: Callable[[], None], noise: Tensor, choice: Tensor | None
    ) -> Iterator[Tensor]:
        """Draw the whole signal.

        Args:
            step: this step, or the function that replays its graph.
            noise: the noise that the step was made with.
            choice: the choice that the step was made with.
        Yields:
            x, shape (B, C, n) each.
        """
        chunk, samples = self._noise.shape[0], noise.shape[-1]
        for start in range(0, samples, chunk):
            count = min(chunk, samples - start)
            self._noise[:count] = noise[..., start : start + count].movedim(-1, 0)
            if self._choice is not None and choice is not None:
                self._choice[:count] = choice[..., start : start + count].movedim(-1, 0)
            self._place.zero_()
            for t in range(start, start + count):
                frame, offset = divmod(t, self._whole.samples_per_frame)
                if offset == 0:
                    self.enter_frame(frame)
                self.choose_taps(t)
                step()
            yield self._drawn[:count].movedim(0, -1).clone()

    def enter_frame(self, frame: int) -> None:
        """Copy a frame's context to the buffers that the step reads."""
        whole, state = self._whole, self._state
        state.gates.copy_(whole.gates[frame : frame + 1])
        if state.offsets is not None and whole.offsets is not None:
            state.offsets.copy_(whole.offsets[..., frame : frame + 1])
        if isinstance(state.prediction, PredictionCache):
            assert isinstance(whole.prediction, PredictionCache)
            coefficients = whole.prediction.coefficients
            frame = min(frame, coefficients.shape[2] - 1)  # one filter serves all frames
            state.prediction.coefficients.copy_(coefficients[:, :, frame : frame + 1])

    def choose_taps(self, time: int) -> None:
        """Choose the taps of a long-term predictor, if an update is due.

        A graph cannot decide whether an update is due, so this method runs outside the graph.

        Args:
            time: number of samples drawn so far.
        """
        prediction = self._state.prediction
        if isinstance(prediction, PitchCache):
            taps = prediction.next_taps(self._previous, time)
            if taps is not None:
                prediction.taps.copy_(taps)

    def __call__(self) -> None:
        """Draw the chunk's next sample."""
        self._positions.update()
        params = self._params()
        noise, choice = self._noise.index_select(0, self._place)[0], self._choice
        if choice is not None:
            choice = choice.index_select(0, self._place)[0]
        self._previous.copy_(draw_sample(self._transformer, params, noise, choice))
        self._drawn.index_copy_(0, self._place, self._previous[None])
        self._time.add_(1)
        self._place.add_(1)

    def _params(self) -> Tensor:
        """Run the network's step; copy each tensor that the step replaced to its old address."""
        state, prediction = self._state, self._state.prediction
        state.time = 0  # the state has one frame of one sample: the current frame
        if prediction is None:
            return self._wavenet.step(self._previous, state)
        recent, current = prediction.recent, prediction.current
        params = self._wavenet.step(self._previous, state)
        prediction.recent = recent.copy_(prediction.recent)
        prediction.current = current.copy_(prediction.current)
        return params


class RingPositions:
    """The positions, in each layer's ring buffer, of the inputs that the layer's kernel reads.

    An input's age is its place in the order of time: age 0 is the oldest input in the ring.

    Args:
        taps: for each layer, the ages that its kernel reads.
        lengths: for each layer, the number of inputs in its ring.
        time: number of samples drawn so far, shape (1,).
    """

    def __init__(self, taps: list[tuple[int, ...]], lengths: list[int], time: Tensor) -> None:
        self._time = time
        counts = torch.tensor([len(of_layer) for of_layer in taps])
        self._lengths = torch.tensor(lengths).repeat_interleave(counts).to(time.device)
        self._ages = torch.tensor([age for of_layer in taps for age in of_layer]).to(time.device)
        self._now = self._ages % self._lengths
        parts = iter(self._now.split(1))
        self.of_layers = [{age: next(parts) for age in of_layer} for of_layer in taps]
        """For each layer, the position of each age, shape (1,)."""

    def update(self) -> None:
        """Move on to the current time."""
        torch.remainder(self._time + self._ages, self._lengths, out=self._now)


class Ring:
    """The past inputs of a layer as a ring buffer; it takes the place of `LayerCache.past`.

    A new input overwrites the oldest input, and no input moves in memory.

    Args:
        rows: memory of the inputs, at first zeros, shape (length, B, R).
        at: position of each age that the layer reads, shape (1,) each; age 0 is the oldest.
    """

    def __init__(self, rows: Tensor, at: dict[int, Tensor]) -> None:
        self.rows = rows
        self._at = at

    def __getitem__(self, age: int) -> Tensor:
        return self.rows.index_select(0, self._at[age])[0]

    def append(self, h: Tensor) -> None:
        """Overwrite the oldest input by a new one."""
        self.rows.index_copy_(0, self._at[0], h[None])


class _FixedTaps(PitchCache):
    """A long-term predictor's cache whose taps are chosen outside the step."""

    def __post_init__(self) -> None:
        for name in ("recent", "current", "taps"):
            setattr(self, name, getattr(self, name).clone())

    def step(self, previous: Tensor, frame: int) -> Tensor:
        """Read the previous frame (B, C) and predict the next; return the last error, (B, C)."""
        return self.advance(previous)


def _in_place(whole: WaveNetState, rings: list[Ring]) -> WaveNetState:
    """Copy the state for a signal of a single frame; the layers read their past from `rings`."""
    prediction = whole.prediction
    if isinstance(prediction, PredictionCache):
        prediction = dataclasses.replace(
            prediction,
            coefficients=prediction.coefficients[:, :, :1].clone(),
            recent=prediction.recent.clone(),
            current=prediction.current.clone(),
        )
    elif prediction is not None:
        prediction = _FixedTaps(**vars(prediction))
    return dataclasses.replace(
        whole,
        layers=[
            dataclasses.replace(layer, past=ring)
            for layer, ring in zip(whole.layers, rings, strict=True)
        ],
        gates=whole.gates[:1].clone(),
        samples_per_frame=1,
        offsets=None if whole.offsets is None else whole.offsets[..., :1].clone(),
        prediction=prediction,
    )
