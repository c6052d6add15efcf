"""Layout of a network, its context and a loop's state in arrays for compiled code."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from flows.engines.cpu.arrays import ContextWeights, Exchange, Frames, Network, Streams
from flows.engines.cpu.exchange import COUNTER_STRIDE
from flows.engines.cpu.instructions.amx import amx_workspace
from flows.engines.cpu.instructions.intrinsics import LANES
from flows.engines.cpu.panels import (
    are_pairs,
    in_panels,
    padded_to_vectors,
    padded_width,
    whole_panels,
)
from flows.networks.gated import SQRT_HALF, skip_gain
from flows.networks.linear_prediction import LinearPrediction
from flows.networks.pitch_prediction import CORRELATION_GAIN, LEAST_ENERGY, PitchPrediction
from flows.networks.wavenet import FRAME_GAIN, WaveNet
from flows.networks.wavenet_config import WaveNetConfig
from flows.precision import full_precision

LEAST_SHARED, LEAST_SHARED_IN_PAIRS = 64, 96
"""The smallest number of residual channels of a network that two threads share, in float32 and in
bfloat16. In a smaller network the threads lose more time by waiting for each other than they gain.
"""


LEAST_IN_TILES = 64
"""The smallest number of residual channels with which a loop over samples multiplies by AMX. With
fewer, a single row is slower in tiles."""


def threads_sharing(config: WaveNetConfig, num_threads: int, in_pairs: bool = False) -> int:
    """Return the best number of threads to share a network, 1 or 2.

    Args:
        config: the network's size.
        num_threads: largest number of threads.
        in_pairs: whether the network's layers multiply in bfloat16.
    """
    width, least = config.residual_channels, LEAST_SHARED_IN_PAIRS if in_pairs else LEAST_SHARED
    return 2 if num_threads >= 2 and width >= least and width % (2 * LANES) == 0 else 1


def lay_out_pass(wavenet: WaveNet, log_scale_floor: float, in_pairs: bool = False) -> Network:
    """Lay out the weights of a parallel pass, with weight norm folded.

    Args:
        wavenet: the network, in float32 on the CPU.
        log_scale_floor: lower bound of the affine transformer's log-scale.
        in_pairs: whether the layers' matrices hold pairs of bfloat16 numbers.
    """
    config = wavenet.config
    row = config.residual_channels + config.skip_channels
    return _lay_out(wavenet, log_scale_floor, row, 1, in_pairs)[0]


def lay_out_loop(
    wavenet: WaveNet, log_scale_floor: float, parts: int, in_pairs: bool = False
) -> list[Network]:
    """Lay out the weights of a loop over samples for each thread, with weight norm folded.

    Args:
        wavenet: the network, in float32 on the CPU.
        log_scale_floor: lower bound of the affine transformer's log-scale.
        parts: number of threads that share the network, 1 or 2.
        in_pairs: whether the layers' matrices hold pairs of bfloat16 numbers.
    """
    return _lay_out(wavenet, log_scale_floor, wavenet.config.residual_channels, parts, in_pairs)


@torch.no_grad()
def _lay_out(
    wavenet: WaveNet, log_scale_floor: float, row: int, parts: int, in_pairs: bool
) -> list[Network]:
    """Lay out the weights of `WaveNet.step` for each thread, for rows of `row` columns."""
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
    lags, sharpness = np.zeros(3, np.int64), np.zeros(3, np.float32)
    if isinstance(wavenet.prediction, PitchPrediction):
        pitch = config.pitch
        lags = np.array([pitch.longest_lag, pitch.num_lags, pitch.update])
        sharpness = (CORRELATION_GAIN * wavenet.prediction.sharpness).numpy()
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
            lags=lags,
            sharpness=sharpness,
            least_energy=LEAST_ENERGY,
            parts=parts,
            part=part,
            num_logits=int(wavenet.is_location[:, 0].argmax()),
            residual_channels=width,
            skip_channels=skips,
            skip_gain=skip_gain(config.num_layers) if skips else 1.0,
            error_gain=wavenet.error_gain,
            log_scale_floor=log_scale_floor,
        )
        for part in range(parts)
    ]


@torch.no_grad()
def lay_out_context(wavenet: WaveNet, in_pairs: bool = False) -> ContextWeights:
    """Lay out the context weights of a conditional network for a parallel pass.

    Args:
        wavenet: the network, in float32 on the CPU.
        in_pairs: whether the matrices of the gates hold pairs of bfloat16 numbers.
    """
    assert wavenet.context is not None
    assert wavenet.frame_params is not None
    biases = wavenet.gate_biases()
    gates = wavenet.context.weight[..., 0].unflatten(0, biases.shape)
    return ContextWeights(
        gates=in_panels(gates.transpose(1, 2), in_pairs),
        bias=whole_panels(biases),
        params=in_panels(FRAME_GAIN * wavenet.frame_params.weight[..., 0].T[None]),
    )


@torch.no_grad()
def lay_out_frames(
    wavenet: WaveNet, like: Tensor, context: Tensor | None, first: int, length: int, parts: int = 1
) -> list[Frames]:
    """Lay out the context's contributions to a chunk, for each thread.

    Args:
        wavenet: the network.
        like: a tensor of the chunk's shape, (B, C, T).
        context: the chunk's frames, shape (B, H, L); None for an unconditional network.
        first: number of the chunk's first frame.
        length: samples per frame.
        parts: number of threads that share the network.
    """
    coefficients, batch, channels = None, like.shape[0], like.shape[1]
    lag_biases = torch.zeros(batch, 1, 0)
    with full_precision(like):
        gates, offsets = wavenet.project(like, context)
        if isinstance(wavenet.prediction, LinearPrediction):
            coefficients = wavenet.prediction.coefficients(batch, context)
        elif wavenet.prediction is not None:
            biases = wavenet.prediction.biases(batch, context)
            lag_biases = torch.cat([biases[..., :-1].flip(-1), biases[..., -1:]], -1)
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
            lag_biases=lag_biases.contiguous().numpy(),
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
        network: the network's weights.
        num_streams: number of streams, B.
        num_channels: channels of the signal, C.
        order: order of the linear predictor, K.
        longest_block: largest number of samples whose older taps a layer computes at once: a power
            of two and, with a context, a divisor of the frame length.
    """
    samples = (num_streams, num_channels)
    taps = network.older.shape[0] // network.dilations.size
    blocks = np.minimum(network.dilations, longest_block)
    # The oldest inputs that a block reads are still read after the block has begun to overwrite the
    # ring, so a ring has room for one more block.
    rings = taps * network.dilations + blocks
    in_pairs = are_pairs(network.current)

    def rows(count: int, columns: int, dtype: torch.dtype = torch.float32) -> np.ndarray:
        # PyTorch's memory begins at a cache line.
        return torch.zeros(count * num_streams, columns, dtype=dtype).numpy()

    width = padded_to_vectors(network.residual_channels)
    gated = rows(1, width)
    units = rows(1, width // 2, torch.int32) if in_pairs else gated
    num_rows, row = int(rings.sum()) + 1, network.row_scale.size
    kept = rows(2 if in_pairs else num_rows, row)
    return Streams(
        previous=np.zeros(samples, np.float32),
        prediction=np.zeros(samples, np.float32),
        deviations=np.zeros(samples, np.float32),
        recent=np.zeros((*samples, order), np.float32),
        history=np.zeros((num_streams, 2 * network.lags[0]), np.float32),
        taps=np.zeros((num_streams, network.lags[1]), np.float32),
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
        amx=amx_workspace(in_pairs and network.residual_channels >= LEAST_IN_TILES),
    )


def start_exchange(network: Network, num_streams: int) -> Exchange:
    """Return the memory that two threads exchange results in, before the first sample."""
    shared = num_streams * network.dilations.size if network.parts == 2 else 0
    # A thread sends one half of the units, and an integer holds two units (or two pairs).
    width = network.out.shape[2] // 4
    return Exchange(
        units=torch.zeros(2 * shared, width, dtype=torch.int64).numpy(),
        skips=torch.zeros(4 * num_streams, network.skip_bias.size).numpy(),
        counters=np.zeros(network.parts * COUNTER_STRIDE, np.int64),
    )


def _for_threads(gates: Tensor, parts: int) -> Tensor:
    """Split gates (..., 2R), R for the tanh, then R for the sigmoid, into (parts, ..., 2U)."""
    return gates.unflatten(-1, (2, parts, -1)).movedim(-2, 0).flatten(-2)
