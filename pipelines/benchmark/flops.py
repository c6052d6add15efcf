"""Numbers of floating-point operations of the networks for a sample."""

from flows import WaveNetConfig
from student import StudentConfig
from teacher import Teacher


def wavenet_flops(
    config: WaveNetConfig, num_params: int, num_channels: int = 1, context_channels: int = 0
) -> int:
    """Count a network's floating-point operations for one step, two for each weight it uses.

    A step computes `num_channels` samples.

    Only matrix products of each step count; gates and layers at frame rate do not.

    Args:
        config: size of the network.
        num_params: number of parameters for each scalar of the signal.
        num_channels: number of channels of the signal.
        context_channels: width of the context, if it changes from step to step.
    """
    width, skips = config.residual_channels, config.skip_channels
    head = skips or width
    inputs = 3 if config.predicts else 1
    layer = config.kernel_size * width * 2 * width + width * (width + skips)
    taps = config.prediction_order or (config.pitch.num_lags if config.pitch.longest_lag else 0)
    ends = num_channels * (inputs * width + num_params * head + taps)
    context = context_channels * (config.num_layers * 2 * width + num_params * num_channels)
    return 2 * (config.num_layers * layer + head * head + ends + context)


def teacher_flops(teacher: Teacher) -> int:
    """Count a teacher's operations for one sample in cached sampling."""
    config = teacher.config
    frame = wavenet_flops(config.wavenet, teacher.transformer.num_params, config.frame_length)
    return round(frame / config.frame_length) + 2 * config.filter_order


def student_flops(config: StudentConfig) -> int:
    """Count the operations of a student's flows for one sample, rounded to an integer.

    The networks of the context, the pitch and the voice do not count.
    """
    length = config.frame_length
    context = 0
    if config.samples_per_hidden_frame == length:
        voice = length if config.excitation.kind == "voice" else 0  # networks read it, too
        context = config.context_channels + voice
    networks = sum(wavenet_flops(size, 2, length, context) for size in config.wavenets)
    rotations = 2 * length**2 * (len(config.flow_layers) - 1) if length > 1 else 0
    return round((networks + rotations) / length) + 2 * config.filter_order
