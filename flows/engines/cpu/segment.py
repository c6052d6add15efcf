"""The streaming state of consecutive layers in the compiled parallel pass."""

from typing import NamedTuple

import numpy as np
import torch

from flows.engines.cpu.arrays import Network
from flows.engines.cpu.instructions.amx import amx_workspace
from flows.engines.cpu.panels import are_pairs, padded_to_vectors, padded_width

BLOCK = 32
"""Number of samples whose gates are computed together, so that the gates stay in the first-level
cache."""


class Segment(NamedTuple):
    """Consecutive layers of a network, and their streaming state for B streams between chunks.

    `rings` keeps the past inputs of the layers, and `rows` holds what passes from layer to layer.
    With matrices in float32, both names stand for one array. With matrices of pairs, `rings` holds
    pairs, and `rows` has room for two chunks: one layer's, which is read, and the next layer's,
    which is written.
    """

    first: int  # number of the first layer
    stop: int  # number after the last layer
    previous: np.ndarray  # the last sample of the chunk before, (B, C)
    starts: np.ndarray  # each layer's first row in `rings`
    lengths: np.ndarray  # each layer's number of rows in `rings`: whole chunks
    rings: np.ndarray  # past inputs, (B, ring rows, ..)
    row_starts: np.ndarray  # each layer's first row in `rows`
    row_lengths: np.ndarray  # each layer's number of rows in `rows`
    rows: np.ndarray  # a layer's input, then the sum of the skips so far, (B, rows, (R + S)*)
    framed: np.ndarray  # working memory: the context's gates, one row a frame, (chunk, (2R)*)
    gates: np.ndarray  # working memory: a layer's gates, one row a sample, (`BLOCK`, (2R)*)
    gated: np.ndarray  # working memory: a layer's gated units, (`BLOCK`, R or more)
    tap_rows: np.ndarray  # working memory: for each tap, the first row that it reads
    units: np.ndarray  # `gated` itself, or `gated` rounded to pairs
    amx: np.ndarray  # the workspace of `flows.engines.cpu.instructions.amx`


def start_segment(
    network: Network, first: int, stop: int, num_streams: int, num_channels: int, chunk: int
) -> Segment:
    """Return layers `first` to `stop` before the first chunk.

    Args:
        network: the network's weights.
        first: number of the first layer.
        stop: number after the last layer.
        num_streams: number of streams, B.
        num_channels: channels of the signal, C.
        chunk: largest number of samples in a chunk; a chunk must not cross a multiple of `chunk`.
    """
    taps = network.older.shape[0] // network.dilations.size
    past = taps * network.dilations[first:stop]
    row_lengths = lengths = (-(-past // chunk) + 1) * chunk
    row_starts = starts = np.cumsum(lengths) - lengths
    width = network.out_bias.shape[1]
    columns, block = padded_width(network.current), min(chunk, BLOCK)
    gated = np.zeros((block, padded_to_vectors(network.residual_channels)), np.float32)
    in_pairs = are_pairs(network.current)
    if in_pairs:  # one layer's chunk of rows is read while the next layer's chunk is written
        row_lengths = np.full_like(lengths, chunk)
        row_starts = chunk * (np.arange(stop - first) % 2)
    num_rows = int((row_starts + row_lengths).max())
    rows = np.zeros((num_streams, num_rows, width), np.float32)
    rings = rows
    if in_pairs:
        rings = np.zeros((num_streams, lengths.sum(), gated.shape[1] // 2), np.int32)
    return Segment(
        first=first,
        stop=stop,
        previous=np.zeros((num_streams, num_channels), np.float32),
        starts=starts,
        lengths=lengths,
        rings=rings,
        row_starts=row_starts,
        row_lengths=row_lengths,
        rows=rows,
        framed=np.empty((chunk, columns), np.float32),
        gates=torch.empty(block, columns).numpy(),
        gated=gated,
        tap_rows=np.zeros(taps + 1, np.int64),
        units=np.zeros((block, gated.shape[1] // 2), np.int32) if in_pairs else gated,
        amx=amx_workspace(in_pairs),
    )
