"""The study's second baseline: a mixture of full-covariance Gaussians, by scikit-learn."""

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from pipelines.density.fit import Likelihood
from pipelines.density.rows import Rows


class MissingExtraError(ValueError):
    """A package that only the study needs is not installed."""


@dataclass(frozen=True, kw_only=True)
class MixtureConfig:
    """How the mixture is fitted.

    Args:
        num_components: Gaussians.
        ridges: added to the variances of standardised columns; the validation rows choose.
        num_draws: copies of the training rows, each with noise of its own in discrete columns:
            a mixture with as many parameters as rows would otherwise fit the noise.
        max_iterations: of expectation maximisation.
        seed: of the starting clusters and the noise.
    """

    num_components: int = 20
    ridges: tuple[float, ...] = (1e-6,)
    num_draws: int = 1
    max_iterations: int = 100
    seed: int = 0


@dataclass(frozen=True)
class FittedMixture:
    """A mixture's held-out likelihood, in the data's own units, and how it was had."""

    likelihood: Likelihood
    ridge: float
    num_params: int


def fit_mixture_of_gaussians(rows: Rows, config: MixtureConfig) -> FittedMixture:
    """Fit by expectation maximisation from k-means clusters, and score the test rows.

    Args:
        rows: the table, divided.
        config: sizes and regularisation.
    Raises:
        MissingExtraError: if scikit-learn is not installed.
    """
    try:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import GaussianMixture
    except ImportError as error:
        raise MissingExtraError(
            "the mixture of Gaussians needs scikit-learn: ./setup.sh --extras study"
        ) from error
    mean, scale = rows.mean, rows.covariance.diagonal().sqrt()

    def standardised(x: torch.Tensor) -> NDArray[np.float64]:
        return ((x - mean) / scale).numpy()

    generator = torch.Generator().manual_seed(config.seed)
    draws = [rows.noisy_train(generator) for _ in range(config.num_draws)]
    train, val = standardised(torch.cat(draws)), standardised(rows.val)
    models = []
    for ridge in config.ridges:
        model = GaussianMixture(
            config.num_components,
            reg_covar=ridge,
            max_iter=config.max_iterations,
            random_state=config.seed,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # stopped early, on purpose
            models.append(model.fit(train))
    best = max(models, key=lambda model: model.score(val))
    log_prob = torch.from_numpy(best.score_samples(standardised(rows.test))) - scale.log().sum()
    num_columns = len(mean)
    per_component = 1 + num_columns + num_columns * (num_columns + 1) // 2
    return FittedMixture(
        Likelihood.of(log_prob), best.reg_covar, config.num_components * per_component - 1
    )
