"""The settings of the preparation of a corpus."""

from dataclasses import dataclass, field

from data.prepared.given_mels import MelSource
from data.prepared.split import check_shares
from dsp.mel import MelConfig
from dsp.pitch import PitchConfig


@dataclass(frozen=True, kw_only=True)
class PrepareConfig:
    """Settings of the preparation of a corpus.

    Args:
        corpus: a name of `CORPORA`, several names joined by "+", or a folder, as given to `fetch`;
            it determines which files are not speech, and is recorded in the manifest.
        mel: the convention of the log-mel, with the sample rate.
        pitch: the rows of pitch and voicing below the bands; by default, there are none.
        mels: whether the log-mels are computed from the recordings or given in files beside them.
        min_seconds: shorter files are skipped.
        val_percent: share of utterances held out for validation.
        test_percent: share of utterances held out for the test.
        num_workers: number of processes; 0 chooses it from the numbers of processors and files.
    Raises:
        ValueError: names the field, its value and what was expected.
    """

    corpus: str = "allison"
    mel: MelConfig = field(default_factory=MelConfig)
    pitch: PitchConfig = field(default_factory=PitchConfig)
    mels: MelSource = field(default_factory=MelSource)
    min_seconds: float = 0.3
    val_percent: float = 5.0
    test_percent: float = 5.0
    num_workers: int = 0

    def __post_init__(self) -> None:
        if not self.corpus:
            raise ValueError("corpus is '', expected a name or a folder")
        check_shares(self.val_percent, self.test_percent)
        if not self.min_seconds >= 0:
            raise ValueError(f"min_seconds is {self.min_seconds!r}, expected >= 0")
        if self.num_workers < 0:
            raise ValueError(f"num_workers is {self.num_workers!r}, expected >= 0")
        if self.pitch.num_rows and self.pitch.fmax_hz > self.mel.sample_rate / 4:
            raise ValueError(
                f"pitch.fmax_hz is {self.pitch.fmax_hz}, expected at most a quarter of "
                f"mel.sample_rate {self.mel.sample_rate}"
            )
