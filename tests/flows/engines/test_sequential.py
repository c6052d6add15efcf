"""Sequential sampling: the compiled loop equals the PyTorch steps."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor

from flows import (
    Affine,
    Autoregressive,
    BoundedAffine,
    Engine,
    Made,
    MixtureCdf,
    PitchPredictionConfig,
    Transformer,
    Triangular,
    WaveNet,
    WaveNetConfig,
    draw_chunks,
    maf,
)
from flows.engines.cpu.arrays import Samples
from flows.engines.cpu.layout import (
    lay_out_frames,
    lay_out_loop,
    start_exchange,
    start_streams,
)
from flows.engines.cpu.sample_loop import advance

HIDDEN = 3
SKIPS = WaveNetConfig(num_layers=6, layers_per_cycle=5, residual_channels=6, skip_channels=9)

LAGS = PitchPredictionConfig(longest_lag=40, shortest_lag=9, update=16)


@dataclasses.dataclass(frozen=True)
class Net:
    """A small network, and the sizes of its signal."""

    config: WaveNetConfig = SKIPS
    channels: int = 1
    components: int = 0  # of a mixture; 0 for a Gaussian
    triangular: bool = False
    frames: int = 5  # 0 without context
    length: int = 64  # samples per frame

    def make(self) -> tuple[Autoregressive, Tensor, Tensor | None, Tensor | None]:
        """Build the flow, noise, context and choice, in float32."""
        torch.manual_seed(0)
        k = self.components
        transformer: Transformer = MixtureCdf(k, base="logistic") if k else Affine()
        if self.triangular:
            transformer = Triangular(self.channels)
        network = WaveNet(
            self.config,
            transformer.num_params,
            self.channels,
            HIDDEN if self.frames else 0,
            tuple(range(k, 2 * k)) if k else (0,),
        )
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
            network.input_std.fill_(0.7)
            if network.prediction is not None:  # keep the synthesis filter tame
                for parameter in network.prediction.parameters():
                    parameter.mul_(0.1)
        shape = (3, self.channels, max(1, self.frames) * self.length)
        context = torch.randn(3, HIDDEN, self.frames) if self.frames else None
        return maf(network, transformer), torch.randn(shape), context, torch.rand(shape)


NETS = {
    "skips": Net(),
    "no_skips_kernel_3": Net(
        WaveNetConfig(num_layers=4, kernel_size=3, residual_channels=40, skip_channels=0), 2
    ),
    "kernel_4": Net(dataclasses.replace(SKIPS, kernel_size=4, num_layers=5)),
    "linear_prediction": Net(dataclasses.replace(SKIPS, prediction_order=7), 2),
    "unconditional_linear_prediction": Net(
        dataclasses.replace(SKIPS, prediction_order=7), frames=0, length=299
    ),
    "frames_of_odd_length": Net(frames=13, length=21),
    "frames_of_twelve": Net(frames=20, length=12),
    "mixture": Net(dataclasses.replace(SKIPS, prediction_order=3), 2, components=4),
    "one_logistic": Net(components=1),
    "as_many_skips": Net(
        WaveNetConfig(num_layers=3, layers_per_cycle=3, residual_channels=64, skip_channels=64)
    ),
    "long_term_prediction": Net(dataclasses.replace(SKIPS, pitch=LAGS), 4),
    "unconditional_long_term_prediction": Net(
        dataclasses.replace(SKIPS, pitch=LAGS), 2, frames=0, length=304
    ),
    "triangular": Net(SKIPS, 4, triangular=True),
    "triangular_long_term_prediction": Net(
        dataclasses.replace(SKIPS, pitch=LAGS), 8, triangular=True
    ),
    "wider_than_a_panel": Net(
        WaveNetConfig(num_layers=3, layers_per_cycle=3, residual_channels=72, skip_channels=66)
    ),
}


def sample(
    flow: Autoregressive,
    noise: Tensor,
    context: Tensor | None,
    choice: Tensor | None,
    engine: str = "compiled",
    chunk: int = 100,
) -> Tensor:
    choice = choice if isinstance(flow.transformer, MixtureCdf) else None
    return torch.cat(list(draw_chunks(flow, noise, context, choice, engine, chunk)), -1)


@pytest.fixture(params=NETS, ids=list(NETS))
def net(request: pytest.FixtureRequest) -> Net:
    return NETS[request.param]


def test_compiled_loop_draws_what_float64_steps_draw(net: Net) -> None:
    flow, noise, context, choice = net.make()
    drawn = sample(flow, noise, context, choice)
    wide = [None if t is None else t.double() for t in (noise, context, choice)]
    reference = sample(flow.double(), *wide, engine="torch")
    assert 0.3 < float(reference.std()) < 10
    torch.testing.assert_close(drawn.double(), reference, rtol=1e-5, atol=1e-5)


def test_steps_draw_the_inverse_of_the_flow() -> None:
    flow, noise, context, _ = Net().make()
    drawn = sample(flow.double(), noise.double(), context.double(), None, "torch", chunk=7)
    expected, _ = flow.inverse(noise.double(), context.double())
    torch.testing.assert_close(drawn, expected, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["skips", "no_skips_kernel_3", "linear_prediction"])
def test_compiled_parameters_of_given_samples_equal_the_parallel_pass(name: str) -> None:
    # A loop that reads its own samples could draw plausible ones with a wrong weight.
    net = NETS[name]
    flow, x, context, _ = net.make()
    wavenet = flow.conditioner
    with torch.no_grad():
        params = wavenet.double()(x.double(), context.double())
        shift, log_scale = flow.transformer.split(params)
        [network] = lay_out_loop(wavenet.float(), flow.transformer.log_scale_floor, 1)
        [frames] = lay_out_frames(wavenet, x, context, 0, net.length)
    order = net.config.prediction_order
    for noise, expected in ((0.0, shift), (1.0, shift + log_scale.exp())):
        streams = start_streams(network, len(x), net.channels, order, 8)
        shared = start_exchange(network, len(x))
        found, unused = torch.empty_like(x), x[..., :0].numpy()
        for t in range(x.shape[-1]):
            drawn = np.empty((len(x), net.channels, 1), np.float32)
            samples = Samples(np.full_like(drawn, noise), unused, drawn)
            advance(network, streams, shared, frames, samples, t, 0, 1)
            found[..., t] = torch.from_numpy(drawn[..., 0])
            streams.previous[:] = x[..., t].numpy()
        torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)


def test_a_stream_does_not_depend_on_the_streams_beside_it(net: Net) -> None:
    flow, noise, context, choice = net.make()
    with torch.no_grad():
        [network] = lay_out_loop(flow.conditioner, flow.transformer.log_scale_floor, 1)
        [frames] = lay_out_frames(flow.conditioner, noise, context, 0, net.length)
    order = net.config.prediction_order
    block = 8 if net.length % 8 == 0 else 1
    together, alone = torch.empty_like(noise).numpy(), torch.empty_like(noise).numpy()
    for group, out in [
        (slice(0, 3), together),
        *((slice(i, i + 1), alone) for i in range(3)),
    ]:
        size = group.stop - group.start
        streams = start_streams(network, size, net.channels, order, block)
        shared = start_exchange(network, size)
        samples = Samples(noise.numpy(), choice.numpy(), out).of(group)
        length = noise.shape[-1]
        advance(network, streams, shared, frames.of(group), samples, 0, 0, length)
    assert np.array_equal(alone, together)


def test_the_number_of_threads_does_not_matter(two_threads: None) -> None:
    flow, noise, context, choice = NETS["unconditional_linear_prediction"].make()
    in_two = sample(flow, noise, context, choice)
    torch.set_num_threads(1)
    assert torch.equal(sample(flow, noise, context, choice), in_two)


def test_the_same_noise_gives_the_same_bits(net: Net) -> None:
    arguments = net.make()
    assert torch.equal(sample(*arguments), sample(*arguments))


@pytest.mark.parametrize("chunk", [1, 37, 4096])
def test_pieces_join_to_the_whole(net: Net, chunk: int) -> None:
    flow, noise, context, choice = net.make()
    whole = sample(flow, noise, context, choice, chunk=10**6)
    pieces = sample(flow, noise, context, choice, chunk=chunk)
    # A piece's context is projected by PyTorch, whose rounding varies with the number of frames.
    tolerance = 1e-5 if net.frames else 0.0
    torch.testing.assert_close(pieces, whole, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("engine", ["compiled", "torch"])
def test_pieces_come_one_by_one(engine: str) -> None:
    flow, noise, context, _ = Net().make()
    lengths = [x.shape[-1] for x in draw_chunks(flow, noise, context, None, engine, 128)]
    assert lengths == [128, 128, 64]


def test_no_gradients_are_recorded() -> None:
    flow, noise, context, _ = Net().make()
    for engine in ("compiled", "torch"):
        assert not sample(flow, noise, context, None, engine).requires_grad


def test_unsupported_flows_are_refused() -> None:
    flow, noise, context, choice = Net().make()
    with pytest.raises(ValueError, match="context is missing"):
        next(draw_chunks(flow, noise))
    with pytest.raises(ValueError, match="not a whole multiple of 7"):
        next(draw_chunks(flow, noise, context[..., :1].expand(-1, -1, 7)))
    with pytest.raises(ValueError, match="affine transformer has no use"):
        next(draw_chunks(flow, noise, context, choice))
    with pytest.raises(ValueError, match="got Made with Affine"):
        next(draw_chunks(maf(Made(3, 2), Affine()), noise))
    with pytest.raises(ValueError, match="got WaveNet with BoundedAffine"):
        next(draw_chunks(maf(flow.conditioner, BoundedAffine()), noise, context))


@pytest.mark.parametrize("engine", ["compiled", "torch"])
def test_locations_of_another_transformer_are_refused(engine: Engine) -> None:
    flow = maf(WaveNet(SKIPS, 6), MixtureCdf(2, base="logistic"))
    noise = torch.zeros(1, 1, 8)
    with pytest.raises(ValueError, match=r"the WaveNet's locations are \[0\], expected \[2, 3\]"):
        list(draw_chunks(flow, noise, choice=noise, engine=engine))
