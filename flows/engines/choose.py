"""Choice of the engine that draws samples: PyTorch is the reference, the others are faster."""

from typing import Literal, get_args

import torch
from torch import Tensor

from flows.engines.cpu.instructions.intrinsics import MULTIPLIES_PAIRS
from flows.engines.threads import num_threads
from flows.engines.triton.stack import fused_name, fused_obstacle, is_interpreted, triton_obstacle

Engine = Literal["auto", "compiled", "fused", "graph", "persistent", "torch"]


class EngineError(ValueError):
    """The requested engine does not exist or does not apply."""


def choose_engine(
    like: Tensor, engine: Engine = "auto", *, sequential: bool = False
) -> tuple[Engine, str]:
    """Choose the engine that draws samples.

    Args:
        like: a tensor with the dtype and device of the noise.
        engine: "compiled" for a CPU (`flows.engines.cpu`), "fused" (`flows.engines.triton.stack`),
            "graph" (`flows.engines.cuda_graph`) or "persistent" (`flows.engines.triton.loop`) for a
            GPU, "torch", or "auto" for the first engine that applies; "auto" never chooses
            "persistent".
        sequential: whether samples are drawn one after the other, as a teacher draws them, or in
            parallel, as a student does.
    Returns:
        the engine, never "auto"; a description of the engine and of the reason for it.
    Raises:
        EngineError: if the engine is unknown or does not apply.
    """
    if engine not in get_args(Engine):
        *names, last = map(repr, get_args(Engine))
        raise EngineError(f"engine is {engine!r}, expected {', '.join(names)} or {last}")
    if engine == "torch":
        return "torch", "PyTorch, as asked"
    on_cuda: Engine = "graph" if sequential else "fused"
    fast: Engine = "compiled" if like.device.type == "cpu" else on_cuda
    chosen = fast if engine == "auto" else engine
    obstacle = _obstacle(chosen, like, sequential)
    if obstacle is None:
        return chosen, _in_words(chosen, like)
    return fallback(engine, obstacle)


def multiplies_in_pairs() -> bool:
    """Return whether compiled code multiplies layers in bfloat16.

    It does so within autocast to bfloat16, if the processor has an instruction that multiplies
    pairs of bfloat16 numbers and adds the products to sums in float32. Without the instruction,
    compiled code multiplies in float32.
    """
    rounds = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16
    return rounds and MULTIPLIES_PAIRS


def fallback(engine: Engine, obstacle: str) -> tuple[Engine, str]:
    """Return PyTorch as the fallback for an engine that does not apply.

    Args:
        engine: the requested engine.
        obstacle: the reason why the engine does not apply.
    Raises:
        EngineError: if `engine` is not "auto": an engine requested by name has no fallback.
    """
    if engine != "auto":
        raise EngineError(obstacle)
    return "torch", f"PyTorch, because {obstacle}"


def _obstacle(engine: Engine, like: Tensor, sequential: bool) -> str | None:
    """Return the reason why an engine does not apply, or None if it applies."""
    found = f"{like.dtype} on {like.device.type}"
    if engine == "compiled":
        applies = found == "torch.float32 on cpu"
        return None if applies else f"compiled sampling is for torch.float32 on cpu, got {found}"
    if engine == "graph":
        if not sequential:
            return "graph sampling is for teachers, which draw sample after sample"
        applies = like.device.type == "cuda"
        return None if applies else f"graph sampling is for cuda, got {found}"
    if engine == "persistent":
        if not sequential:
            return "persistent sampling is for teachers, which draw sample after sample"
        return triton_obstacle("persistent", (torch.float32,), like.dtype, like.device)
    if sequential:
        return "fused sampling is for students, which draw in parallel"
    return fused_obstacle(like.dtype, like.device)


def _in_words(engine: Engine, like: Tensor) -> str:
    if engine == "compiled":
        pairs = ", layers in bfloat16" * multiplies_in_pairs()
        threads = "1 thread" if num_threads() == 1 else f"up to {num_threads()} threads"
        return f"compiled, {threads}{pairs}"
    if engine == "graph":
        return "PyTorch's steps as a CUDA graph"
    if engine == "persistent":
        return "one Triton kernel for all steps" + " in the interpreter" * is_interpreted()
    return fused_name(like.dtype)
