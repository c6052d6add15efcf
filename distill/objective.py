"""The objective of a student: divergence from the teacher plus distance from the recording."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from distill.config import DistillationConfig
from distill.losses.adversarial import Adversary
from distill.losses.crepe import CrepeFeatures
from distill.losses.divergence import divergence
from distill.losses.forward_kl import forward_kl
from distill.losses.kl import another_context, contrastive_kl
from distill.losses.perceptual import DISTANCES, FeatureNetwork, TeacherFeatures
from distill.losses.pitch import measured_voice, pitch_loss
from distill.losses.spectral import multi_resolution_stft, power_distance, stft_power_loss
from distill.losses.voice import filters_distance, source_spectra
from distill.weighted_sum import with_loss
from dsp.envelope import envelope_points
from dsp.mel import MelConfig
from dsp.mel import log_mel as log_mel_of
from flows.precision import full_precision
from student import ExcitedContext, MeasuredVoice, Student, StudentSample
from teacher import Teacher


class Distillation(nn.Module):
    """The distillation objective of a student and a frozen teacher.

    Args:
        student: the model to train.
        teacher: scores the student's samples. It is frozen and in eval mode, and does not see the
            recording when it scores a sample. Gradients flow through its input.
        config: weights of the terms.
        mel: log-mel convention of the conditioning; only the mel term and the perceptual network
            "crepe" need it.
        total: sums values over the processes that share a batch; see `multi_resolution_stft`.
    Raises:
        ValueError: if teacher, student and objective do not fit each other.
    """

    def __init__(
        self,
        student: Student,
        teacher: Teacher,
        config: DistillationConfig,
        mel: MelConfig | None = None,
        total: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        config.check_models(student.config, teacher.config)
        self.student = student.train()
        self.teacher = teacher.requires_grad_(False).eval()
        self.config = config
        self.mel = mel
        self.total = total
        if config.mel_weight and mel is None:
            raise ValueError("distillation.mel_weight needs the log-mel convention, `mel`")
        self.network = self._feature_network()

    def train(self, mode: bool = True) -> "Distillation":
        """Set the student's mode; the teacher and the perceptual network stay in eval mode."""
        super().train(False)
        self.training = mode
        self.student.train(mode)
        return self

    def forward(
        self,
        noise: Tensor,
        log_mel: Tensor,
        recording: Tensor,
        generator: torch.Generator | None = None,
        adversary: Adversary | None = None,
    ) -> dict[str, Tensor]:
        """Draw a sample and score it.

        Args:
            noise: from the student's base, shape (B, 1, T).
            log_mel: conditioning, shape (B, num_features, L) or with margins.
            recording: waveform from which the conditioning was computed, shape (B, 1, T).
            generator: source of Monte-Carlo draws, on the waveform's device; by default, every call
                uses a fixed seed.
            adversary: discriminators of the adversarial term. `loss` includes their own loss,
                `discriminator`.
        Returns:
            scalars by name: `loss`, and its unweighted terms.
        """
        measured = self._measured_voice(recording)
        # In training the excitation has the recording's pitch and phase. If the pitch were one
        # percent off, its harmonics would lie between the recording's harmonics, and a spectral
        # distance would prefer noise to such harmonics.
        hidden = self._hidden(log_mel, recording)
        sample = self.student(noise, log_mel, measured if self.training else None, hidden)
        terms = self._sample_terms(sample, log_mel, recording, generator)
        if adversary is not None:
            terms["adversarial"], terms["discriminator"] = adversary.losses(
                sample.waveform, recording
            )
        if measured is not None and hidden is not None:
            terms |= self._excitation_terms(measured, hidden, recording)
        return with_loss(terms, self.config, recording)

    def score_excitation(self, log_mel: Tensor, recording: Tensor) -> dict[str, Tensor]:
        """Compute `loss` from the pitch and voice terms alone, for a student with an excitation.

        No sample is drawn; see `forward` for arguments and result.
        """
        measured, hidden = self._measured_voice(recording), self._hidden(log_mel, recording)
        assert measured is not None
        assert hidden is not None
        terms = self._excitation_terms(measured, hidden, recording)
        return with_loss(terms, self.config, recording)

    def score(
        self,
        sample: StudentSample,
        log_mel: Tensor,
        recording: Tensor,
        generator: torch.Generator | None = None,
    ) -> dict[str, Tensor]:
        """Score a given sample; see `forward`. Pitch, voice and adversarial terms are left out."""
        terms = self._sample_terms(sample, log_mel, recording, generator)
        return with_loss(terms, self.config, recording)

    def _sample_terms(
        self,
        sample: StudentSample,
        log_mel: Tensor,
        recording: Tensor,
        generator: torch.Generator | None,
    ) -> dict[str, Tensor]:
        """Compute the terms of a sample; costly terms only if their weight is above 0."""
        config = self.config
        terms = self._kl_terms(sample, log_mel, generator)
        terms |= self._spectral_terms(sample.waveform, recording)
        if config.mel_weight:
            terms["mel"] = self._mel_term(sample.waveform, recording)
        if config.perceptual_weight:
            terms["perceptual"] = self._perceptual_term(sample.waveform, recording, log_mel)
        if config.forward_kl_weight:
            terms["forward_kl"] = self._forward_kl_term(recording, log_mel)
        return terms

    def _kl_terms(
        self, sample: StudentSample, log_mel: Tensor, generator: torch.Generator | None
    ) -> dict[str, Tensor]:
        config = self.config
        with self._gradients_if(config.kl_weight + config.contrastive_weight):
            right, regulariser = self._divergence(sample, log_mel, generator)
            terms = {"kl": right.mean(), "log_scale_regulariser": regulariser.mean()}
            if config.contrastive_weight:
                wrong, _ = self._divergence(sample, another_context(log_mel), generator)
                bounds = (config.contrastive_gamma, config.contrastive_limit)
                terms["contrastive"] = contrastive_kl(right, wrong, *bounds).mean()
        return terms

    def _divergence(
        self, sample: StudentSample, log_mel: Tensor, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor]:
        """Return the KL and the regulariser of each sample that counts."""
        # The teacher does not see the audio before a clip. So the first receptive field of the clip
        # does not count, or only the first half of a short clip.
        start = min(self.teacher.receptive_field, sample.waveform.shape[-1] // 2)
        config = self.config
        return divergence(
            sample,
            self.teacher,
            log_mel,
            config.kl_estimator,
            config.num_draws,
            generator,
            start,
        )

    def _spectral_terms(self, waveform: Tensor, recording: Tensor) -> dict[str, Tensor]:
        config = self.config
        with full_precision(waveform):
            pair = (waveform.float(), recording.float())
            with self._gradients_if(config.spectral_weight):
                convergence, log_magnitude = multi_resolution_stft(
                    *pair, config.spectral, self.total
                )
            with self._gradients_if(config.power_weight):
                power = power_distance(*pair, config.spectral)
            with self._gradients_if(config.stft_power_weight):
                stft_power = stft_power_loss(*pair, config.spectral, self.total)
        return {
            "spectral_convergence": convergence,
            "log_magnitude": log_magnitude,
            "power": power,
            "stft_power": stft_power,
        }

    def _mel_term(self, waveform: Tensor, recording: Tensor) -> Tensor:
        assert self.mel is not None
        with full_precision(waveform):
            found, wanted = (log_mel_of(signal, self.mel) for signal in (waveform, recording))
            return (found - wanted).abs().mean()

    def _perceptual_term(self, waveform: Tensor, recording: Tensor, log_mel: Tensor) -> Tensor:
        with full_precision(waveform):
            found = self.network(waveform, log_mel)
            with torch.no_grad():
                wanted = self.network(recording, log_mel)
            return DISTANCES[self.config.perceptual.distance](found, wanted, self.total)

    def _forward_kl_term(self, recording: Tensor, log_mel: Tensor) -> Tensor:
        hop, margin = self.student.config.hop_length, self.student.config.context_margin
        whole = recording.shape[-1] // hop
        frames = min(self.config.forward_kl_frames, whole)
        margins = log_mel.shape[-1] - whole
        assert margins in (0, 2 * margin)
        with full_precision(recording):
            clip, features = recording[..., : frames * hop], log_mel[..., : frames + margins]
            return forward_kl(self.student, self.teacher, clip, features)

    def _measured_voice(self, recording: Tensor) -> MeasuredVoice | None:
        """Measure the recording's voice; return None for a student without an excitation."""
        config = self.student.config
        if config.excitation.kind == "none":
            return None
        with full_precision(recording):
            return measured_voice(recording, config.hop_length, config.excitation)

    def _hidden(self, log_mel: Tensor, recording: Tensor) -> Tensor | None:
        """Run the context network of a student with an excitation, once for all terms."""
        context = self.student.context
        if not isinstance(context, ExcitedContext):
            return None
        return context.hidden(log_mel, recording.shape[-1] // context.hop_length)

    def _excitation_terms(
        self, measured: MeasuredVoice, hidden: Tensor, recording: Tensor
    ) -> dict[str, Tensor]:
        context, terms = self.student.context, {}
        assert isinstance(context, ExcitedContext)
        if context.predictor is not None:
            terms["pitch"] = self._pitch_term(context, measured, hidden)
        if context.voice is not None:
            terms["voice"] = self._voice_term(context, measured, hidden, recording)
        return terms

    def _pitch_term(
        self, context: ExcitedContext, measured: MeasuredVoice, hidden: Tensor
    ) -> Tensor:
        with full_precision(hidden), self._gradients_if(self.config.pitch_weight):
            pitch = context.pitch(hidden)
            return pitch_loss(pitch, measured.hz, measured.voiced, context.config, self.total)

    def _voice_term(
        self, context: ExcitedContext, measured: MeasuredVoice, hidden: Tensor, recording: Tensor
    ) -> Tensor:
        hz, voiced, *_ = measured
        each, rate = context.config.filters_per_frame, context.config.sample_rate
        lowest = context.config.fmin_hz
        with full_precision(hidden), self._gradients_if(self.config.voice_weight):
            filters = context.filters(hidden)
            # At each end of a clip, half a window of the envelope does not count. At least one
            # place counts.
            reach = envelope_points(rate, lowest) // 2
            edge = min(each * reach // context.hop_length, (hz.shape[-1] * each - 1) // 2)
            spectra = source_spectra(recording, hz, voiced, each, rate, lowest)
            return filters_distance(filters, spectra, edge, rate)

    def _feature_network(self) -> FeatureNetwork:
        """Make the network of the perceptual term; for a term of weight 0, it is the teacher's."""
        perceptual = self.config.perceptual
        if perceptual.network == "teacher" or not self.config.perceptual_weight:
            return TeacherFeatures(self.teacher)
        if self.mel is None:
            raise ValueError("perceptual.network 'crepe' needs the log-mel convention, `mel`")
        device = next(self.teacher.parameters()).device
        return CrepeFeatures(perceptual.crepe_capacity, self.mel.sample_rate, device)

    def _gradients_if(self, weight: float) -> torch.set_grad_enabled:
        """Record gradients only for a term with a weight above 0."""
        return torch.set_grad_enabled(torch.is_grad_enabled() and weight > 0)
