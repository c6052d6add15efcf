"""How compiled code holds a network, its context and its state in plain arrays."""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from flows.autocast import full_precision
from flows.compiled.intrinsics import LANES
from flows.compiled.panels import in_panels, padded_to_vectors, padded_width, whole_panels
from flows.gated import SQRT_HALF, skip_gain
from flows.wavenet import ERROR_GAIN, FRAME_GAIN, WaveNet
from flows.wavenet_config import WaveNetConfig

LEAST_SHARED = 64
"""Residual channels, at least, of a network that two threads share: what they gain by it is above
what they spend on waiting for each other."""

COUNTER_STRIDE = 16
"""Integers from one counter to the next: two cache lines, as processors fetch pairs."""

MARKED = 1 << 62 | 1 << 30
"""The highest bit of the exponents of two numbers in an integer, or of two of four in bfloat16. No
gated unit has it, because none is greater than one; so it can say whether they are new. NaN has it,
and is above one without it."""


class Network(NamedTuple):
    """What a thread needs of a WaveNet: R residual and S skip channels, N layers, W = S or else R.

    Matrices are in panels, (how many, panels, depth, columns); a star marks a width rounded up to
    whole panels. Those of the layers can be in pairs of bfloat16 numbers, of half the depth. In a
    parallel pass a layer's row holds its input and, beside it, the sum of the skips so far, Q = R +
    S; there are no other skips, V = 0. In a loop over samples a row holds the input alone, Q = R,
    and skips are summed elsewhere, V = S. All gated units are the thread's own, U = R, or half of
    them, U = R / 2, where two threads share the network.
    """

    first: np.ndarray  # the network's inputs to R
    first_bias: np.ndarray  # Q*
    current: np.ndarray  # of each layer, the tap on its current input: N of R to 2U
    older: np.ndarray  # the other taps, newest first: N * (kernel - 1) of R to 2U
    out: np.ndarray  # N of R to Q
    out_bias: np.ndarray  # (N, Q*)
    skip: np.ndarray  # N of R to V
    skip_bias: np.ndarray  # of all layers together, V*
    row_scale: np.ndarray  # of a row on its way to the next layer, Q*
    hidden: np.ndarray  # W to W
    hidden_bias: np.ndarray  # W*
    head: np.ndarray  # W to P * C
    head_bias: np.ndarray  # (P * C)*
    dilations: np.ndarray  # (N,)
    is_location: np.ndarray  # (P,): 1 where the prediction is added
    parts: int  # threads that share the network
    part: int  # number of this one
    num_logits: int  # of a mixture's weights, the first parameters; then locations, log-scales
    residual_channels: int
    skip_channels: int
    skip_gain: float
    error_gain: float
    log_scale_floor: float


class ContextWeights(NamedTuple):
    """What a network's context of H channels is multiplied by, in panels."""

    gates: np.ndarray  # of each layer, N of H to 2R
    bias: np.ndarray  # of each layer's gates, (N, (2R)*)
    params: np.ndarray  # H to P * C


class Frames(NamedTuple):
    """What the context contributes to a chunk, frame by frame."""

    gates: np.ndarray  # context and gate bias, (B, L, N, (2U)*)
    offsets: np.ndarray  # added to the parameters, (B, L, P, C)
    coefficients: np.ndarray  # of the linear predictor, oldest sample first, (B, L, C, K)
    first: int  # number of the chunk's first frame
    length: int  # samples per frame

    def of(self, streams: slice) -> "Frames":
        """Return the part of some streams."""
        arrays = (self.gates[streams], self.offsets[streams], self.coefficients[streams])
        return Frames(*arrays, self.first, self.length)


class Streams(NamedTuple):
    """What B streams remember between samples."""

    previous: np.ndarray  # the last sample, (B, C)
    prediction: np.ndarray  # of that sample, (B, C)
    recent: np.ndarray  # the last K samples, oldest first, (B, C, K)
    inputs: np.ndarray  # of the network, B rows
    blocks: np.ndarray  # of each layer, the samples its older taps are computed for at once
    rings: np.ndarray  # of each layer, the length in samples of its ring of past rows
    past: np.ndarray  # all rings: `rows` or their pairs; B rows a sample
    rows: np.ndarray  # inputs, then the last layer's output: of all rings, or of every other layer
    gates: np.ndarray  # each layer's gates for the current block; B rows a sample
    gated: np.ndarray  # a layer's gated units, B rows of R or more
    units: np.ndarray  # `gated` or its pairs
    sent: np.ndarray  # `units`, two of them or two pairs an integer
    apart: np.ndarray  # a part of a layer's output, B rows
    summed: np.ndarray  # what `hidden` and `head` read, B rows
    hidden: np.ndarray  # B rows
    params: np.ndarray  # the head's output, B rows


class Exchange(NamedTuple):
    """What the threads that share a network compute for each other, for B streams."""

    units: (
        np.ndarray
    )  # of each thread, gated units of each layer: B rows of U / 2 integers, or U / 4
    skips: np.ndarray  # sums of even and odd times over units of each half, B rows of V*
    counters: np.ndarray  # of each thread, how far it has come; `COUNTER_STRIDE` apart


class Samples(NamedTuple):
    """A chunk of T samples of B streams."""

    noise: np.ndarray  # (B, C, T)
    choice: np.ndarray  # uniform in [0, 1), picks the component of a mixture; (B, C, T)
    x: np.ndarray  # gets the samples, (B, C, T)

    def of(self, streams: slice) -> "Samples":
        """Return the part of some streams."""
        return Samples(self.noise[streams], self.choice[streams], self.x[streams])


def threads_sharing(config: WaveNetConfig, num_threads: int) -> int:
    """Return by how many threads a network is best shared.

    Args:
        config: of the network.
        num_threads: at most.
    """
    width = config.residual_channels
    return 2 if num_threads >= 2 and width >= LEAST_SHARED and width % (2 * LANES) == 0 else 1


def lay_out_pass(wavenet: WaveNet, log_scale_floor: float, in_pairs: bool = False) -> Network:
    """Lay out what a parallel pass multiplies by, weight norm folded.

    Args:
        wavenet: the network, in float32 on the CPU.
        log_scale_floor: of the affine transformer.
        in_pairs: the layers' matrices are in pairs of bfloat16 numbers.
    """
    config = wavenet.config
    row = config.residual_channels + config.skip_channels
    return _lay_out(wavenet, log_scale_floor, row, 1, in_pairs)[0]


def lay_out_loop(
    wavenet: WaveNet, log_scale_floor: float, parts: int, in_pairs: bool = False
) -> list[Network]:
    """Lay out what a loop over samples multiplies by, weight norm folded, for each thread.

    Args:
        wavenet: the network, in float32 on the CPU.
        log_scale_floor: of the affine transformer.
        parts: threads that share the network, 1 or 2.
        in_pairs: see `lay_out_pass`.
    """
    return _lay_out(wavenet, log_scale_floor, wavenet.config.residual_channels, parts, in_pairs)


@torch.no_grad()
def _lay_out(
    wavenet: WaveNet, log_scale_floor: float, row: int, parts: int, in_pairs: bool
) -> list[Network]:
    """Lay out what `WaveNet.step` multiplies by for rows of so many columns, for each thread."""
    config = wavenet.config
    like = wavenet.input_std.new_zeros(1, wavenet.num_channels, 1)
    context = like.new_zeros(1, wavenet.context_channels, 1) if wavenet.context_channels else None
    state = wavenet.start(like, context)
    width, skips = config.residual_channels, config.skip_channels
    row_scale = torch.tensor([SQRT_HALF] * width + [1.0] * skips)
    taps = [layer.gate_weight.unflatten(0, (-1, width)).flip(0) for layer in state.layers]
    newest = _for_threads(torch.stack([tap[0] for tap in taps]), parts)
    older = _for_threads(torch.cat([tap[1:] for tap in taps]), parts)
    out = torch.stack([layer.out_weight for layer in state.layers]) * row_scale
    out_bias = torch.stack([layer.out_bias for layer in state.layers]) * row_scale
    to_rows, to_skips = in_panels(out[..., :row], in_pairs), in_panels(out[..., row:], in_pairs)
    skip_bias = whole_panels(out_bias[:, row:].sum(0))
    return [
        Network(
            first=in_panels((state.first[0] / wavenet.input_std).T[None]),
            first_bias=whole_panels(F.pad(state.first[1], (0, row - width))),
            current=in_panels(newest[part], in_pairs),
            older=in_panels(older[part], in_pairs),
            out=to_rows,
            out_bias=whole_panels(out_bias[:, :row]),
            skip=to_skips,
            skip_bias=skip_bias,
            row_scale=whole_panels(row_scale[:row]),
            hidden=in_panels(state.hidden[0].T[None]),
            hidden_bias=whole_panels(state.hidden[1]),
            head=in_panels(state.head[0].T[None]),
            head_bias=whole_panels(state.head[1]),
            dilations=np.array(config.dilations),
            is_location=wavenet.is_location[:, 0].numpy(),
            parts=parts,
            part=part,
            num_logits=0 if wavenet.num_params == 2 else wavenet.num_params // 3,
            residual_channels=width,
            skip_channels=skips,
            skip_gain=skip_gain(config.num_layers) if skips else 1.0,
            error_gain=ERROR_GAIN,
            log_scale_floor=log_scale_floor,
        )
        for part in range(parts)
    ]


@torch.no_grad()
def lay_out_context(wavenet: WaveNet) -> ContextWeights:
    """Lay out what a conditional network multiplies its context by, as `lay_out_pass`."""
    assert wavenet.context is not None
    assert wavenet.frame_params is not None
    biases = wavenet.gate_biases()
    gates = wavenet.context.weight[..., 0].unflatten(0, biases.shape)
    return ContextWeights(
        gates=in_panels(gates.transpose(1, 2)),
        bias=whole_panels(biases),
        params=in_panels(FRAME_GAIN * wavenet.frame_params.weight[..., 0].T[None]),
    )


@torch.no_grad()
def lay_out_frames(
    wavenet: WaveNet, like: Tensor, context: Tensor | None, first: int, length: int, parts: int = 1
) -> list[Frames]:
    """Lay out what the context of a chunk contributes, for each thread.

    Args:
        wavenet: the network.
        like: a tensor of the chunk's shape, (B, C, T).
        context: its frames, shape (B, H, L); None for an unconditional network.
        first: number of the chunk's first frame.
        length: samples per frame.
        parts: threads that share the network.
    """
    coefficients, batch, channels = None, like.shape[0], like.shape[1]
    with full_precision(like):
        gates, offsets = wavenet.project(like, context)
        if wavenet.prediction is not None:
            coefficients = wavenet.prediction.coefficients(batch, context)
    if offsets is None:
        offsets = torch.zeros(batch, wavenet.num_params, channels, 1)
    if coefficients is None:
        coefficients = torch.zeros(batch, channels, gates.shape[0], 0)
    offsets, coefficients = offsets.permute(0, 3, 1, 2), coefficients.transpose(1, 2)
    return [
        Frames(
            gates=whole_panels(own),
            offsets=offsets.contiguous().numpy(),
            coefficients=coefficients.contiguous().numpy(),
            first=first,
            length=length,
        )
        for own in _for_threads(gates.permute(2, 0, 1, 3), parts)
    ]


def start_streams(
    network: Network, num_streams: int, num_channels: int, order: int, longest_block: int
) -> Streams:
    """Return the state of streams before their first sample.

    Args:
        network: weights.
        num_streams: B.
        num_channels: channels of the signal, C.
        order: of the linear predictor, K.
        longest_block: a power of two; where there are frames, a divisor of their length.
    """
    samples = (num_streams, num_channels)
    taps = network.older.shape[0] // network.dilations.size
    blocks = np.minimum(network.dilations, longest_block)
    # A block's oldest inputs are read after its first row has been written: a block more.
    rings = taps * network.dilations + blocks
    in_pairs = network.current.dtype == np.int32

    def rows(count: int, columns: int, dtype: torch.dtype = torch.float32) -> np.ndarray:
        # begins at a cache line
        return torch.zeros(count * num_streams, columns, dtype=dtype).numpy()

    width = padded_to_vectors(network.residual_channels)
    gated = rows(1, width)
    units = rows(1, width // 2, torch.int32) if in_pairs else gated
    num_rows, row = int(rings.sum()) + 1, network.row_scale.size
    kept = rows(2 if in_pairs else num_rows, row)

    return Streams(
        previous=np.zeros(samples, np.float32),
        prediction=np.zeros(samples, np.float32),
        recent=np.zeros((*samples, order), np.float32),
        inputs=rows(1, network.first.shape[2]),
        blocks=blocks,
        rings=rings,
        past=rows(num_rows, width // 2, torch.int32) if in_pairs else kept,
        rows=kept,
        gates=rows(blocks.sum(), padded_width(network.current)),
        gated=gated,
        units=units,
        sent=units.view(np.int64) if network.parts == 2 else np.zeros((0, 0), np.int64),
        apart=rows(1, row),
        summed=rows(1, network.hidden.shape[2]),
        hidden=rows(1, network.hidden_bias.size),
        params=rows(1, network.head_bias.size),
    )


def start_exchange(network: Network, num_streams: int) -> Exchange:
    """Return what passes between the parts of a network before the first sample."""
    shared = num_streams * network.dilations.size if network.parts == 2 else 0
    units_sent = (
        8 if network.current.dtype == np.int32 else 4
    )  # of two threads, for an integer each
    width = network.residual_channels // units_sent
    return Exchange(
        units=torch.zeros(2 * shared, width, dtype=torch.int64).numpy(),
        skips=torch.zeros(4 * num_streams, network.skip_bias.size).numpy(),
        counters=np.zeros(network.parts * COUNTER_STRIDE, np.int64),
    )


def _for_threads(gates: Tensor, parts: int) -> Tensor:
    """Cut (..., 2R), tanh's gates and then the sigmoid's, into each thread's, (parts, ..., 2U)."""
    return gates.unflatten(-1, (2, parts, -1)).movedim(-2, 0).flatten(-2)
