"""Damaged and forged files: read, or refused in one line; no traceback, no hang.

A small share of `tests/fuzz.sh`; FUZZ_INPUTS sets the total number of inputs.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from types import FrameType

import pytest
from hypothesis import HealthCheck, given, settings

from tests.fuzz.targets import TARGETS, Target

NUM_INPUTS = int(os.environ.get("FUZZ_INPUTS", "1500"))
SECONDS_PER_INPUT = 20
FINDINGS = Path(__file__).parent / "findings"


def attempt(target: Target, folder: Path, content: bytes) -> str | None:
    """Read a file, and return the message if it is refused.

    Raises:
        AssertionError: if the message is not one line, or if reading takes too long.
        Exception: any other error of the reader.
    """
    path = target.place(folder, content)
    path.write_bytes(content)

    def too_slow(number: int, frame: FrameType | None) -> None:
        raise AssertionError(f"{target.name}: more than {SECONDS_PER_INPUT} s")

    signal.signal(signal.SIGPROF, too_slow)
    signal.setitimer(signal.ITIMER_PROF, SECONDS_PER_INPUT)  # of processor time
    refusal = None
    try:
        target.read(path)
    except target.raises as error:
        refusal = str(error)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        if target.name == "checkpoint":
            path.unlink()
    # The command line would join the lines of a parser's message.
    assert refusal is None or (refusal and (target.name == "recipe" or "\n" not in refusal))
    return refusal


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_damaged_and_forged_files(target: Target, tmp_path: Path) -> None:
    total = sum(each.weight for each in TARGETS)
    count = max(10, round(NUM_INPUTS * target.weight / total))
    (tmp_path / "whole").mkdir()
    (tmp_path / "scratch").mkdir()
    outcomes = {"read": 0, "refused": 0}

    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        derandomize="FUZZ_INPUTS" not in os.environ,
    )
    @given(target.contents(tmp_path / "whole"))
    def check(content: bytes) -> None:
        refusal = attempt(target, tmp_path / "scratch", content)
        outcomes["read" if refusal is None else "refused"] += 1

    check()
    # Some inputs must pass a reader's first check.
    assert outcomes["read"] or count < 50
    print(f"{target.name}: {outcomes['read']} read, {outcomes['refused']} refused")


@pytest.mark.parametrize(
    "finding", sorted(FINDINGS.glob("*/*")), ids=lambda path: f"{path.parent.name}/{path.name}"
)
def test_findings_are_refused(finding: Path, tmp_path: Path) -> None:
    target = next(target for target in TARGETS if target.name == finding.parent.name)
    assert attempt(target, tmp_path, finding.read_bytes()) is not None
