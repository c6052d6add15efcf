"""The study's second baseline: scikit-learn's mixture of full-covariance Gaussians."""

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from pipelines.density.fit import Likelihood
from pipelines.density.rows import Rows


class MissingExtraError(ValueError):
    """A missing package that only the study needs."""


@dataclass(frozen=True, kw_only=True)
class MixtureConfig:
    """Settings of the mixture's fit.

    Args:
        num_components: number of Gaussians.
        ridges: candidates for the ridge that is added to the variances of standardised columns; the
            validation rows choose.
        num_draws: number of copies of the training rows, each with its own noise in discrete
            columns. Without copies, a mixture with as many parameters as rows fits the noise.
        max_iterations: largest number of iterations of expectation maximisation.
        seed: seed of the initial clusters and the noise.
    """

    num_components: int = 20
    ridges: tuple[float, ...] = (1e-6,)
    num_draws: int = 1
    max_iterations: int = 100
    seed: int = 0


@dataclass(frozen=True)
class FittedMixture:
    """A mixture that was fitted and scored."""

    likelihood: Likelihood
    """Of the test rows, in the data's units."""
    ridge: float
    """The ridge that was chosen on the validation rows."""
    num_params: int
    """Number of free parameters."""


def fit_mixture_of_gaussians(rows: Rows, config: MixtureConfig) -> FittedMixture:
    """Fit the mixture by expectation maximisation from k-means clusters; score the test rows.

    Args:
        rows: the table's rows, split.
        config: size and regularisation.
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
            warnings.simplefilter("ignore", ConvergenceWarning)  # max_iterations is a choice
            models.append(model.fit(train))
    best = max(models, key=lambda model: model.score(val))
    log_prob = torch.from_numpy(best.score_samples(standardised(rows.test))) - scale.log().sum()
    num_columns = len(mean)
    per_component = 1 + num_columns + num_columns * (num_columns + 1) // 2
    return FittedMixture(
        Likelihood.of(log_prob), best.reg_covar, config.num_components * per_component - 1
    )
