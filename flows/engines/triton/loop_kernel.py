"""The loop over samples of a WaveNet as one Triton kernel, which repeats `WaveNet.step`.

A program draws one stream. It keeps the input of a layer, and the sum of the skips, in registers.
The past inputs of each layer are in a ring buffer in memory. The weights of a layer do not depend
on the layer's input. So they are requested first, and arrive while the older taps are computed. The
length of a vector is rounded up to a power of two; the weights of the added elements are zero.
"""

import triton
import triton.language as tl


@triton.jit
def product(w: tl.tensor, x: tl.tensor) -> tl.tensor:
    """Multiply a matrix (rows, columns) by a vector (columns,)."""
    return tl.sum(w * x[None], 1)


@triton.jit
def matrix(weights: tl.tensor, rows: tl.constexpr, columns: tl.constexpr) -> tl.tensor:
    """Load a matrix (rows, columns) whose rows follow each other in memory."""
    return tl.load(weights + tl.arange(0, rows)[:, None] * columns + tl.arange(0, columns)[None])


@triton.jit
def rectify(x: tl.tensor) -> tl.tensor:
    """Return max(x, 0). NaN stays NaN here; a GPU's maximum would turn NaN into zero."""
    return tl.where(x < 0.0, 0.0, x)


@triton.jit
def pick(vector: tl.tensor, at: tl.tensor, size: tl.constexpr) -> tl.tensor:
    """Return one element of a vector."""
    return tl.sum(tl.where(tl.arange(0, size) == at, vector, 0.0), 0)


@triton.jit(do_not_specialize=["start", "count"])  # they change from piece to piece
def draw_samples(
    x: tl.tensor,
    noise: tl.tensor,
    choice: tl.tensor,
    carried: tl.tensor,
    rings: tl.tensor,
    ring_starts: tl.tensor,
    dilations: tl.tensor,
    gates: tl.tensor,
    offsets: tl.tensor,
    coefficients: tl.tensor,
    first: tl.tensor,
    gate_weight: tl.tensor,
    out_weight: tl.tensor,
    out_bias: tl.tensor,
    hidden: tl.tensor,
    hidden_bias: tl.tensor,
    head: tl.tensor,
    head_bias: tl.tensor,
    start: int,
    count: int,
    span: int,
    num_layers: int,
    ring_rows: int,
    num_filters: int,
    error_gain: float,
    total_gain: float,
    least_scale: float,
    rows: tl.constexpr,
    skip_rows: tl.constexpr,
    head_rows: tl.constexpr,
    older: tl.constexpr,
    order: tl.constexpr,
    padded_order: tl.constexpr,
    components: tl.constexpr,
    padded_components: tl.constexpr,
    has_choice: tl.constexpr,
    has_offsets: tl.constexpr,
    residual_gain: tl.constexpr,
) -> None:
    """Draw `count` samples of one stream in float32; each of the B programs draws one stream.

    Args:
        x: output, (B, order + count): the last `order` samples before the piece, which the caller
            has written, then the drawn samples.
        noise: noise of each sample, (B, count).
        choice: uniform in [0, 1), chooses the component of a mixture, (B, count); read if
            `has_choice`.
        carried: the last sample before the piece and its prediction, (B, 2); updated.
        rings: the layers' ring buffers, one after the other, (B, ring_rows, rows); updated.
        ring_starts: first row of each layer's ring, then the end of the last ring.
        dilations: dilation of each layer, in samples.
        gates: projected context plus gate bias, (frames, num_layers, B, 2, rows).
        offsets: offsets of the parameters, (frames, B, 3, padded_components); read if
            `has_offsets`.
        coefficients: coefficients of the linear predictor, (num_filters, B, padded_order): zeros,
            then the coefficients, oldest sample first.
        first: the input layer, (4, rows): weights of the sample, of its prediction and of the last
            error, then the bias.
        gate_weight: (num_layers, 1 + older, 2, rows, rows): the newest tap first; for each tap the
            matrix of the filter, then the matrix of the gate.
        out_weight: (num_layers, rows + skip_rows, rows): rows of the residual, then of the skip.
        out_bias: (num_layers, rows + skip_rows).
        hidden: matrix of the hidden layer, (head_rows, head_rows).
        hidden_bias: (head_rows,).
        head: matrices of logits, locations and log-scales, (3, padded_components, head_rows).
        head_bias: (3, padded_components).
        start: time of the first sample of the piece.
        count: number of samples to draw.
        span: samples per frame.
        num_layers: number of gated layers.
        ring_rows: number of rows of all rings together.
        num_filters: number of frames of `coefficients`; 1 if one filter serves all frames.
        error_gain: factor of the last error, an input of the network.
        total_gain: factor of the hidden layer's input.
        least_scale: lower bound of every scale.
        rows: number of residual channels, rounded up to a power of two, as are all sizes below but
            `older`, `order` and `components`.
        skip_rows: number of skip channels; 0 without skips.
        head_rows: number of channels that the hidden layer reads.
        older: number of taps of a layer besides the newest.
        order: order of the linear predictor; 0 without a predictor.
        padded_order: `order`, rounded up.
        components: number of components of the mixture; 1 for a Gaussian.
        padded_components: `components`, rounded up.
        has_choice: whether the distribution is a mixture.
        has_offsets: whether the context gives offsets of the parameters.
        residual_gain: factor of a layer's residual output.
    """
    stream, streams = tl.program_id(0).to(tl.int64), tl.num_programs(0)
    row, component = tl.arange(0, rows), tl.arange(0, padded_components)
    x += stream * (order + count)
    rings += stream * ring_rows * rows
    previous = tl.load(carried + 2 * stream)
    prediction = tl.load(carried + 2 * stream + 1)
    for i in range(count):
        # Wait until all threads of the program have written the last sample's results.
        tl.debug_barrier()
        time = start + i
        frame = time // span
        h = tl.load(first + 3 * rows + row) + previous * tl.load(first + row)
        if order:
            error = previous - prediction
            k = tl.arange(0, padded_order)
            recent = x + i + order - padded_order + k
            recent = tl.load(recent, mask=k >= padded_order - order, other=0.0)
            which = tl.minimum(frame, num_filters - 1) * streams + stream
            prediction = tl.sum(recent * tl.load(coefficients + which * padded_order + k), 0)
            h += prediction * tl.load(first + rows + row)
            h += error_gain * error * tl.load(first + 2 * rows + row)
        total = tl.zeros((head_rows,), tl.float32)
        for layer in range(num_layers):
            newest = gate_weight + layer * (1 + older) * 2 * rows * rows
            filter_weight = matrix(newest, rows, rows)
            sigmoid_weight = matrix(newest + rows * rows, rows, rows)
            residual_weight = matrix(out_weight + layer * (rows + skip_rows) * rows, rows, rows)
            bias = out_bias + layer * (rows + skip_rows)
            ring, ring_end = tl.load(ring_starts + layer), tl.load(ring_starts + layer + 1)
            dilation = tl.load(dilations + layer)
            framed = gates + ((frame * num_layers + layer) * streams + stream) * 2 * rows
            filter, gate = tl.load(framed + row), tl.load(framed + rows + row)
            for tap in tl.static_range(older):
                before = time + (ring_end - ring) - (1 + tap) * dilation
                past = tl.load(rings + (ring + before % (ring_end - ring)) * rows + row)
                tap_weight = newest + (1 + tap) * 2 * rows * rows
                filter += product(matrix(tap_weight, rows, rows), past)
                gate += product(matrix(tap_weight + rows * rows, rows, rows), past)
            # A ring has one more row than a step reads. So no thread of the program overwrites a
            # row that another thread still reads.
            tl.store(rings + (ring + time % (ring_end - ring)) * rows + row, h)
            filter += product(filter_weight, h)
            gate += product(sigmoid_weight, h)
            # tanh(f) = 2 sigmoid(2 f) - 1. The error is about the rounding error of a number near
            # 1.
            gated = (2.0 * tl.sigmoid(2.0 * filter) - 1.0) * tl.sigmoid(gate)
            h = (h + product(residual_weight, gated) + tl.load(bias + row)) * residual_gain
            if skip_rows:
                skip_weight = out_weight + (layer * (rows + skip_rows) + rows) * rows
                total += product(matrix(skip_weight, skip_rows, rows), gated)
                total += tl.load(bias + rows + tl.arange(0, skip_rows))
        if not skip_rows:
            total = h
        total = rectify(total * total_gain)
        across = tl.arange(0, head_rows)
        total = product(matrix(hidden, head_rows, head_rows), total)
        total = rectify(total + tl.load(hidden_bias + across))
        size: tl.constexpr = padded_components * head_rows
        logit = product(matrix(head, padded_components, head_rows), total)
        location = product(matrix(head + size, padded_components, head_rows), total)
        raw = product(matrix(head + 2 * size, padded_components, head_rows), total)
        logit += tl.load(head_bias + component)
        location += tl.load(head_bias + padded_components + component) + prediction
        raw += tl.load(head_bias + 2 * padded_components + component)
        if has_offsets:
            offset = offsets + (frame * streams + stream) * 3 * padded_components + component
            logit += tl.load(offset)
            location += tl.load(offset + padded_components)
            raw += tl.load(offset + 2 * padded_components)
        chosen = 0
        if has_choice:
            logit = tl.where(component < components, logit, -float("inf"))
            odds = tl.exp(logit - tl.max(logit, 0))
            uniform = tl.load(choice + stream * count + i)
            below = tl.cumsum(odds, 0) <= uniform * tl.sum(odds, 0)
            chosen = tl.sum((below & (component < components - 1)).to(tl.int32), 0)
        # exp(bound_log_scale(s)) is exp(s) + exp(floor).
        scale = tl.exp(pick(raw, chosen, padded_components)) + least_scale
        drawn = tl.load(noise + stream * count + i) * scale
        previous = drawn + pick(location, chosen, padded_components)
        tl.store(x + order + i, previous)
    tl.store(carried + 2 * stream, previous)
    tl.store(carried + 2 * stream + 1, prediction)
