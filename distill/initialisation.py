"""Initialise a student's context network from its teacher's."""

import torch
from torch import Tensor

from flows import FrameContext, folded_state, load_folded_state
from student import Student
from teacher import Teacher

NUM_PROBE_FRAMES = 512
"""Number of random frames on which the level of a context network's output is measured."""


@torch.no_grad()
def initialise_context(student: Student, teacher: Teacher) -> bool:
    """Copy the teacher's context network, statistics included, into the student's.

    The recipes tiny, nsh, ljspeech, clarinet and parallel_wavenet use it. The other recipes turn
    `distillation.initialise_context` off.

    Both networks read the log-mel, so the features that the teacher has learned are useful to the
    student. The copy computes the teacher's function times one gain, and its weights are as large
    as the weights of an untrained network. The weights and hidden frames of a trained teacher may
    be many times smaller. A learning rate that suits an untrained network would ruin them. Training
    changes the copy together with the rest of the student.

    Args:
        student: untrained, with weight norm or with folded weight norm; changed in place.
        teacher: trained; its weight norm may be folded.
    Returns:
        whether the copy was made. The student stays unchanged if a model is unconditional, or if
        the networks differ in shape, for instance because the student predicts a pitch.
    """
    if teacher.context.blind or student.frame_context.blind:
        return False
    state, ours = folded_state(teacher.context), folded_state(student.frame_context)
    shapes = [{name: tensor.shape for name, tensor in part.items()} for part in (state, ours)]
    if shapes[0] != shapes[1]:
        return False
    # A leaky rectifier commutes with a positive gain. So the gain of each hidden channel can move
    # from the first layer to the second, and the gain of the output is free.
    norms = state["first.weight"].flatten(1).norm(dim=1).clamp(min=1e-6)
    gain = _output_level(student.frame_context) / _output_level(teacher.context)
    state["first.weight"] = state["first.weight"] / norms[:, None, None]
    state["first.bias"] = state["first.bias"] / norms
    state["second.weight"] = state["second.weight"] * norms[:, None] * gain
    state["second.bias"] = state["second.bias"] * gain
    load_folded_state(student.frame_context, state)
    return True


def _output_level(context: FrameContext) -> Tensor:
    """Return the RMS of the hidden channels for Gaussian frames with the corpus's mean and std."""
    generator = torch.Generator().manual_seed(0)
    shape = (1, context.num_features, NUM_PROBE_FRAMES)
    noise = torch.randn(shape, generator=generator, dtype=context.mean.dtype)
    frames = noise.to(context.mean.device) * context.std + context.mean
    hidden = context(frames, NUM_PROBE_FRAMES)
    return hidden[:, : hidden.shape[1] - context.num_added].square().mean().sqrt()
