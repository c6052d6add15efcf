"""The campaign of faults against runs, with a report: `tests/faults.sh`."""

from __future__ import annotations

import argparse
import platform
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.campaign import Campaign, Tried
from tests.faults.process import FaultError
from tests.faults.workshop import Workshop


def report(tried: list[Tried], seed: int, num_kills: int, minutes: float) -> str:
    """Write the table of the trials."""
    rows = "".join(f"| {t.fault} | {t.count} | {t.outcome} |\n" for t in tried)
    return f"""# Faults

    tests/faults.sh --kills {num_kills} --seed {seed}

{time.strftime("%Y-%m-%d")}, {platform.machine()}, one core, {minutes:.0f} minutes: \
{sum(t.count for t in tried)} faults, nothing lost, nothing half-written read as whole. After \
every kill each file under its final name was opened and checked; every result was compared with \
that of an undisturbed run: features, manifest, weights, configuration, newest checkpoint (by \
digest), loss curve and audio.

| fault | times | outcome |
|---|---:|---|
{rows}"""


def main() -> int:
    """Run the campaign; 0 if nothing was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--report", type=Path)
    options = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="faults-"))
    started = time.monotonic()

    def say(message: str) -> None:
        print(f"{time.strftime('%H:%M:%S')}  {message}", flush=True)

    try:
        campaign = Campaign(Workshop(root, say), random.Random(options.seed))
        tried = []
        for attempt in campaign.all(options.kills):
            tried.append(attempt())
            say(f"{tried[-1].fault}: {tried[-1].count}: {tried[-1].outcome}")
    except FaultError as error:
        say(f"LOST: {error}; see {root}")
        return 1
    minutes = (time.monotonic() - started) / 60
    if options.report:
        options.report.parent.mkdir(parents=True, exist_ok=True)
        options.report.write_text(report(tried, options.seed, options.kills, minutes))
    say(f"{sum(t.count for t in tried)} faults in {minutes:.0f} minutes, nothing lost")
    shutil.rmtree(root)
    return 0


if __name__ == "__main__":
    sys.exit(main())
