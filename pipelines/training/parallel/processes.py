"""One training run in several processes, on one machine or several.

The command itself (`pipelines.training.parallel.launch`) or a launcher (`torchrun`, `fabric run`)
starts the processes and sets each process's environment variables. Fabric joins the processes by
DistributedDataParallel: gloo between CPUs, NCCL between GPUs.
"""

import atexit
import inspect
import os
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision, Precision
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from pipelines.precision import PrecisionName, resolved_precision
from pipelines.ranks import world_size


class FullInputs(MixedPrecision):
    """Mixed precision that does not round a module's inputs.

    Fabric's own mixed precision rounds inputs, too. In bfloat16, a waveform has 8 significant bits,
    and its silence becomes rounding noise. Autocast rounds only within the layers that gain speed.
    """

    def convert_input(self, data: Any) -> Any:
        """Return the inputs unchanged."""
        return data


def precision_plugin(name: PrecisionName, device: str) -> Precision:
    """Return Fabric's plugin for a number type, see `pipelines.precision.resolved_precision`."""
    chosen, where = resolved_precision(name, device)
    if chosen == "32-true":
        return Precision()
    assert chosen != "auto"
    return FullInputs(chosen, where)


def join_processes(device: str, precision: Precision) -> Fabric:
    """Join the run's other processes, if there are any.

    Args:
        device: "cpu" or "cuda".
        precision: Fabric's plugin for the types of numbers.
    Returns:
        Fabric, with the processes launched.
    """
    if world_size() == 1:
        return Fabric(accelerator=device, devices=1, plugins=[precision])
    on_each_machine = int(os.environ.get("LOCAL_WORLD_SIZE", world_size()))
    # The environment of a job scheduler does not describe processes that the command has started.
    environment = LightningEnvironment() if torch.distributed.is_initialized() else None
    # Every process builds an equal model and no buffer changes, so buffers need not be sent.
    known = inspect.signature(DistributedDataParallel).parameters
    name = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
    options: dict[str, Any] = {name: False}
    # Gradients that lie in the buckets that are sent need not be copied back.
    fabric = Fabric(
        accelerator=device,
        devices=on_each_machine,
        num_nodes=world_size() // on_each_machine,
        strategy=DDPStrategy(
            cluster_environment=environment, gradient_as_bucket_view=True, **options
        ),
        plugins=[precision],
    )
    if os.environ.get("LT_CLI_USED", "0") == "0":  # else `fabric run` has launched the processes
        fabric.launch()
    leave_at_exit()
    return fabric


def leave_at_exit() -> None:
    """Register the destruction of the process group for the exit of Python.

    A thread of gloo that still holds a tensor when Python has ended aborts the process: it can no
    longer get the lock that it needs to release the tensor.
    """
    atexit.unregister(leave)
    atexit.register(leave)


def leave() -> None:
    """Leave the other processes, if they have been joined."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()  # waits for gloo's threads


def is_lost_process(error: RuntimeError) -> bool:
    """Tell whether an error means that another process ended or cannot be reached."""
    # gloo has no exception class of its own.
    return isinstance(error, torch.distributed.DistError) or "/gloo/" in str(error)


def most_in_any_process(numbers: Tensor) -> Tensor:
    """Return each number's maximum over all processes, all of which must call this together."""
    if world_size() > 1:
        # Fabric's all_reduce would wait for all processes twice: it begins with a barrier.
        torch.distributed.all_reduce(numbers, torch.distributed.ReduceOp.MAX)
    return numbers


def mean_over_processes(values: dict[str, float], device: torch.device) -> dict[str, float]:
    """Average numbers by name over all processes, all of which must call this together."""
    if world_size() == 1:
        return values
    numbers = torch.tensor(list(values.values()), dtype=torch.float64, device=device)
    torch.distributed.all_reduce(numbers)
    return dict(zip(values, (numbers / world_size()).tolist(), strict=True))


def sum_over_processes(values: Tensor) -> Tensor:
    """Add a tensor up over all processes; gradients flow back to every process."""
    return values if world_size() == 1 else _Sum.apply(values)


class _Sum(torch.autograd.Function):
    """The sum over all processes. In the backward pass, every process gets the sum of gradients."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        """Return the sum."""
        total = values.clone(memory_format=torch.contiguous_format)
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """Return the gradient, the sum of the processes' gradients."""
        return _Sum.forward(ctx, gradient)
