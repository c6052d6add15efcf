"""Configuration of the objective that the student minimises."""

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
    """Weights of the objective's terms, and how each term is computed.

    A term of weight 0 has no gradient. Costly terms (mel, perceptual, contrastive, forward KL,
    adversarial) of weight 0 are not computed at all.

    Args:
        kl_weight: weight of KL(student || teacher), nats per sample.
        kl_estimator: "closed_form" (between Gaussians only), "monte_carlo", or "auto": the closed
            form if it exists, otherwise Monte Carlo.
        num_draws: Monte-Carlo draws of each sample, S.
        regulariser_weight: ClariNet's lambda, the weight of the squared difference of log standard
            deviations. The regulariser is a part of the KL term, so `kl_weight` multiplies it, too.
        spectral_weight: weight of the multi-resolution STFT distance.
        power_weight: weight of the distance of time-averaged power spectra.
        stft_power_weight: weight of Parallel WaveNet's power loss.
        mel_weight: weight of the mean absolute distance of log-mel frames, nats.
        perceptual_weight: weight of the distance between the features of a frozen network.
        contrastive_weight: weight of the contrastive term: the KL minus gamma times the KL under
            another clip's context.
        contrastive_gamma: Parallel WaveNet's gamma.
        contrastive_limit: upper bound of the KL under another clip's context, nats per sample.
        forward_kl_weight: weight of log p - log q of the recording, nats per sample, where p is the
            teacher's density and q the student's. Slow, because q is computed sample by sample.
        pitch_weight: weight of the loss of predicted pitch and voicing (`pitch_loss`), for a
            student that predicts the pitch of an excitation.
        voice_weight: weight of the distance of the filters of voice and noise from the spectra of
            the recording, for a student with a voice.
        excitation_steps: number of first training steps that compute only the terms of pitch and
            voice, for a student with an excitation. These steps draw no sample, so they are faster.
        adversarial_weight: weight of the student's adversarial loss.
        forward_kl_frames: mel frames from the start of each clip that the forward KL covers.
        initialise_context: whether to copy the teacher's context network into the student's, if the
            two agree in shape.
        spectral: resolutions of the spectral terms.
        perceptual: network and distance of the perceptual term.
        adversarial: configuration of the discriminators.
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
        # The regulariser is a part of the KL term; the pitch and voice terms ignore the sample.
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
            ValueError: if the models disagree on the conditioning, or if `kl_estimator` is
                "closed_form" and one of the models is not Gaussian.
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
