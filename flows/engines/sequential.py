"""Sequential sampling from a WaveNet by the engine that applies.

The reference engine runs one PyTorch step for each sample, on any device and in any precision
(`flows.engines.cached`). On a CPU in float32, `flows.engines.cpu.sample_loop` computes the whole
loop in compiled code. On a GPU, `cuda_graph` or a Triton kernel does.
"""

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from flows.engines.cached import cached_chunks
from flows.engines.choose import Engine, EngineError, choose_engine, multiplies_in_pairs
from flows.engines.cpu.worker_pool import LONGEST_BLOCK, Chunk, make_pool
from flows.engines.cuda_graph import graph_chunks
from flows.engines.threads import each_on_one_thread, num_threads
from flows.engines.triton.loop import loop_obstacle, persistent_chunks
from flows.networks.conditioning import check_frames
from flows.networks.wavenet import WaveNet
from flows.precision import each_in_full_precision
from flows.transforms.autoregressive import Autoregressive
from flows.transforms.base import check_continuous, check_signal
from flows.transforms.mixture import MixtureCdf
from flows.transforms.transformers import Affine
from flows.transforms.triangular import Triangular

DRAWN = (Affine, MixtureCdf, Triangular)
"""Classes of transformers whose inverse the engines compute. The class itself must match, because a
subclass may compute another map."""


def draw_chunks(
    flow: Autoregressive,
    noise: Tensor,
    context: Tensor | None = None,
    choice: Tensor | None = None,
    engine: Engine = "auto",
    chunk: int = 4096,
) -> Iterator[Tensor]:
    r"""Draw signals from a WaveNet's predictions, piece by piece, without gradients.

    .. math:: x_t = \mu_k + s_k\,\epsilon_t, \qquad (\mu_k, s_k) \text{ from } x_{<t} \text{ and } c

    For an affine transformer the signals equal `Autoregressive.inverse`. For a mixture of logistics
    `choice` chooses the component k, so that the mixture's CDF need not be inverted by iteration.

    Args:
        flow: a WaveNet with an `Affine`, `Triangular` or `MixtureCdf` transformer.
        noise: standard normal, or logistic for a mixture, shape (B, C, T).
        context: frames, shape (B, H, L) with T a multiple of L.
        choice: uniform in [0, 1), shape (B, C, T); for a mixture only.
        engine: see `choose_engine`. The engines differ by float rounding. The difference grows
            from sample to sample, because the network reads its own samples.
        chunk: approximate number of samples in a piece; the compiled loop rounds to whole frames.
    Yields:
        x, shape (B, C, n) each, in the order of time.
    Raises:
        ValueError: if a shape does not fit, or the engine does not apply.
    """
    wavenet, transformer = flow.conditioner, flow.transformer
    if (
        not isinstance(wavenet, WaveNet)
        or not isinstance(transformer, Affine | MixtureCdf)
        or type(transformer) not in DRAWN
    ):
        raise ValueError(
            "expected a WaveNet with an Affine, Triangular or MixtureCdf transformer, got "
            f"{type(wavenet).__name__} with {type(transformer).__name__}"
        )
    check_continuous(noise, "noise")
    check_signal(noise, wavenet.num_channels, "noise")
    check_frames(context, noise, wavenet.context_channels)
    if context is not None:
        context = context.to(noise.dtype)  # autocast may have changed its dtype
    if isinstance(transformer, MixtureCdf) != (choice is not None):
        raise ValueError("a mixture needs `choice`, an affine transformer has no use for it")
    first = transformer.num_components if isinstance(transformer, MixtureCdf) else 0
    locations = list(range(first, max(1, 2 * first)))
    found = wavenet.is_location[:, 0].nonzero()[:, 0].tolist()
    if found != locations:
        raise ValueError(
            f"the WaveNet's locations are {found}, expected {locations} for its transformer"
        )
    chosen = choose_engine(noise, engine, sequential=True)[0]
    if chosen == "persistent" and (obstacle := loop_obstacle(wavenet)) is not None:
        raise EngineError(obstacle)
    if chosen == "compiled":
        floor = transformer.log_scale_floor
        how = (chunk, num_threads(), multiplies_in_pairs())
        chunks = _compiled_chunks(wavenet, floor, noise, context, choice, *how)
        yield from each_on_one_thread(chunks)
    else:
        ways = {"graph": graph_chunks, "persistent": persistent_chunks}
        draw = ways.get(chosen, cached_chunks)
        chunks = draw(wavenet, transformer, noise, context, choice, chunk)
        # Autocast makes a step no faster, and would round the parameters.
        yield from each_in_full_precision(chunks, noise)


@torch.no_grad()
def _compiled_chunks(
    wavenet: WaveNet,
    log_scale_floor: float,
    noise: Tensor,
    context: Tensor | None,
    choice: Tensor | None,
    chunk: int,
    threads: int,
    in_pairs: bool,
) -> Iterator[Tensor]:
    batch, _, samples = noise.shape
    span, block = samples, LONGEST_BLOCK
    if context is not None:
        span = samples // context.shape[-1]
        chunk, block = span * max(1, chunk // span), math.gcd(span, LONGEST_BLOCK)
    choices = noise[..., :0] if choice is None else choice
    with ThreadPoolExecutor(threads) as executor:
        how = (batch, samples, block, threads, executor, in_pairs)
        pool = make_pool(wavenet, log_scale_floor, *how)
        for start in range(0, samples, chunk):
            now, first = slice(start, start + chunk), start // span
            within = None if context is None else context[..., first : first + chunk // span]
            x = torch.empty_like(noise[..., now], memory_format=torch.contiguous_format)
            piece = Chunk(noise[..., now].contiguous(), choices[..., now].contiguous(), x)
            pool.draw(piece, within, start, span)
            yield x
