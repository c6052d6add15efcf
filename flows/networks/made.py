"""A masked multilayer perceptron: the autoregressive conditioner for vectors."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flows.networks.conditioning import check_context_vector
from flows.transforms.autoregressive import Conditioner
from flows.transforms.base import check_vector


class MaskedLinear(nn.Linear):
    """A linear layer whose weight is multiplied by a fixed 0/1 mask of shape (out, in)."""

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__(mask.shape[1], mask.shape[0])
        self.register_buffer("mask", mask.to(self.weight.dtype))

    def forward(self, x: Tensor) -> Tensor:
        """Apply the masked weight and the bias."""
        return F.linear(x, self.weight * self.mask, self.bias)


@dataclass
class MadeState:
    """The state of sequential evaluation: the features known so far and the next index."""

    known: Tensor
    context: Tensor | None
    index: int = 0


def hidden_degrees(width: int, num_features: int) -> Tensor:
    """Spread the degrees 0..D-1 evenly over the units of a layer, shape (width,).

    A layer of two units or more has a unit of degree 0, which reads only the context, and a unit of
    degree D-1, which reads every feature but the last.

    >>> hidden_degrees(5, 3), hidden_degrees(3, 7), hidden_degrees(1, 7)
    (tensor([0, 1, 2, 0, 1]), tensor([6, 3, 0]), tensor([6]))
    """
    if width >= num_features:
        return torch.arange(width) % num_features
    return torch.linspace(num_features - 1, 0, width, dtype=torch.float64).round().long()


class Made(Conditioner):
    """Masked network in which the parameters of feature d read only the features before d.

    A layer narrower than D has fewer degrees than there are features, so some features cannot read
    their direct predecessor. A width of D or more avoids this loss. A stack of networks with
    different orders of the features compensates for it.

    Args:
        num_features: D.
        num_params: parameters per feature, P.
        hidden: width of each hidden layer.
        context_features: size of an optional context vector (B, context_features), which every
            output may read.
    References:
        MADE (Germain et al., 2015), sec. 3. arXiv:1502.03509
    """

    def __init__(
        self,
        num_features: int,
        num_params: int,
        hidden: tuple[int, ...] = (64, 64),
        context_features: int = 0,
    ) -> None:
        super().__init__()
        if num_features < 1 or not hidden or min(hidden) < 1:
            raise ValueError(
                f"Made needs at least one feature and one hidden unit a layer, got "
                f"num_features={num_features}, hidden={hidden}"
            )
        self.num_features = num_features
        self.num_params = num_params
        self.context_features = context_features
        # A unit of degree m may read features 0..m-1. The inputs have degrees 1..D, and output d
        # reads hidden units of degree <= d.
        previous = torch.arange(1, num_features + 1)
        layers: list[nn.Module] = []
        for width in hidden:
            degrees = hidden_degrees(width, num_features)
            layers.append(MaskedLinear(degrees[:, None] >= previous[None, :]))
            previous = degrees
        outputs = torch.arange(num_features).repeat(num_params)
        self.layers = nn.ModuleList(layers)
        self.head = MaskedLinear(outputs[:, None] >= previous[None, :])
        self.context_projection = (
            nn.Linear(context_features, hidden[0], bias=False) if context_features else None
        )
        with torch.no_grad():  # start near the identity
            self.head.weight.mul_(0.01)
            self.head.bias.zero_()

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Compute parameters (B, P, D) from features (B, D) and an optional context (B, E)."""
        check_vector(x, self.num_features)
        check_context_vector(context, x, self.context_features)
        h = self.layers[0](x)
        if self.context_projection is not None:
            h = h + self.context_projection(context)
        for layer in self.layers[1:]:
            h = layer(F.relu(h))
        return self.head(F.relu(h)).view(-1, self.num_params, self.num_features)

    def start(self, like: Tensor, context: Tensor | None = None) -> MadeState:
        """Return a state in which no feature is known yet."""
        check_vector(like, self.num_features, "z")
        check_context_vector(context, like, self.context_features)
        return MadeState(known=torch.zeros_like(like), context=context)

    def step(self, previous: Tensor, state: MadeState) -> Tensor:
        """Return the next feature's parameters, (B, P), by one pass through the whole network."""
        if state.index > 0:
            column = F.one_hot(torch.tensor(state.index - 1), self.num_features).to(previous)
            state.known = state.known + previous[:, None] * column
        params = self(state.known, state.context)[..., state.index]
        state.index += 1
        return params
