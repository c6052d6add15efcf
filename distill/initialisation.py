"""Start a student from what its teacher already knows."""

import torch
from torch import Tensor

from flows import FrameContext, folded_state, load_folded_state
from student import Student
from teacher import Teacher

NUM_PROBE_FRAMES = 512


@torch.no_grad()
def initialise_context(student: Student, teacher: Teacher) -> bool:
    """Copy the teacher's context network, statistics included, into the student's.

    Both read the same frames, and what the teacher found worth knowing about them the student
    needs, too. The copy computes the same function up to one gain, but in the proportions of a
    fresh network: a trained teacher's weights and hidden frames may be many times smaller, and
    steps that suit the one wreck the other. The copy is trained on with the rest of the student.

    Args:
        student: untrained, in its training form or folded; changed in place.
        teacher: trained; its weight norm may be folded.
    Returns:
        whether the networks agree in shape and see their frames; if not, as where the student's
        predicts a pitch, too, the student is left as it is.
    """
    if teacher.context.blind or student.frame_context.blind:
        return False
    state, ours = folded_state(teacher.context), folded_state(student.frame_context)
    shapes = [{name: tensor.shape for name, tensor in part.items()} for part in (state, ours)]
    if shapes[0] != shapes[1]:
        return False
    # A leaky rectifier passes a positive gain through unchanged: the gain of each hidden channel
    # can move from one layer to the next, and that of the output is free.
    norms = state["first.weight"].flatten(1).norm(dim=1).clamp(min=1e-6)
    gain = _output_level(student.frame_context) / _output_level(teacher.context)
    state["first.weight"] = state["first.weight"] / norms[:, None, None]
    state["first.bias"] = state["first.bias"] / norms
    state["second.weight"] = state["second.weight"] * norms[:, None] * gain
    state["second.bias"] = state["second.bias"] * gain
    load_folded_state(student.frame_context, state)
    return True


def _output_level(context: FrameContext) -> Tensor:
    """Root mean square of the hidden frames for frames of the corpus's mean and deviation."""
    generator = torch.Generator().manual_seed(0)
    shape = (1, context.num_features, NUM_PROBE_FRAMES)
    noise = torch.randn(shape, generator=generator, dtype=context.mean.dtype)
    frames = noise.to(context.mean.device) * context.std + context.mean
    return context(frames, NUM_PROBE_FRAMES).square().mean().sqrt()
