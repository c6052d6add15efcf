"""The arrays that compiled code reads and writes: a network, its context and its state."""

from typing import NamedTuple

import numpy as np


class Network(NamedTuple):
    """The weights of a WaveNet, laid out for one thread of compiled code.

    The comments below name these sizes:

    * N layers, R residual channels, S skip channels, C channels of the signal, P parameters for
      each channel.
    * W channels are read by the hidden layer and by the head: W = S, or W = R without skips.
    * U gated units of each layer are computed by this thread: U = R, or U = R / 2 if two threads
      share the network.
    * Q numbers pass from a layer to the next. In a loop over samples, they are the next layer's
      input: Q = R. In a parallel pass, the sum of the skips so far follows the input: Q = R + S.
    * V columns of the `skip` matrices: V = S in a loop over samples, which sums the skips in an
      array of their own. V = 0 in a parallel pass, where the `out` matrices compute the skips, too.

    "R to Q" is a matrix with R inputs and Q outputs. Matrices are stored in panels
    (`flows.engines.cpu.panels`), shape (matrices, panels, inputs, columns of a panel). Q* is Q
    rounded up to whole panels. The matrices of the layers may hold pairs of bfloat16 numbers; then
    the third dimension has half the size.
    """

    first: np.ndarray  # the input layer: from the network's inputs to R
    first_bias: np.ndarray  # Q*
    current: np.ndarray  # each layer's newest tap, on the current input: N matrices, R to 2U
    older: np.ndarray  # each layer's older taps, newest first: N * (kernel - 1) matrices, R to 2U
    out: np.ndarray  # each layer's output: N matrices, R to Q
    out_bias: np.ndarray  # (N, Q*)
    skip: np.ndarray  # each layer's skip: N matrices, R to V
    skip_bias: np.ndarray  # sum of all layers' skip biases, V*
    row_scale: np.ndarray  # factors of a layer's input, and of earlier skips, in its output, Q*
    hidden: np.ndarray  # W to W
    hidden_bias: np.ndarray  # W*
    head: np.ndarray  # W to P * C: P parameters for each of C channels
    head_bias: np.ndarray  # (P * C)*
    dilations: np.ndarray  # (N,)
    is_location: np.ndarray  # 1 for a parameter to which the prediction is added, else 0; (P,)
    lags: np.ndarray  # longest lag, number of lags, update interval, samples; 0 without prediction
    sharpness: np.ndarray  # `CORRELATION_GAIN` times `PitchPrediction.sharpness`, float32, (3,)
    least_energy: float  # `LEAST_ENERGY` of the long-term predictor
    parts: int  # number of threads that share the network
    part: int  # number of this thread
    num_logits: int  # logits of a mixture, which precede locations and log-scales; 0 for a Gaussian
    residual_channels: int
    skip_channels: int
    skip_gain: float  # factor of the hidden layer's input
    error_gain: float  # factor of the last prediction error, an input of the network
    log_scale_floor: float  # nats


class ContextWeights(NamedTuple):
    """The weights that multiply a context of H channels, in panels."""

    gates: np.ndarray  # each layer's gates: N matrices, H to 2R, in pairs as the layers' are
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

    A layer's ring is a ring buffer of the layer's past inputs. "Rounded" means that an array holds
    pairs of bfloat16 numbers, if the matrices of the layers do.
    """

    previous: np.ndarray  # the last sample, (B, C)
    prediction: np.ndarray  # the prediction of the last sample, (B, C)
    deviations: np.ndarray  # distances of samples from their locations, (B, C)
    recent: np.ndarray  # the last K samples, oldest first, (B, C, K)
    history: np.ndarray  # samples that the long-term predictor reads, oldest first, (B, samples)
    taps: np.ndarray  # taps of the long-term predictor, longest lag first, (B, lags)
    inputs: np.ndarray  # the network's inputs, B rows
    blocks: np.ndarray  # for each layer, samples whose older taps are computed at once
    rings: np.ndarray  # for each layer, the length of its ring, samples
    past: np.ndarray  # the rings of all layers, rounded, B rows a sample; `rows` if not rounded
    rows: np.ndarray  # if rounded, rows of two layers; otherwise all rings, then the last output
    gates: np.ndarray  # each layer's gates for the current block; B rows a sample
    gated: np.ndarray  # a layer's gated units, B rows of R columns or more
    units: np.ndarray  # `gated`, rounded; the same array as `gated` if not rounded
    sent: np.ndarray  # the memory of `units` as integers of 64 bits: two units, or two pairs, each
    apart: np.ndarray  # a layer's output: the sum over one half of the units, B rows
    summed: np.ndarray  # input of the hidden layer, later input of the head, B rows
    hidden: np.ndarray  # output of the hidden layer, B rows
    params: np.ndarray  # output of the head, B rows
    amx: np.ndarray  # the workspace of `flows.engines.cpu.instructions.amx`


class Exchange(NamedTuple):
    """The memory in which two threads that share a network pass results to each other.

    Even and odd times have separate sums of skips, so that a thread may begin a sample while the
    other thread still reads the sums of the sample before.
    """

    units: np.ndarray  # for each thread and layer, B rows: the thread's half of `Streams.sent`
    skips: np.ndarray  # for even and odd times and each half of the units, B rows of sums, V*
    counters: np.ndarray  # each thread's number of finished samples, `COUNTER_STRIDE` apart


class Samples(NamedTuple):
    """A chunk of T samples of B streams."""

    noise: np.ndarray  # (B, C, T)
    choice: np.ndarray  # uniform in [0, 1), chooses the component of a mixture; (B, C, T)
    x: np.ndarray  # the drawn samples are written here, (B, C, T)

    def of(self, streams: slice) -> "Samples":
        """Return the samples of some of the streams."""
        return Samples(self.noise[streams], self.choice[streams], self.x[streams])
