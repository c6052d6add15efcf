"""The arrays that compiled code reads and writes: a network, its context, its state."""

from typing import NamedTuple

import numpy as np


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
    lags: np.ndarray  # longest lag, number of lags, update interval in samples; zeros without
    sharpness: np.ndarray  # of the choice of a lag, float32 (3,), see `flows.PitchPrediction`
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
    lag_biases: np.ndarray  # of the long-term predictor, longest lag first, (B, L, lags + 1)
    first: int  # number of the chunk's first frame
    length: int  # samples per frame

    def of(self, streams: slice) -> "Frames":
        """Return the part of some streams."""
        return self._replace(
            gates=self.gates[streams],
            offsets=self.offsets[streams],
            coefficients=self.coefficients[streams],
            lag_biases=self.lag_biases[streams],
        )


class Streams(NamedTuple):
    """What B streams remember between samples."""

    previous: np.ndarray  # the last sample, (B, C)
    prediction: np.ndarray  # of that sample, (B, C)
    recent: np.ndarray  # the last K samples, oldest first, (B, C, K)
    history: np.ndarray  # what the long-term predictor reads, oldest first, (B, samples)
    taps: np.ndarray  # of the long-term predictor, longest lag first, (B, lags)
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
