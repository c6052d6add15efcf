"""One training run in several processes, on one machine or more.

A launcher starts the processes (`torchrun`, or `fabric run`) and tells each its place in the
environment; Fabric joins them by DistributedDataParallel: gloo between CPUs, NCCL between GPUs.
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
    """Mixed precision that leaves a module's inputs as they are.

    Fabric's own rounds them, too: a waveform in bfloat16 has 8 significant bits, and rounding
    noise in the place of its silence. Autocast rounds inside each layer that gains from it.
    """

    def convert_input(self, data: Any) -> Any:
        """Return the inputs unchanged."""
        return data


def precision_plugin(name: PrecisionName, device: str) -> Precision:
    """Choose how numbers are held in training; see `pipelines.precision.resolved_precision`."""
    chosen, where = resolved_precision(name, device)
    if chosen == "32-true":
        return Precision()
    assert chosen != "auto"
    return FullInputs(chosen, where)


def join_processes(device: str, precision: Precision) -> Fabric:
    """Join the run's other processes, if there are any.

    Args:
        device: "cpu" or "cuda".
        precision: how numbers are held.
    Returns:
        Fabric, launched.
    """
    if world_size() == 1:
        return Fabric(accelerator=device, devices=1, plugins=[precision])
    on_each_machine = int(os.environ.get("LOCAL_WORLD_SIZE", world_size()))
    # Every process builds the same model and no buffer changes: none needs to be sent.
    fabric = Fabric(
        accelerator=device,
        devices=on_each_machine,
        num_nodes=world_size() // on_each_machine,
        strategy=DDPStrategy(broadcast_buffers=False),
        plugins=[precision],
    )
    if os.environ.get("LT_CLI_USED", "0") == "0":  # `fabric run` has launched it already
        fabric.launch()
    return fabric


def is_lost_process(error: RuntimeError) -> bool:
    """Tell whether an error means that another process is gone, or out of reach."""
    # gloo has no exception of its own.
    return isinstance(error, torch.distributed.DistError) or "/gloo/" in str(error)


def most_in_any_process(fabric: Fabric, numbers: Tensor) -> Tensor:
    """Return the largest of each number in any process; all must ask at the same step."""
    if fabric.world_size == 1:
        return numbers
    found = fabric.all_reduce(numbers, reduce_op="max")
    assert isinstance(found, Tensor)
    return found


def mean_over_processes(fabric: Fabric, values: dict[str, float]) -> dict[str, float]:
    """Average numbers by name; all must ask at the same step."""
    if fabric.world_size == 1:
        return values
    numbers = torch.tensor(list(values.values()), dtype=torch.float64, device=fabric.device)
    found = fabric.all_reduce(numbers, reduce_op="mean")
    assert isinstance(found, Tensor)
    return dict(zip(values, found.tolist(), strict=True))


def sum_over_processes(values: Tensor) -> Tensor:
    """Add tensors up over the processes; gradients flow back to each."""
    return values if world_size() == 1 else all_reduce(values)
