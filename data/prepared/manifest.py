"""The manifest of a folder of prepared features; reading it checks every field."""

from __future__ import annotations

import itertools
import json
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from data.prepared.given_mels import COMPUTED, MelSource
from data.prepared.split import SPLITS, Split
from dsp.mel import FeatureMismatch, MelConfig
from dsp.pitch import NO_PITCH, PitchConfig
from storage.atomic import write_file
from storage.configuration import decode

FORMAT_VERSION = 1
MANIFEST_NAME = "manifest.json"
REPORT_NAME = "report.txt"


class DataError(ValueError):
    """Prepared features that cannot be made or used; the message is one line."""


@dataclass(frozen=True, kw_only=True)
class PreparedUtterance:
    """One prepared recording.

    Args:
        name: path relative to the corpus folder, with "/" and without suffix.
        split: the utterance's split.
        num_frames: L; the waveform has L · hop_length samples.
        num_clipped: number of samples beyond [-1, 1], which were clipped.
        waveform_sha256: checksum of the file of samples; empty in manifests of earlier versions.
        mel_sha256: checksum of the file of frames; empty in manifests of earlier versions.
    Raises:
        ValueError: if the name could lead out of the dump folder, or a count is impossible.
    """

    name: str
    split: Split
    num_frames: int
    num_clipped: int = 0
    waveform_sha256: str = ""
    mel_sha256: str = ""

    def __post_init__(self) -> None:
        check_name(self.name)
        if self.num_frames < 1 or self.num_clipped < 0:
            raise ValueError(
                f"utterance {self.name!r} has num_frames={self.num_frames} and "
                f"num_clipped={self.num_clipped}, expected >= 1 and >= 0"
            )


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """The name of a file that was left out, and the reason."""

    name: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """Statistics of the training split.

    Args:
        waveform_std: standard deviation of the samples.
        mel_mean: mean of each log-mel band, length num_mels.
        mel_std: standard deviation of each log-mel band, length num_mels.
    """

    waveform_std: float
    mel_mean: tuple[float, ...]
    mel_std: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Contents:
    """The fields of the manifest file; `Manifest` adds the folder.

    Args:
        version: version of the dump folder's layout.
        corpus: name or folder, as the user gave it.
        checksum: SHA-256 over the name of each utterance and the SHA-256 of its recording, and of
            its log-mel file if one was read.
        mel: the convention of the log-mel.
        pitch: the rows below the bands; none in manifests of earlier versions.
        min_seconds: shorter files were skipped.
        val_percent: share of utterances held out for validation.
        test_percent: share of utterances held out for the test.
        statistics: statistics of the training split.
        utterances: the utterances, sorted by name.
        skipped: the files that were left out, sorted by name.
        mels: source of the log-mels; a manifest of an earlier version means `COMPUTED`.
        gone: names of utterances whose recordings no longer exist; their features stay in the
            folder and are not used.
    """

    version: int
    corpus: str
    checksum: str
    mel: MelConfig
    min_seconds: float
    val_percent: float
    test_percent: float
    statistics: Statistics
    utterances: tuple[PreparedUtterance, ...]
    skipped: tuple[Skipped, ...]
    pitch: PitchConfig = NO_PITCH
    mels: MelSource = COMPUTED
    gone: tuple[str, ...] = ()


@dataclass(frozen=True)
class Manifest:
    """The manifest of a dump folder.

    Args:
        dump_dir: the folder; it may have been moved.
        contents: the fields of the manifest's file.
    """

    dump_dir: Path
    contents: Contents

    @classmethod
    def load(cls, dump_dir: Path) -> Manifest:
        """Read and check the manifest of a dump folder.

        Args:
            dump_dir: folder that `prepare` has written.
        Returns:
            the manifest; the features themselves are not opened.
        Raises:
            DataError: if the manifest is missing or not valid, or if a name in it leads out of the
                folder.
        """
        path = Path(dump_dir) / MANIFEST_NAME
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            version = found.get("version") if isinstance(found, dict) else None
            if version != FORMAT_VERSION:
                raise ValueError(f"version is {version!r}, expected {FORMAT_VERSION}")
            contents = decode(Contents, found, "manifest")
            _check_bands(contents)
        except FileNotFoundError:
            raise DataError(f"{path}: no such file; has the corpus been prepared?") from None
        except (OSError, ValueError, RecursionError) as error:
            raise DataError(f"{path}: {error}") from error
        return cls(Path(dump_dir), contents)

    def save(self) -> None:
        """Write the manifest, and `report.txt` for people."""
        text = json.dumps(asdict(self.contents), indent=1, ensure_ascii=False)
        write_file(self.dump_dir / REPORT_NAME, self.report())
        write_file(self.dump_dir / MANIFEST_NAME, text)

    @property
    def mel(self) -> MelConfig:
        """The convention of the log-mel."""
        return self.contents.mel

    @property
    def pitch(self) -> PitchConfig:
        """The rows below the bands of the log-mel."""
        return self.contents.pitch

    @property
    def statistics(self) -> Statistics:
        """The statistics of the training split."""
        return self.contents.statistics

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """The files that were left out."""
        return self.contents.skipped

    def check_pitch(self, wanted: PitchConfig) -> None:
        """Check that the pitch rows that a model needs were prepared.

        Args:
            wanted: the model's pitch rows; the kind "none" is always available.
        Raises:
            DataError: if no pitch was prepared, or if it was measured with other settings.
        """
        try:
            if wanted.num_rows:
                wanted.check_same(self.pitch, str(self.dump_dir))
        except FeatureMismatch as error:
            raise DataError(f"{error}: run prepare again") from error

    def utterances(self, split: Split | None = None) -> list[PreparedUtterance]:
        """List the utterances of one split, or all, in the order of their names."""
        return [u for u in self.contents.utterances if split is None or u.split == split]

    def minutes(self, split: Split | None = None) -> float:
        """Duration of one split, or of all three, in minutes."""
        num_frames = sum(utterance.num_frames for utterance in self.utterances(split))
        return num_frames / self.mel.frames_per_second / 60

    def waveform_path(self, name: str) -> Path:
        """Return the file of an utterance's samples: int16, shape (T,)."""
        return waveform_path(self.dump_dir, name)

    def mel_path(self, name: str) -> Path:
        """Return the file of an utterance's log-mel: float32, (num_mels + pitch.num_rows, L)."""
        return mel_path(self.dump_dir, name)

    def report(self) -> str:
        """Describe what was prepared and what was left out, one line each."""
        lines = [f"corpus {self.contents.corpus}, sha256 {self.contents.checksum}"]
        for split in SPLITS:
            count = len(self.utterances(split))
            lines.append(f"{split}: {count} utterances, {self.minutes(split):.2f} min")
        if self.contents.mels.kind == "files":
            convention = self.contents.mels.known_convention or "the model's convention"
            lines.append(f"log-mels: of the files beside the recordings, in {convention}")
        lines.append(f"skipped: {len(self.skipped)}")
        lines += [f"  {skip.name}: {skip.reason}" for skip in self.skipped]
        if self.contents.gone:
            lines.append(f"gone: {len(self.contents.gone)}; their features are kept, but not used")
            lines += [f"  {name}" for name in self.contents.gone]
        clipped = [utterance for utterance in self.utterances() if utterance.num_clipped]
        lines.append(f"clipped: {len(clipped)}")
        lines += [f"  {utterance.name}: {utterance.num_clipped} samples" for utterance in clipped]
        return "\n".join(lines) + "\n"


def check_name(name: str) -> None:
    """Raise ValueError unless a name is a normalised relative path without '..' or NUL."""
    path = PurePosixPath(name)
    is_plain = name == str(path) != "." and "\0" not in name
    if not is_plain or path.is_absolute() or ".." in path.parts:
        raise ValueError(f"utterance name is {name!r}, expected a relative path without '..'")


def refuse_foreign(dump_dir: Path) -> None:
    """Raise DataError if files that `prepare` did not write lie where it would write."""
    if any(dump_dir.glob("journal*.jsonl")):
        return
    try:
        found = json.loads((dump_dir / MANIFEST_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        found = None
    if isinstance(found, dict) and "utterances" in found and "mel" in found:
        return
    arrays = (path for kind in ("waveforms", "mels") for path in (dump_dir / kind).rglob("*.npy"))
    for path in (dump_dir / MANIFEST_NAME, dump_dir / REPORT_NAME, *itertools.islice(arrays, 1)):
        if path.exists():
            raise DataError(f"{path}: is not of prepared features: choose another folder for them")


def waveform_path(dump_dir: Path, name: str) -> Path:
    """Return the file of an utterance's samples in a dump folder."""
    return dump_dir / "waveforms" / f"{name}.npy"


def mel_path(dump_dir: Path, name: str) -> Path:
    """Return the file of an utterance's log-mel in a dump folder."""
    return dump_dir / "mels" / f"{name}.npy"


def _check_bands(contents: Contents) -> None:
    for name in ("mel_mean", "mel_std"):
        found, expected = len(getattr(contents.statistics, name)), contents.mel.num_mels
        if found != expected:
            raise ValueError(f"manifest.statistics.{name} has {found} bands, expected {expected}")
