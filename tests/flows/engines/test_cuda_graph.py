"""Steps in fixed memory draw the cached steps' samples, also when they are replayed."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from flows import Autoregressive, MixtureCdf, draw_chunks
from flows.engines.cuda_graph import StaticStep
from tests.flows.engines.test_sequential import NETS

Signal = tuple[Autoregressive, Tensor, Tensor | None, Tensor | None]


class Recorder(TorchDispatchMode):
    """An emulation of a CUDA graph on a CPU: it records operations, and repeats them in place.

    Whatever Python does between the operations is not repeated, and what an operation returned is
    where the repetition puts its result.
    """

    def __init__(self) -> None:
        super().__init__()
        self._calls: list[tuple[Callable[..., Any], Any, Any, Any]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        assert "_local_scalar_dense" not in str(func), "a graph cannot wait for a number"
        out = func(*args, **(kwargs or {}))
        self._calls.append((func, args, kwargs or {}, out))
        return out

    def replay(self) -> None:
        for func, args, kwargs, out in self._calls:
            read = {t.untyped_storage().data_ptr() for t in tensors((args, kwargs))}
            for old, new in zip(tensors(out), tensors(func(*args, **kwargs)), strict=True):
                if old.untyped_storage().data_ptr() not in read:  # no view, nor changed in place
                    old.copy_(new)


def tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


@pytest.fixture(params=NETS, ids=list(NETS))
def signal(request: pytest.FixtureRequest) -> Signal:
    flow, noise, context, choice = NETS[request.param].make()
    wide = [None if t is None else t.double() for t in (noise, context, choice)]
    noise, context, choice = wide
    return (
        flow.double(),
        noise,
        context,
        choice if isinstance(flow.transformer, MixtureCdf) else None,
    )


def static_step(signal: Signal, chunk: int) -> StaticStep:
    flow, noise, context, choice = signal
    return StaticStep(flow.conditioner, flow.transformer, noise, context, choice, chunk)


def cached(signal: Signal) -> Tensor:
    return torch.cat(list(draw_chunks(*signal, engine="torch")), -1)


@torch.no_grad()
def test_steps_in_place_draw_what_cached_steps_draw(signal: Signal) -> None:
    step, noise, choice = static_step(signal, 100), signal[1], signal[3]
    drawn = list(step.chunks(step, noise, choice))
    assert [x.shape[-1] for x in drawn[:-1]] == [100] * (len(drawn) - 1)
    torch.testing.assert_close(torch.cat(drawn, -1), cached(signal), rtol=1e-12, atol=1e-12)


@torch.no_grad()
def test_a_step_recorded_once_draws_all_samples(signal: Signal) -> None:
    step, noise, choice = static_step(signal, 37), signal[1], signal[3]
    step()  # as `capture` warms it up
    step.restart()
    recorder = Recorder()
    with recorder:
        step()
    step.restart()  # a capture only records
    drawn = torch.cat(list(step.chunks(recorder.replay, noise, choice)), -1)
    torch.testing.assert_close(drawn, cached(signal), rtol=1e-12, atol=1e-12)
