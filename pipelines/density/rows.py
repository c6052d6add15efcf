"""The training, validation and test rows of a table."""

from dataclasses import dataclass

import torch
from torch import Tensor

from data import Table, TableError, discrete_columns, split_rows


@dataclass(frozen=True)
class Rows:
    r"""Rows in the table's own units, float64.

    The training rows hold the integers of discrete columns. `noisy_train` adds new noise every
    time, so that a model sees an integer's whole cell and not one point of it. Validation and test
    rows carry noise that was drawn once.

    Args:
        train: shape (N, D), without noise.
        val: shape (V, D).
        test: shape (M, D).
        is_discrete: whether each column is dequantised, shape (D,).
    """

    train: Tensor
    val: Tensor
    test: Tensor
    is_discrete: Tensor

    @classmethod
    def from_table(
        cls,
        table: Table,
        *,
        dequantize: bool = False,
        seed: int = 0,
        val_percent: float = 10,
        test_percent: float = 10,
    ) -> "Rows":
        """Check, split and dequantise a table.

        Args:
            table: the table to be modelled.
            dequantize: whether to add uniform noise from [0, 1) to columns of integers.
            seed: seed of the split and the noise.
            val_percent: share of rows for validation.
            test_percent: share of rows for the test.
        Raises:
            TableError: if the table is discrete, if a column is constant in the training rows, or
                if a column's variance is too large or too small for float64.
        """
        discrete = discrete_columns(table, dequantize)
        parts = split_rows(len(table.values), seed, val_percent, test_percent)
        values = torch.from_numpy(table.values)
        train, val, test = (values[torch.from_numpy(parts[s])] for s in ("train", "val", "test"))
        is_discrete = torch.from_numpy(discrete)
        constant = (train == train[0]).all(0) & ~is_discrete
        if constant.any():
            name = table.columns[int(constant.nonzero()[0])]
            raise TableError(
                f"{table.source}: column {name} holds one value only in the {len(train)} training "
                "rows: leave it out, or try another --seed"
            )
        variance = train.var(0)
        extreme = ~(variance.isfinite() & (variance > 0)) & ~is_discrete
        if extreme.any():
            column = int(extreme.nonzero()[0])
            raise TableError(
                f"{table.source}: column {table.columns[column]} has a variance of "
                f"{float(variance[column]):g} in float64, expected one above 0: rescale it"
            )
        generator = torch.Generator().manual_seed(seed)
        val, test = (add_noise(part, is_discrete, generator) for part in (val, test))
        return cls(train, val, test, is_discrete)

    def noisy_train(self, generator: torch.Generator) -> Tensor:
        """Return the training rows with new noise in the discrete columns, shape (N, D)."""
        return add_noise(self.train, self.is_discrete, generator)

    @property
    def mean(self) -> Tensor:
        """Mean of the training rows, plus 0.5, the mean of the noise, in discrete columns.

        The shape is (D,).
        """
        return self.train.mean(0) + 0.5 * self.is_discrete

    @property
    def covariance(self) -> Tensor:
        """Maximum-likelihood covariance of the dequantised training rows, shape (D, D).

        Uniform noise from [0, 1) adds its variance of 1/12 to the diagonal.
        """
        centred = self.train - self.train.mean(0)
        return centred.T @ centred / len(centred) + torch.diag(self.is_discrete / 12)


def add_noise(rows: Tensor, is_discrete: Tensor, generator: torch.Generator) -> Tensor:
    """Add uniform noise from [0, 1) to the discrete columns of rows (N, D)."""
    noise = torch.rand(rows.shape, generator=generator, dtype=rows.dtype)
    return rows + noise * is_discrete
