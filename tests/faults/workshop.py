"""Commands on folders as a person runs them, and checks of their results."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import soundfile

from data import DataError, Manifest, synthesise
from pipelines.training.checkpoints import list_checkpoints, read_checkpoint
from storage.arrays import check_digest, open_array
from storage.folder_lock import LOCK_FILE
from tests.faults.process import Command, Ended, FaultError
from tests.pipelines.conftest import RECIPE

NUM_RECORDINGS = 12
STEPS = 60


@dataclass(frozen=True)
class Phase:
    """One command of the pipeline.

    Args:
        name: of the command.
        words: its options, given the folder of a trial.
        output: the folder it fills, below that of the trial.
    """

    name: str
    words: Callable[[Workshop, Path], list[str]]
    output: str


PHASES = (
    Phase(
        "prepare",
        lambda w, t: [*w.recipe, "--corpus", str(w.corpus), "--dump", f"{t}/dump"],
        "dump",
    ),
    Phase(
        "train-teacher",
        lambda w, t: [*w.recipe, "--dump", f"{t}/dump", "--exp", f"{t}/exp", "--device", "cpu"],
        "exp/teacher",
    ),
    Phase(
        "distill",
        lambda w, t: [*w.recipe, "--dump", f"{t}/dump", "--exp", f"{t}/exp", "--device", "cpu"],
        "exp/student",
    ),
    Phase(
        "generate",
        lambda w, t: [
            *("--model", f"{t}/exp/student", "--input", str(w.corpus)),
            *("--out", f"{t}/out", "--device", "cpu"),
        ],
        "out",
    ),
)


class Workshop:
    """A folder with a corpus, a recipe, and a reference: every phase run once, undisturbed.

    Args:
        root: an empty folder.
        say: receives messages.
    """

    def __init__(self, root: Path, say: Callable[[str], None]) -> None:
        self.root, self.say = root, say
        self.corpus = root / "corpus"
        self.reference = root / "reference"
        synthesise(self.corpus, num_utterances=NUM_RECORDINGS, seconds=1.0)
        training = dataclasses.replace(
            RECIPE.teacher_training, max_steps=STEPS, log_every=1, validate_every=5
        )
        recipe = dataclasses.replace(
            RECIPE, teacher_training=training, student_training=training
        ).to_dict()
        (root / "recipe.yaml").write_text(json.dumps(recipe))
        self.recipe = ["--recipe", str(root / "recipe.yaml")]
        self.seconds: dict[str, float] = {}
        for phase in PHASES:
            command = self.start(phase, self.reference)
            self.wait_for_work(phase, self.reference, command)
            started = time.monotonic()
            ended = command.finish()
            self.seconds[phase.name] = time.monotonic() - started
            if ended.code:
                raise FaultError(f"{phase.name} failed undisturbed: {ended.output}")
            say(f"reference: {phase.name} works for {self.seconds[phase.name]:.1f} s")

    def trial(self, phase: Phase, name: str) -> Path:
        """Make a folder in which everything before a phase is done."""
        folder = self.root / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for before in PHASES[: PHASES.index(phase)]:
            # Times of change are kept, because the journal compares them.
            shutil.copytree(
                self.reference / before.output, folder / before.output, copy_function=shutil.copy2
            )
        return folder

    def start(self, phase: Phase, folder: Path, *, file_limit: int | None = None) -> Command:
        """Start a phase's command; it may write files of `file_limit` bytes at most."""
        return Command([phase.name, *phase.words(self, folder)], file_limit)

    def run(self, phase: Phase, folder: Path, *, file_limit: int | None = None) -> Ended:
        """Run a phase's command to its end."""
        return self.start(phase, folder, file_limit=file_limit).finish()

    def wait_for_work(self, phase: Phase, folder: Path, command: Command) -> bool:
        """Wait until a command holds the lock of its output; return whether it came to hold it."""
        lock = folder / phase.output / LOCK_FILE
        while command.is_running():
            if lock.exists() and lock.read_text().startswith(f"process {command.pid} "):
                return True
            time.sleep(0.01)
        return False

    def expect_complete(self, phase: Phase, folder: Path) -> None:
        """Run a phase undisturbed and compare its result with the reference's, byte by byte.

        Raises:
            FaultError: if it fails, or the result differs.
        """
        ended = self.run(phase, folder)
        if ended.code:
            raise FaultError(f"{phase.name} does not resume: {ended.output[-600:]}")
        output, expected = folder / phase.output, self.reference / phase.output
        found, wanted = (artefacts(path) for path in (output, expected))
        for name in sorted(found.keys() | wanted.keys()):
            if found.get(name) != wanted.get(name):
                raise FaultError(f"{phase.name}: {name} differs from that of an undisturbed run")


def artefacts(folder: Path) -> dict[str, object]:
    """Return a run's files by name: bytes, or for logs the values that are not times."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.suffix in (".npy", ".wav") or path.name in (
            "manifest.json",
            "report.txt",
            "config.json",
            "model.safetensors",
        ):
            found[name] = path.read_bytes()
        elif path.name == "metrics.jsonl":
            lines = [json.loads(line) for line in path.read_text().splitlines()]
            found[name] = [{**line, "seconds": None} for line in lines]
        elif path.suffix == ".tmp":
            found[name] = "an unfinished file is left"
    checkpoints = list_checkpoints(folder / "checkpoints")
    if checkpoints:
        found["newest checkpoint"] = checkpoints[0].name
    return found


def check_whole(folder: Path) -> None:
    """Refuse a folder in which a file under its final name is not whole.

    Raises:
        FaultError: names the file.
    """
    try:
        for path in folder.rglob("*.npy"):
            open_array(path)
        for path in (folder / "exp").rglob("*.safetensors"):
            if path.parent.name == "checkpoints":
                read_checkpoint(path)
        for path in (folder / "out").rglob("*.wav"):
            if soundfile.info(path).frames != len(soundfile.read(path)[0]):
                raise ValueError(f"{path}: cut short")
        for path in (folder / "exp").rglob("config.json"):
            json.loads(path.read_text())
        if (folder / "dump" / "manifest.json").exists():
            manifest = Manifest.load(folder / "dump")
            for utterance in manifest.utterances():
                check_digest(manifest.waveform_path(utterance.name), utterance.waveform_sha256)
                check_digest(manifest.mel_path(utterance.name), utterance.mel_sha256)
    except (ValueError, DataError, soundfile.SoundFileError) as error:
        raise FaultError(f"not whole: {error}") from error


def expect_refusal(ended: Ended, words: str) -> None:
    """Expect that a command ended with exit code 2 and one line that holds these words.

    Raises:
        FaultError: if not.
    """
    lines = [line for line in ended.output.splitlines() if line.startswith("parallel-wavenet: ")]
    if ended.code != 2 or len(lines) != 1 or words not in lines[0] or "Traceback" in ended.output:
        raise FaultError(f"expected one line with {words!r}, got {ended.output[-600:]!r}")


def flip_bit(path: Path, position: int) -> None:
    """Flip a bit of a file, counted from its beginning, without changing its time of change."""
    status = path.stat()
    content = bytearray(path.read_bytes())
    content[position // 8 % len(content)] ^= 1 << (position % 8)
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def kilobytes_of(folder: Path) -> int:
    """Measure the size of a folder's files on a file system with 4 kB pages."""
    return sum(4 * -(-p.stat().st_size // 4096) for p in folder.rglob("*") if p.is_file())
