r"""Linear prediction and folding between a teacher's waveform and its network, both ways.

A frame teacher (`frame_length` r above 1, `filter_order` K) runs its network once every r samples.
A linear predictor (`flows.PredictionErrorFilter`) turns the waveform x into prediction errors e.
The errors are folded into frames, and the network predicts a frame from earlier frames:

.. math:: e_t = e^{g}\Big(x_t - \sum_{k=1}^{K} a_k\, x_{t-k}\Big), \qquad
          p(x \mid c) = \prod_n \mathcal{N}(e_n;\, \mu_n, \Sigma_n)\, e^{r g}, \qquad
          (\mu_n, \Sigma_n) \text{ from } e_{<n} \text{ and } c

Given the earlier frames, the errors of a frame are Gaussian with a full covariance
(`flows.Triangular`), or independent mixtures of logistics. The predictor is stable for all
coefficients, and the network's output is bounded, so a drawn waveform cannot diverge.

References:
    LPCNet (Valin & Skoglund, 2019): linear prediction, noise on the past. arXiv:1810.11846
    Bunched LPCNet2 (Park et al., 2022): several samples a step. arXiv:2203.14416
"""

from typing import TypeVar

from flows import Autoregressive, Compose, Fold, Inverse, PredictionErrorFilter, Transform
from teacher.config import TeacherConfig

PartT = TypeVar("PartT", bound=Transform)


def compose(config: TeacherConfig, autoregressive: Autoregressive) -> Transform:
    """Wrap an autoregressive flow in the configuration's linear predictor and fold."""
    parts: list[Transform] = [autoregressive]
    if config.frame_length > 1:
        fold = Fold(config.frame_length)
        parts = [fold, autoregressive, Inverse(fold)]
    if config.filter_order:
        channels = config.context_channels
        parts.insert(0, PredictionErrorFilter(config.filter_order, 1, channels))
    return parts[0] if len(parts) == 1 else Compose(parts)


def part_of(transform: Transform, kind: type[PartT]) -> PartT | None:
    """Find the first instance of `kind`: a part of a composition, or the transform itself."""
    parts = transform.transforms if isinstance(transform, Compose) else [transform]
    return next((part for part in parts if isinstance(part, kind)), None)
