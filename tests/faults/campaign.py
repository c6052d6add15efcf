"""Faults tried against runs of the pipeline."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pipelines.training.checkpoints import list_checkpoints
from tests.faults.process import Command, Ended, FaultError
from tests.faults.workshop import (
    PHASES,
    Phase,
    Workshop,
    check_whole,
    expect_refusal,
    flip_bit,
    kilobytes_of,
)

PREPARE, TEACHER, STUDENT, GENERATE = PHASES


@dataclass(frozen=True)
class Tried:
    """A kind of fault, the number of trials, and their outcome."""

    fault: str
    count: int
    outcome: str


class Campaign:
    """Faults tried against a workshop.

    Args:
        workshop: corpus, recipe and reference.
        rng: source of random moments and places.
    """

    def __init__(self, workshop: Workshop, rng: random.Random) -> None:
        self.workshop, self.rng = workshop, rng

    def kills(self, phase: Phase, count: int) -> Tried:
        """Kill a phase at random moments of its work until it is done; start again till `count`."""
        killed, rounds = 0, 0
        while killed < count:
            folder = self.workshop.trial(phase, f"kill-{phase.name}")
            rounds += 1
            while killed < count:
                command = self._work_a_while(phase, folder, 1.1)
                if not command.is_running():
                    command.finish()
                    break
                command.kill()
                killed += 1
                check_whole(folder)
            self.workshop.expect_complete(phase, folder)
        return Tried(
            f"kill -9 at a random moment of `{phase.name}`",
            killed,
            f"resumed; {rounds} results equal to the undisturbed one's, byte for byte",
        )

    def terminations(self, phase: Phase, count: int) -> Tried:
        """Stop training by SIGTERM and SIGINT."""
        folder = self.workshop.trial(phase, f"term-{phase.name}")
        stopped = 0
        share = 0.5
        for number in [signal.SIGTERM, signal.SIGINT] * (count + 2):
            command = self._work_a_while(phase, folder, share)
            if stopped == count or not command.is_running():
                command.finish()
                if stopped:
                    break
                # The undisturbed run had taken longer, beside other work: once more, and earlier.
                folder, share = self.workshop.trial(phase, f"term-{share}-{phase.name}"), share / 2
                continue
            ended = command.kill(number)
            is_done = ended.output.rstrip().endswith(str(folder / phase.output))
            codes = (0, -number, 128 + number) if is_done else (128 + number,)
            if ended.code not in codes or "Traceback" in ended.output:
                raise FaultError(f"{number.name}: exit code {ended.code}: {ended.output[-600:]}")
            stopped += 1
            check_whole(folder)
        self.workshop.expect_complete(phase, folder)
        return Tried(
            f"SIGTERM or SIGINT at a random moment of `{phase.name}`",
            stopped,
            "saved and ended; the result equal to the undisturbed one's",
        )

    def full_disk(self, phase: Phase) -> Tried:
        """Limit the size of files to some sizes, among them the phase's largest file."""
        sizes = [p.stat().st_size for p in (self.workshop.reference / phase.output).rglob("*.*")]
        limits = [max(sizes) - 1, max(sizes) // 2, 1000]
        for limit in limits:
            folder = self.workshop.trial(phase, f"full-{phase.name}")
            expect_refusal(self.workshop.run(phase, folder, file_limit=limit), "File too large")
            check_whole(folder)
            self.workshop.expect_complete(phase, folder)
        sizes_tried = ", ".join(map(str, limits))
        return Tried(
            f"`{phase.name}` with files limited to {sizes_tried} bytes (RLIMIT_FSIZE)",
            len(limits),
            "one line, exit code 2; resumed to the undisturbed result",
        )

    def small_disk(self, phase: Phase) -> Tried:
        """Run out of space on a small file system."""
        folder = self.workshop.trial(phase, f"small-{phase.name}")
        disk = self.workshop.root / "disk"
        disk.mkdir(exist_ok=True)
        # Room for the existing files and half of the phase's output.
        kilobytes = kilobytes_of(folder) + kilobytes_of(self.workshop.reference / phase.output) // 2
        words = [sys.executable, "-m", "pipelines.cli", phase.name]
        command = " ".join([*words, *phase.words(self.workshop, disk)])
        script = (
            f"mount -t tmpfs -o size={kilobytes}k tmpfs {disk} && cp -a {folder}/. {disk} && "
            f"{{ {command}; code=$?; cp -a {disk}/. {folder}; exit $code; }}"
        )
        ended = subprocess.run(
            ["unshare", "--map-root-user", "--mount", "bash", "-c", script],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        expect_refusal(Ended(ended.returncode, ended.stdout), "No space left on device")
        check_whole(folder)
        self.workshop.expect_complete(phase, folder)
        return Tried(
            f"`{phase.name}` on a full file system (tmpfs)",
            1,
            "one line, exit code 2; resumed to the undisturbed result",
        )

    def damaged_checkpoints(self, phase: Phase, count: int) -> Tried:
        """Cut, flip a bit of, or delete the newest checkpoint of a run that was stopped."""
        for i in range(count):
            folder = self.workshop.trial(phase, f"damage-{phase.name}")
            output = folder / phase.output
            while len(list_checkpoints(output / "checkpoints")) < 2:
                self._work_a_while(phase, folder, 1.0).kill()
            newest = list_checkpoints(output / "checkpoints")[0]
            size = newest.stat().st_size
            damage = ("cut", "flip", "delete")[i % 3]
            if damage == "cut":
                os.truncate(newest, self.rng.randrange(size))
            elif damage == "flip":
                flip_bit(newest, self.rng.randrange(8 * size))
            else:
                newest.unlink()
            self.workshop.expect_complete(phase, folder)
        return Tried(
            f"newest checkpoint of `{phase.name}` cut short, a bit flipped, or deleted",
            count,
            "told; the one before was used, to the undisturbed result",
        )

    def damaged_model(self, count: int) -> Tried:
        """Cut or flip a bit of a finished model's weights."""
        for i in range(count):
            folder = self.workshop.trial(GENERATE, "damage-model")
            path = folder / STUDENT.output / "model.safetensors"
            size = path.stat().st_size
            if i % 2:
                os.truncate(path, self.rng.randrange(size))
            else:
                flip_bit(path, self.rng.randrange(8 * size))
            expect_refusal(self.workshop.run(GENERATE, folder), "model.safetensors: cannot be read")
            self.workshop.expect_complete(STUDENT, folder)
            self.workshop.expect_complete(GENERATE, folder)
        return Tried(
            "weights of a finished model cut short, or a bit flipped",
            count,
            "refused in one line; `distill` wrote them again from its checkpoint",
        )

    def damaged_features(self, count: int) -> Tried:
        """Cut, flip a bit of, or delete a prepared file while a run is training on it."""
        for i in range(count):
            folder = self.workshop.trial(TEACHER, "damage-features")
            damage = ("cut", "flip", "delete")[i % 3]
            self._work_a_while(TEACHER, folder, 0.5).kill()
            for path in (folder / "dump").rglob("*.npy"):
                if damage == "cut":
                    os.truncate(path, self.rng.randrange(path.stat().st_size))
                elif damage == "flip":
                    flip_bit(path, self.rng.randrange(8 * path.stat().st_size))
                else:
                    path.unlink()
            ended = self.workshop.run(TEACHER, folder)
            expect_refusal(ended, "remove it and run prepare again")
            for path in (folder / "dump").rglob("*.npy"):
                path.unlink()
            self.workshop.expect_complete(PREPARE, folder)
            self.workshop.expect_complete(TEACHER, folder)
        return Tried(
            "prepared features cut short, bits flipped, or deleted in the middle of training",
            count,
            "one line, exit code 2; removed, prepared again, resumed to the undisturbed result",
        )

    def two_runs(self, phase: Phase) -> Tried:
        """Start a second run on a folder while the first is at work."""
        folder = self.workshop.trial(phase, f"two-{phase.name}")
        command = self._work_a_while(phase, folder, 0.0)
        os.kill(command.pid, signal.SIGSTOP)  # the first run must last until the second starts
        try:
            expect_refusal(self.workshop.run(phase, folder), "in use by another run (process")
        finally:
            os.kill(command.pid, signal.SIGCONT)
        if command.finish().code:
            raise FaultError(f"{phase.name}: the first of two runs failed")
        self.workshop.expect_complete(phase, folder)
        return Tried(
            f"two runs of `{phase.name}` on one folder",
            1,
            "the second was refused in one line, the first went on to the undisturbed result",
        )

    def _work_a_while(self, phase: Phase, folder: Path, share: float) -> Command:
        """Start a phase, and wait for a random part of a share of its duration."""
        command = self.workshop.start(phase, folder)
        if self.workshop.wait_for_work(phase, folder, command):
            limit = self.rng.uniform(0.0, share) * self.workshop.seconds[phase.name]
            deadline = time.monotonic() + limit
            while command.is_running() and time.monotonic() < deadline:
                time.sleep(0.005)
        return command

    def all(self, num_kills: int) -> Iterator[Callable[[], Tried]]:
        """Try every kind of fault, with this number of kills over all phases."""
        shares = {PREPARE: 0.25, TEACHER: 0.3, STUDENT: 0.25, GENERATE: 0.2}
        some = max(3, num_kills // 10)
        for phase in PHASES:
            count = max(1, round(num_kills * shares[phase]))
            yield lambda phase=phase, count=count: self.kills(phase, count)
        for phase in (TEACHER, STUDENT):
            yield lambda phase=phase: self.terminations(phase, some)
        for phase in PHASES:
            yield lambda phase=phase: self.full_disk(phase)
        for phase in (PREPARE, TEACHER):
            yield lambda phase=phase: self.small_disk(phase)
        for phase in (TEACHER, STUDENT):
            yield lambda phase=phase: self.damaged_checkpoints(phase, some)
        yield lambda: self.damaged_model(max(2, some // 2))
        yield lambda: self.damaged_features(3)
        for phase in PHASES:
            yield lambda phase=phase: self.two_runs(phase)
