"""The arrays that compiled code reads and writes: a network, its context and its state."""

from typing import NamedTuple

import numpy as np


class Network(NamedTuple):
    """The weights of a WaveNet that one thread needs, laid out for compiled code.

    The WaveNet has N layers, R residual channels and S skip channels. Its hidden layer and its head
    read W channels: W = S, or W = R without skips. "R to Q" is a matrix of R inputs and Q outputs.

    Matrices are in panels, shape (number of matrices, panels, depth, columns). A star marks a width
    rounded up to whole panels. The layers' matrices can hold pairs of bfloat16 numbers: their depth
    is then halved.

    In a parallel pass a layer's row holds the layer's input and, beside it, the sum of the skips of
    the layers so far: Q = R + S, and V = 0, as the skips need no matrix of their own. In a loop
    over samples a row holds the input alone, Q = R, and the skips are summed apart, V = S.

    U is the number of gated units that the thread computes in a layer: U = R for a thread alone,
    U = R / 2 where two threads share the network.
    """

    first: np.ndarray  # matrix of the network's inputs, to R
    first_bias: np.ndarray  # Q*
    current: np.ndarray  # each layer's tap on its current input: N matrices, R to 2U
    older: np.ndarray  # each layer's older taps, newest first: N * (kernel - 1) matrices, R to 2U
    out: np.ndarray  # each layer's output: N matrices, R to Q
    out_bias: np.ndarray  # (N, Q*)
    skip: np.ndarray  # each layer's skip: N matrices, R to V
    skip_bias: np.ndarray  # sum of all layers' skip biases, V*
    row_scale: np.ndarray  # factors of a row that goes on to the next layer, Q*
    hidden: np.ndarray  # W to W
    hidden_bias: np.ndarray  # W*
    head: np.ndarray  # W to P * C: P parameters for each of C channels
    head_bias: np.ndarray  # (P * C)*
    dilations: np.ndarray  # (N,)
    is_location: np.ndarray  # 1 for a parameter to which the prediction is added, else 0; (P,)
    lags: np.ndarray  # longest lag, number of lags, update interval, samples; 0 without prediction
    sharpness: np.ndarray  # `flows.PitchPrediction.sharpness` with its gain, float32, (3,)
    parts: int  # number of threads that share the network
    part: int  # number of this thread
    num_logits: int  # logits of a mixture: parameters are logits, then locations, then log-scales
    residual_channels: int
    skip_channels: int
    skip_gain: float
    error_gain: float
    log_scale_floor: float


class ContextWeights(NamedTuple):
    """The weights that multiply a context of H channels, in panels."""

    gates: np.ndarray  # each layer's gates: N matrices, H to 2R
    bias: np.ndarray  # each layer's gate bias, (N, (2R)*)
    params: np.ndarray  # the parameters: H to P * C


class Frames(NamedTuple):
    """The context's contributions to a chunk of B streams, for each of L frames."""

    gates: np.ndarray  # the projected context plus the gate bias, (B, L, N, (2U)*)
    offsets: np.ndarray  # offsets of the parameters, (B, L, P, C)
    coefficients: np.ndarray  # linear predictor, oldest sample first, (B, L, C, K)
    lag_biases: np.ndarray  # long-term predictor, longest lag first, (B, L, lags + 1)
    first: int  # number of the chunk's first frame
    length: int  # samples per frame

    def of(self, streams: slice) -> "Frames":
        """Return the contributions to some of the streams."""
        return self._replace(
            gates=self.gates[streams],
            offsets=self.offsets[streams],
            coefficients=self.coefficients[streams],
            lag_biases=self.lag_biases[streams],
        )


class Streams(NamedTuple):
    """The state of B streams between samples, and the loop's working memory.

    A layer's ring is a ring buffer of the layer's past inputs. An array that holds "pairs" holds
    the named array rounded to pairs of bfloat16 numbers.
    """

    previous: np.ndarray  # the last sample, (B, C)
    prediction: np.ndarray  # the prediction of the last sample, (B, C)
    deviations: np.ndarray  # distances of samples from their locations, float64, (B, C)
    recent: np.ndarray  # the last K samples, oldest first, (B, C, K)
    history: np.ndarray  # samples that the long-term predictor reads, oldest first, (B, samples)
    taps: np.ndarray  # taps of the long-term predictor, longest lag first, (B, lags)
    inputs: np.ndarray  # the network's inputs, B rows
    blocks: (
        np.ndarray
    )  # for each layer, the number of samples whose older taps are computed at once
    rings: np.ndarray  # for each layer, the length of its ring, samples
    past: np.ndarray  # all rings, of `rows` or of pairs of `rows`; B rows a sample
    rows: np.ndarray  # layers' inputs, then the last output; with pairs, of two layers at a time
    gates: np.ndarray  # each layer's gates for the current block; B rows a sample
    gated: np.ndarray  # a layer's gated units, B rows of R columns or more
    units: np.ndarray  # `gated`, or pairs of it
    sent: np.ndarray  # `units` as integers of 64 bits: two units, or two pairs, in each
    apart: np.ndarray  # the sum over one half of the units for a layer's output, B rows
    summed: np.ndarray  # inputs of the hidden layer, then of the head, B rows
    hidden: np.ndarray  # output of the hidden layer, B rows
    params: np.ndarray  # output of the head, B rows


class Exchange(NamedTuple):
    """The memory in which two threads that share a network pass results to each other.

    For each thread and each layer, `units` has B rows of gated units: U / 2 integers of 64 bits, or
    U / 4 where an integer holds two pairs.
    """

    units: np.ndarray
    skips: np.ndarray  # sums of skips, B rows of V* for even or odd times and each half of units
    counters: np.ndarray  # each thread's number of finished samples, `COUNTER_STRIDE` apart


class Samples(NamedTuple):
    """A chunk of T samples of B streams."""

    noise: np.ndarray  # (B, C, T)
    choice: np.ndarray  # uniform in [0, 1), chooses the component of a mixture; (B, C, T)
    x: np.ndarray  # the drawn samples are written here, (B, C, T)

    def of(self, streams: slice) -> "Samples":
        """Return the samples of some of the streams."""
        return Samples(self.noise[streams], self.choice[streams], self.x[streams])
