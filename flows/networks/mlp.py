"""Networks for coupling flows: an MLP, and a WaveNet that reads past and future samples."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flows.networks.conditioning import check_context_vector, check_frames
from flows.networks.gated import ResidualLayer, residual_stack
from flows.networks.wavenet_config import WaveNetConfig
from flows.networks.weight_norm import normalised_conv
from flows.transforms.base import check_signal, check_vector
from flows.transforms.coupling import CouplingNetwork


class Mlp(CouplingNetwork):
    """Multilayer perceptron for vectors.

    Args:
        num_inputs: number of features that the network reads.
        num_params: parameters per output feature, P.
        num_outputs: number of features whose parameters the network computes.
        hidden: width of each hidden layer.
        context_features: size E of an optional context vector (B, E).
    """

    def __init__(
        self,
        num_inputs: int,
        num_params: int,
        num_outputs: int,
        hidden: tuple[int, ...] = (64, 64),
        context_features: int = 0,
    ) -> None:
        super().__init__()
        if min(num_inputs, num_outputs) < 1 or not hidden or min(hidden) < 1:
            raise ValueError(
                f"Mlp needs at least one input, one output and one hidden unit a layer, got "
                f"num_inputs={num_inputs}, num_outputs={num_outputs}, hidden={hidden}"
            )
        self.num_inputs = num_inputs
        self.num_params = num_params
        self.num_outputs = num_outputs
        self.context_features = context_features
        self.layers = nn.ModuleList(nn.Linear(i, o) for i, o in pairwise((num_inputs, *hidden)))
        self.head = nn.Linear(hidden[-1], num_params * num_outputs)
        self.context_projection = (
            nn.Linear(context_features, hidden[0], bias=False) if context_features else None
        )
        with torch.no_grad():  # start near the identity
            self.head.weight.mul_(0.01)
            self.head.bias.zero_()

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Compute parameters (B, P, num_outputs) from (B, num_inputs) and a context (B, E)."""
        check_vector(x, self.num_inputs)
        check_context_vector(context, x, self.context_features)
        h = self.layers[0](x)
        if self.context_projection is not None:
            h = h + self.context_projection(context)
        for layer in self.layers[1:]:
            h = layer(F.relu(h))
        return self.head(F.relu(h)).view(-1, self.num_params, self.num_outputs)


class NonCausalWaveNet(CouplingNetwork):
    """A WaveNet that reads past and future samples.

    A coupling may use such a network, because its inverse never inverts the network. The flows of
    `flows.signal_families` use it.

    Args:
        config: sizes; without linear or long-term prediction.
        num_inputs: number of channels that the network reads.
        num_params: parameters per scalar, P.
        num_outputs: number of channels whose parameters the network computes.
        context_channels: channels H of a context (B, H, L) at frame rate, where each frame serves
            T / L samples; 0 for an unconditional network.
    References:
        WaveGlow (Prenger et al., 2019), sec. 2. arXiv:1811.00002
        FloWaveNet (Kim et al., 2019), sec. 3. arXiv:1811.02155
    """

    def __init__(
        self,
        config: WaveNetConfig,
        num_inputs: int,
        num_params: int,
        num_outputs: int,
        context_channels: int = 0,
    ) -> None:
        super().__init__()
        if config.prediction_order:
            raise ValueError(
                f"prediction_order is {config.prediction_order}, expected 0: a network that sees "
                "the future has nothing to predict"
            )
        if config.pitch.longest_lag:
            raise ValueError(
                f"pitch.longest_lag is {config.pitch.longest_lag}, expected 0: a network that sees "
                "the future has nothing to predict"
            )
        self.num_inputs = num_inputs
        self.num_params = num_params
        self.num_outputs = num_outputs
        self.context_channels = context_channels
        self.num_layers = config.num_layers
        width = config.residual_channels
        self.first = normalised_conv(num_inputs, width, 1)
        self.layers = nn.ModuleList(
            ResidualLayer(width, config.skip_channels, config.kernel_size, dilation, causal=False)
            for dilation in config.dilations
        )
        self.context = (
            normalised_conv(context_channels, 2 * width * config.num_layers, 1, bias=False)
            if context_channels
            else None
        )
        head_width = config.skip_channels or width
        self.hidden = normalised_conv(head_width, head_width, 1)
        self.head = nn.Conv1d(head_width, num_params * num_outputs, 1)
        with torch.no_grad():  # start near the identity
            self.head.weight.mul_(0.01)
            assert self.head.bias is not None
            self.head.bias.zero_()

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Compute all parameters in parallel.

        Args:
            x: signal, shape (B, num_inputs, T).
            context: frames, shape (B, H, L) with T a multiple of L.
        Returns:
            parameters, shape (B, P, num_outputs, T).
        Raises:
            ValueError: if a shape does not fit.
        """
        check_signal(x, self.num_inputs)
        check_frames(context, x, self.context_channels)
        gates = None
        if self.context is not None:
            gates = self.context(context).unflatten(1, (self.num_layers, -1))
        h = residual_stack(self.layers, self.first(x), gates)
        params = self.head(F.relu(self.hidden(F.relu(h))))
        return params.unflatten(1, (self.num_params, self.num_outputs))
