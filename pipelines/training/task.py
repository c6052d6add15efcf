"""A task of the training loop: a model with its loss and its validation."""

from torch import Tensor, nn

from data import Batch
from flows import Pretrained
from pipelines.training.log import Validation


class Task(nn.Module):
    """A model in training, with its loss and its validation."""

    model: Pretrained
    name: str

    @property
    def companions(self) -> dict[str, nn.Module]:
        """Further trained modules by name, such as discriminators; only checkpoints keep them."""
        return {}

    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return scalars by name; training minimises `loss`."""
        raise NotImplementedError

    def validate(self, model: Pretrained) -> Validation:
        """Evaluate a model, usually the averaged one, on held-out data."""
        raise NotImplementedError
