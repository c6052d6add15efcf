"""One gated residual layer as a Triton kernel: it computes a `ResidualLayer` in one pass.

A program computes all channels of a block of samples. So the output of the convolution reaches the
gate, and the gated units reach the 1x1 convolution, without a detour through memory. Channels are
rows, and samples are columns. The number of rows is rounded up to a power of two; the weights of
the added rows are zero.
"""

import triton
import triton.language as tl


@triton.jit
def read_rows(
    h: tl.tensor,
    past: tl.tensor,
    row: tl.tensor,
    time: tl.tensor,
    num_samples: int,
    history: int,
    width: tl.constexpr,
    has_past: tl.constexpr,
) -> tl.tensor:
    """Load a signal, and the samples before it, at some channels and times.

    Args:
        h: pointer to the signal, (width, num_samples), from time 0 on.
        past: pointer to the samples before the signal, (width, history).
        row: channels to load, a vector.
        time: times to load, a vector.
        num_samples: samples of the signal.
        history: samples before the signal.
        width: number of channels.
        has_past: whether to read the past; without a past, negative times give zero.
    Returns:
        values, shape (channels, times). Channels and times that do not exist give zero.
    """
    known = (row < width)[:, None]
    within = (time >= 0) & (time < num_samples)
    x = tl.load(h + row[:, None] * num_samples + time[None], mask=known & within[None], other=0.0)
    if has_past:
        before = known & (time < 0)[None]
        at = row[:, None] * history + (history + time)[None]
        x += tl.load(past + at, mask=before, other=0.0)
    return x


@triton.jit
def gated_layer(
    h: tl.tensor,
    past: tl.tensor,
    context: tl.tensor,
    gate_weight: tl.tensor,
    gate_bias: tl.tensor,
    out_weight: tl.tensor,
    out_bias: tl.tensor,
    residual: tl.tensor,
    total: tl.tensor,
    num_samples: int,
    history: int,
    look_ahead: int,
    dilation: int,
    frame_length: int,
    context_batch_stride: int,
    context_row_stride: int,
    width: tl.constexpr,
    skips: tl.constexpr,
    taps: tl.constexpr,
    rows: tl.constexpr,
    skip_rows: tl.constexpr,
    depth: tl.constexpr,
    block: tl.constexpr,
    has_past: tl.constexpr,
    has_context: tl.constexpr,
    add_to_total: tl.constexpr,
    residual_gain: tl.constexpr,
    precision: tl.constexpr,
    widen: tl.constexpr,
) -> None:
    """Compute a block of samples of one signal; program (i, b) computes block i of signal b.

    Args:
        h: the layer's input, (B, width, num_samples).
        past: the input's past, (B, width, history), read if `has_past`; otherwise the past is zero.
        context: gate context, (B, 2 width, L), read if `has_context`.
        gate_weight: (taps, 2 rows, rows), rows of the filter, then rows of the gate.
        gate_bias: (2 rows,), in float32.
        out_weight: (rows + skip_rows, rows), rows of the residual, then rows of the skip.
        out_bias: (rows + skip_rows,), in float32.
        residual: output, the next layer's input, (B, width, num_samples).
        total: output, the skip, (B, skips, num_samples); with `add_to_total`, the skip is added to
            the values that are there.
        num_samples: samples of each signal.
        history: samples from the first tap to the last, (taps - 1) * dilation.
        look_ahead: number of samples that the last tap reads ahead.
        dilation: samples from one tap to the next.
        frame_length: samples that a frame of the context serves.
        context_batch_stride: elements of `context` from one signal to the next.
        context_row_stride: elements of `context` from one channel to the next.
        width: residual channels.
        skips: skip channels, 0 without skips.
        taps: taps of the convolution.
        rows: `width` rounded up to a power of two.
        skip_rows: `skips` rounded up to a power of two, or 0.
        depth: number of rows multiplied at once, a divisor of `rows` and `skip_rows`.
        block: number of samples that a program computes.
        residual_gain: factor of the residual output.
        precision: precision of products of float32 numbers, as Triton calls it.
        widen: whether to convert all numbers to float32 before multiplying, which does not change
            products of bfloat16 numbers. The interpreter of Triton 3.7 needs the conversion: it
            multiplies bfloat16 numbers as if their bits were integers.
    """
    batch = tl.program_id(1).to(tl.int64)
    time = tl.program_id(0) * block + tl.arange(0, block)
    row = tl.arange(0, rows)
    number = tl.float32 if widen else h.dtype.element_ty
    h += batch * width * num_samples
    past += batch * width * history
    filter = tl.zeros((rows, block), tl.float32) + tl.load(gate_bias + row)[:, None]
    gate = tl.zeros((rows, block), tl.float32) + tl.load(gate_bias + rows + row)[:, None]
    for tap in range(taps):
        at = time + tap * dilation - (history - look_ahead)
        for start in range(0, rows, depth):
            column = start + tl.arange(0, depth)
            x = read_rows(h, past, column, at, num_samples, history, width, has_past).to(number)
            w = gate_weight + (2 * tap * rows + row[:, None]) * rows + column[None]
            filter = tl.dot(tl.load(w).to(number), x, filter, input_precision=precision)
            w += rows * rows
            gate = tl.dot(tl.load(w).to(number), x, gate, input_precision=precision)
    if has_context:
        frame = context + batch * context_batch_stride + (time // frame_length)[None]
        first = frame + row[:, None] * context_row_stride
        second = first + width * context_row_stride
        used = (row < width)[:, None] & (time < num_samples)[None]
        filter += tl.load(first, mask=used, other=0.0).to(tl.float32)
        gate += tl.load(second, mask=used, other=0.0).to(tl.float32)
    # tanh(f) = 2 sigmoid(2 f) - 1. The error is about the rounding error of a number near 1.
    gated = ((2.0 * tl.sigmoid(2.0 * filter) - 1.0) * tl.sigmoid(gate)).to(h.dtype.element_ty)
    gated = gated.to(number)
    for start in range(0, rows, depth):
        part = start + tl.arange(0, depth)
        w = tl.load(out_weight + part[:, None] * rows + row[None]).to(number)
        out = tl.dot(w, gated, input_precision=precision) + tl.load(out_bias + part)[:, None]
        y = read_rows(h, past, part, time, num_samples, history, width, False).to(tl.float32)
        y = ((y + out) * residual_gain).to(residual.dtype.element_ty)
        here = residual + batch * width * num_samples + part[:, None] * num_samples + time[None]
        tl.store(here, y, mask=(part < width)[:, None] & (time < num_samples)[None])
    for start in range(0, skip_rows, depth):
        part = start + tl.arange(0, depth)
        w = tl.load(out_weight + (rows + part[:, None]) * rows + row[None]).to(number)
        out = tl.dot(w, gated, input_precision=precision) + tl.load(out_bias + rows + part)[:, None]
        here = total + batch * skips * num_samples + part[:, None] * num_samples + time[None]
        known = (part < skips)[:, None] & (time < num_samples)[None]
        if add_to_total:
            out += tl.load(here, mask=known, other=0.0)
        tl.store(here, out, mask=known)
