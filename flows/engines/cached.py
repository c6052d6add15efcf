"""Sequential sampling by cached steps of PyTorch, on any device and in any precision."""

from collections.abc import Iterator

import torch
from torch import Tensor

from flows.logistic_mixture import sample_mixture
from flows.networks.wavenet import WaveNet
from flows.transforms.mixture import MixtureCdf
from flows.transforms.transformers import Affine


@torch.no_grad()
def cached_chunks(
    wavenet: WaveNet,
    transformer: Affine | MixtureCdf,
    noise: Tensor,
    context: Tensor | None,
    choice: Tensor | None,
    chunk: int,
) -> Iterator[Tensor]:
    """Draw signals step by step; the arguments are described in `flows.draw_chunks`."""
    state = wavenet.start(noise, context)
    x = torch.zeros_like(noise[..., 0])
    for start in range(0, noise.shape[-1], chunk):
        drawn = []
        for t in range(start, min(start + chunk, noise.shape[-1])):
            params = wavenet.step(x, state)
            x = draw_sample(
                transformer, params, noise[..., t], None if choice is None else choice[..., t]
            )
            drawn.append(x)
        yield torch.stack(drawn, -1)


def draw_sample(
    transformer: Affine | MixtureCdf, params: Tensor, noise: Tensor, choice: Tensor | None
) -> Tensor:
    """Turn noise into one sample of every stream.

    Args:
        transformer: the transformer of each sample.
        params: the transformer's parameters, shape (B, P, C).
        noise: shape (B, C).
        choice: uniform in [0, 1), chooses the component of a mixture, shape (B, C); None for an
            affine transformer.
    Returns:
        x, shape (B, C).
    """
    if choice is None:
        return transformer.inverse(noise, params)[0]
    return sample_mixture(params, choice, noise, transformer.log_scale_floor)
