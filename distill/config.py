"""What the student minimises, as values."""

import dataclasses
from dataclasses import dataclass, field
from typing import get_args

from distill.losses.adversarial import AdversarialConfig
from distill.losses.divergence import Estimator
from distill.losses.perceptual import PerceptualConfig
from distill.losses.spectral import SpectralConfig
from student import StudentConfig
from teacher import TeacherConfig


@dataclass(frozen=True, kw_only=True)
class DistillationConfig:
    """Weights of the objective's terms, and how each is computed.

    A term of weight 0 has no gradient; the costly ones (perceptual, contrastive, forward KL) are
    not even computed.

    Args:
        kl_weight: weight of KL(student || teacher), nats per sample.
        kl_estimator: "closed_form" (between Gaussians only), "monte_carlo", or "auto": the closed
            form where there is one.
        num_draws: draws of each sample for Monte Carlo, S.
        regulariser_weight: ClariNet's lambda on the squared difference of log deviations, inside
            the KL term.
        spectral_weight: weight of the multi-resolution STFT distance.
        power_weight: weight of the distance of time-averaged power spectra.
        stft_power_weight: weight of Parallel WaveNet's power loss.
        mel_weight: weight of the mean absolute distance of log-mel frames, nats.
        perceptual_weight: weight of the distance under a frozen network.
        contrastive_weight: weight of the KL less gamma times that under another clip's context.
        contrastive_gamma: Parallel WaveNet's gamma.
        contrastive_limit: nats per sample beyond which a wrong context is wrong enough.
        forward_kl_weight: weight of log p - log q of the recording, for study: it is sequential.
        pitch_weight: weight of the distance of the predicted pitch, where the student has an
            excitation and is not given the pitch.
        voice_weight: weight of the distance of the filters of voice and noise from the recording's
            spectra, where the student has a voice.
        excitation_steps: the first steps of training that leave out all terms but pitch and voice:
            those need no sample, and are several times as fast.
        adversarial_weight: weight of the discriminators' verdict.
        forward_kl_frames: how much of each clip's start that term sees, mel frames.
        initialise_context: start the student's context network from the teacher's, where the two
            agree in shape.
        spectral: resolutions of the spectral terms.
        perceptual: the network that listens.
        adversarial: the discriminators.
    """

    kl_weight: float = 0.5
    kl_estimator: Estimator = "auto"
    num_draws: int = 16
    regulariser_weight: float = 4.0
    spectral_weight: float = 1.0
    power_weight: float = 1.0
    stft_power_weight: float = 0.0
    mel_weight: float = 0.0
    perceptual_weight: float = 0.0
    contrastive_weight: float = 0.0
    contrastive_gamma: float = 0.3
    contrastive_limit: float = 10.0
    forward_kl_weight: float = 0.0
    pitch_weight: float = 1.0
    voice_weight: float = 1.0
    excitation_steps: int = 0
    adversarial_weight: float = 0.0
    forward_kl_frames: int = 1
    initialise_context: bool = True
    spectral: SpectralConfig = field(default_factory=SpectralConfig)
    perceptual: PerceptualConfig = field(default_factory=PerceptualConfig)
    adversarial: AdversarialConfig = field(default_factory=AdversarialConfig)

    def __post_init__(self) -> None:
        weights = {f.name for f in dataclasses.fields(self) if f.name.endswith("_weight")}
        for name in sorted(weights):
            if getattr(self, name) < 0:
                raise ValueError(f"distillation.{name} is {getattr(self, name)}, expected >= 0")
        # The regulariser is a part of the KL term; pitch and voice say nothing of the sample.
        beside = {"regulariser_weight", "pitch_weight", "voice_weight"}
        if all(getattr(self, name) == 0 for name in weights - beside):
            raise ValueError("distillation: every weight is 0, nothing to minimise")
        if self.kl_estimator not in get_args(Estimator):
            raise ValueError(
                f"distillation.kl_estimator is {self.kl_estimator!r}, expected one of "
                f"{', '.join(map(repr, get_args(Estimator)))}"
            )
        for name, least in (("num_draws", 1), ("forward_kl_frames", 1), ("excitation_steps", 0)):
            if getattr(self, name) < least:
                raise ValueError(
                    f"distillation.{name} is {getattr(self, name)}, expected at least {least}"
                )
        if not 0 <= self.contrastive_gamma < 1:
            raise ValueError(
                f"distillation.contrastive_gamma is {self.contrastive_gamma}, expected 0 up to 1"
            )

    def check_models(self, student: StudentConfig, teacher: TeacherConfig) -> None:
        """Refuse models that this objective cannot compare.

        Raises:
            ValueError: if they disagree on the conditioning, or have no KL in closed form and it
                is asked for.
        """
        for name in ("num_mels", "pitch", "num_speakers", "hop_length", "context_margin"):
            ours, theirs = getattr(student, name), getattr(teacher, name)
            if ours != theirs:
                raise ValueError(f"student.{name} is {ours}, but the teacher's is {theirs}")
        pair = (student.base, teacher.distribution)
        if self.kl_estimator == "closed_form" and pair != ("gaussian", "gaussian"):
            raise ValueError(
                "distillation.kl_estimator is 'closed_form', which exists between Gaussians only; "
                f"student.base is {pair[0]!r} and teacher.distribution {pair[1]!r}: choose "
                "'monte_carlo'"
            )
