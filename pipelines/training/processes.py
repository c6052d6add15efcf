"""One training run in several processes, on one machine or several.

A launcher (`torchrun` or `fabric run`) starts the processes and sets each process's environment
variables. Fabric joins the processes by DistributedDataParallel: gloo between CPUs, NCCL between
GPUs.
"""

import os
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision, Precision
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import Tensor
from torch.distributed.nn.functional import all_reduce

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
    # Every process builds an equal model and no buffer changes, so buffers need not be sent.
    fabric = Fabric(
        accelerator=device,
        devices=on_each_machine,
        num_nodes=world_size() // on_each_machine,
        strategy=DDPStrategy(broadcast_buffers=False),
        plugins=[precision],
    )
    if os.environ.get("LT_CLI_USED", "0") == "0":  # else `fabric run` has launched the processes
        fabric.launch()
    return fabric


def is_lost_process(error: RuntimeError) -> bool:
    """Tell whether an error means that another process ended or cannot be reached."""
    # gloo has no exception class of its own.
    return isinstance(error, torch.distributed.DistError) or "/gloo/" in str(error)


def most_in_any_process(fabric: Fabric, numbers: Tensor) -> Tensor:
    """Return each number's maximum over all processes, all of which must call this together."""
    if fabric.world_size == 1:
        return numbers
    found = fabric.all_reduce(numbers, reduce_op="max")
    assert isinstance(found, Tensor)
    return found


def mean_over_processes(fabric: Fabric, values: dict[str, float]) -> dict[str, float]:
    """Average numbers by name over all processes, all of which must call this together."""
    if fabric.world_size == 1:
        return values
    numbers = torch.tensor(list(values.values()), dtype=torch.float64, device=fabric.device)
    found = fabric.all_reduce(numbers, reduce_op="mean")
    assert isinstance(found, Tensor)
    return dict(zip(values, found.tolist(), strict=True))


def sum_over_processes(values: Tensor) -> Tensor:
    """Add a tensor up over all processes; gradients flow back to every process."""
    return values if world_size() == 1 else all_reduce(values)
