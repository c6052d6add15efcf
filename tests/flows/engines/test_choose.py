"""The choice of engines, its messages and its errors."""

import importlib.util
import shutil
from types import SimpleNamespace

import pytest
import torch

from flows import EngineError, choose_engine

SINGLE, DOUBLE = torch.zeros(1), torch.zeros(1, dtype=torch.float64)
HALF = torch.zeros(1, dtype=torch.bfloat16)
# The choice reads only these of a tensor; the test has no GPU.
ON_CUDA = SimpleNamespace(dtype=torch.float32, device=torch.device("cuda"))
DOUBLE_ON_CUDA = SimpleNamespace(dtype=torch.float64, device=torch.device("cuda"))


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Pretend to have a capable GPU, and no interpreter."""
    monkeypatch.setenv("TRITON_INTERPRET", "0")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    return monkeypatch


def test_a_cpu_compiles() -> None:
    assert choose_engine(SINGLE)[0] == "compiled"
    assert choose_engine(SINGLE, sequential=True)[0] == "compiled"
    assert choose_engine(SINGLE, "torch") == ("torch", "PyTorch, as asked")
    chosen, why = choose_engine(DOUBLE)
    assert chosen == "torch"
    assert "torch.float64 on cpu" in why


def test_a_gpu_fuses_layers_and_replays_steps(gpu: pytest.MonkeyPatch) -> None:
    chosen, said = choose_engine(ON_CUDA)
    assert chosen == "fused"
    assert said == "fused Triton layers, products in TF32"
    gpu.setattr(torch.backends.cudnn, "allow_tf32", False)
    assert "three TF32 parts" in choose_engine(ON_CUDA)[1]
    assert choose_engine(ON_CUDA, sequential=True)[0] == "graph"
    assert choose_engine(DOUBLE_ON_CUDA, sequential=True)[0] == "graph"
    assert choose_engine(DOUBLE_ON_CUDA)[0] == "torch"
    assert choose_engine(ON_CUDA, "persistent", sequential=True)[0] == "persistent"
    assert choose_engine(ON_CUDA, "torch")[0] == "torch"


def test_an_interpreter_is_never_chosen_unasked() -> None:
    assert choose_engine(HALF)[0] == "torch"
    assert choose_engine(HALF, "fused")[0] == "fused"
    assert "interpreter" in choose_engine(HALF, "fused")[1]
    assert "interpreter" in choose_engine(SINGLE, "persistent", sequential=True)[1]


@pytest.mark.parametrize(
    ("missing", "why"),
    [
        ("package", "needs the package triton"),
        ("compiler", "needs a C compiler"),
        ("capability", r"needs compute capability 8\.0, this GPU has 7\.5"),
    ],
)
def test_pytorch_stands_in_for_kernels_that_cannot_run(
    gpu: pytest.MonkeyPatch, missing: str, why: str
) -> None:
    if missing == "package":
        gpu.setattr(importlib.util, "find_spec", lambda name: None)
    elif missing == "compiler":
        gpu.setattr(shutil, "which", lambda name: None)
    else:
        gpu.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    chosen, said = choose_engine(ON_CUDA)
    assert chosen == "torch"
    assert said.startswith("PyTorch, because fused sampling needs")
    with pytest.raises(EngineError, match=why):
        choose_engine(ON_CUDA, "fused")


@pytest.mark.parametrize(
    ("like", "engine", "sequential", "why"),
    [
        (DOUBLE, "compiled", False, r"is for torch\.float32 on cpu, got torch\.float64 on cpu"),
        (ON_CUDA, "compiled", True, r"is for torch\.float32 on cpu, got torch\.float32 on cuda"),
        (DOUBLE, "fused", False, r"32 or 16 bits on cuda, got torch\.float64 on cpu"),
        (ON_CUDA, "fused", True, "fused sampling is for students"),
        (ON_CUDA, "graph", False, "graph sampling is for teachers"),
        (ON_CUDA, "persistent", False, "persistent sampling is for teachers"),
        (HALF, "persistent", True, r"numbers of 32 bits on cuda, got torch\.bfloat16 on cpu"),
        (SINGLE, "graph", True, r"graph sampling is for cuda, got torch\.float32 on cpu"),
        (SINGLE, "fast", False, "engine is 'fast', expected 'auto', 'compiled', .* or 'torch'"),
    ],
)
def test_engines_that_do_not_apply_are_refused(
    like: torch.Tensor, engine: str, sequential: bool, why: str
) -> None:
    with pytest.raises(EngineError, match=why):
        choose_engine(like, engine, sequential=sequential)
