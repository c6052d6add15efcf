"""Change the program a little and see whether the tests notice: `tests/mutation.sh`."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.mutation.covering import Covering, Stopwatch, recording_options
from tests.mutation.mutants import Mutant, count, mutate

REPOSITORY = Path(__file__).parents[2]
CHECKPOINTS = "tests/pipelines/training/test_checkpoints.py"
# Each part's tests; the doctests of its modules are among them.
PARTS = {
    "flows": ("tests/flows", "tests/teacher", "tests/student", "tests/distill", CHECKPOINTS),
    "teacher": ("tests/teacher", "teacher"),
    "student": ("tests/student", "student"),
    "distill": ("tests/distill", "distill"),
    "data": ("tests/data", "data"),
    "pipelines/evaluation": ("tests/pipelines/evaluation", "pipelines/evaluation"),
}
# The packages that import a part's package, and that package itself.
ABOVE = {
    "flows": ("flows", "teacher", "student", "distill", "pipelines"),
    "teacher": ("teacher", "distill", "pipelines"),
    "student": ("student", "distill", "pipelines"),
    "distill": ("distill", "pipelines"),
    "data": ("data", "pipelines"),
    "pipelines/evaluation": ("pipelines",),
}
LEFT_OUT = ("flows/engines/cpu", "flows/engines/triton")  # compiled
# Modules that every process needs and no mutant changes.
IMPORTED_ONCE = ("hypothesis", "librosa", "numba", "pytest", "scipy.stats", "soundfile", "torch")

Place = tuple[str, int]
"""A module's path and the number of a change in it."""


def modules(folder: Path, part: str) -> list[str]:
    """List a part's modules that Python interprets."""
    found = (f"{path.relative_to(folder)}" for path in sorted((folder / part).rglob("*.py")))
    return [name for name in found if not name.startswith(LEFT_OUT)]


def places(folder: Path, part: str) -> list[Place]:
    """List the places of a part that can be changed."""
    return [
        (name, i)
        for name in modules(folder, part)
        for i in range(count((folder / name).read_text()))
    ]


def import_from(folder: Path) -> None:
    """Let this process find the project's modules in a copy of the repository."""
    os.chdir(folder)
    others = (p for p in sys.path if Path(p or ".").resolve() not in (REPOSITORY, folder))
    sys.path[:] = [str(folder), *others]
    for name in [name for name in sys.modules if name.split(".")[0] == "tests"]:
        del sys.modules[name]


def preload(part: str, names: list[str]) -> None:
    """Import the modules that a part's tests need, except those that a mutant may change."""
    for name in names:
        if name.split(".")[0] not in (*ABOVE[part], "tests", "__main__", "__mp_main__"):
            with contextlib.suppress(Exception):  # some modules are not importable by their names
                importlib.import_module(name)


def passes(folder: Path, options: Sequence[str], seconds: float, write_bytecode: bool) -> bool:
    """Run tests on a copy of the repository, in a process forked from this one.

    Args:
        folder: the copy.
        options: of pytest: tests among them.
        seconds: of processor time; longer runs fail, as do runs that wait ten times as long.
        write_bytecode: keep compiled modules for later runs, and the time of each test.
    """
    process = os.fork()
    if not process:
        os.setpgid(0, 0)
        import_from(folder)
        sys.dont_write_bytecode = not write_bytecode
        resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 1))
        with open(folder / "output.txt", "wb") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        pytest = importlib.import_module("pytest")
        plugins = [Stopwatch(folder)] if write_bytecode else []
        os._exit(pytest.main([*options, "-q", "-p", "no:cacheprovider"], plugins))
    end = time.monotonic() + 10 * seconds
    while time.monotonic() < end:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            return status == 0
        time.sleep(0.05)
    os.killpg(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return False


def survives(folder: Path, covering: Covering, place: Place) -> bool:
    """Tell whether the tests pass in a copy of the repository with one change, and undo it."""
    module, number = place
    path = folder / module
    source, times = path.read_text(), path.stat()
    mutant = mutate(source, number)
    tests = covering.tests(module, mutant)
    path.write_text(mutant.source)
    seconds = 30 + 5 * covering.time(tests)
    survived = not tests or passes(folder, [*tests, "-x"], seconds, False)
    path.write_text(source)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # its compiled file fits again
    fate = f"SURVIVED {len(tests)} tests" if survived else "noticed"
    print(f"{fate}  {module}:{mutant.line}  {mutant.before}  ->  {mutant.after}", flush=True)
    return survived


def try_part(folder: Path, part: str, drawn: list[Place], jobs: int) -> list[Place] | None:
    """Try a part's mutants; return the survivors, None if its tests fail without a change."""
    options = [*PARTS[part], "-m", "not slow", *recording_options(folder, part)]
    if not passes(folder, options, 3600, True):
        print(f"{part}: the tests fail unchanged: {(folder / 'output.txt').read_text()}")
        return None
    covering = Covering(folder)
    workers = []
    for i in range(jobs):
        copy = folder if i == 0 else Path(f"{folder}-{i}")
        if i:
            shutil.copytree(folder, copy)
        process = os.fork()
        if not process:
            import_from(copy)
            preload(part, covering.modules)
            survived = [place for place in drawn[i::jobs] if survives(copy, covering, place)]
            (copy / "survived.json").write_text(json.dumps(survived))
            os._exit(0)
        workers.append((process, copy))
    survivors: list[Place] = []
    for process, copy in workers:
        os.waitpid(process, 0)
        survivors += [(name, i) for name, i in json.loads((copy / "survived.json").read_text())]
        if copy != folder:
            shutil.rmtree(copy)
    return survivors


def report(
    tried: dict[str, int], survivors: dict[str, list[tuple[str, Mutant]]], command: str
) -> str:
    """Write the numbers of mutants and the survivors."""
    shares = "".join(
        f"| `{part}` | {number} | {number - len(survivors[part])} "
        f"| {100 * (1 - len(survivors[part]) / number):.0f} % |\n"
        for part, number in tried.items()
    )
    rows = "".join(
        f"| `{name}` {mutant.line} | `{_cell(mutant.before)}` | `{_cell(mutant.after)}` |\n"
        for part in tried
        for name, mutant in survivors[part]
    )
    return f"""# Mutants

    {command}

{time.strftime("%Y-%m-%d")}. Of the places at which the source can be changed, some were drawn:

| part | drawn | noticed by the tests | |
|---|---:|---:|---:|
{shares}
These survived:

| line | was | became |
|---|---|---|
{rows}"""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> int:
    """Try mutants; return 0 if enough were noticed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--mutants", type=int, default=25, help="of each part")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="at the same time")
    parser.add_argument("--percent", type=float, default=85.0, help="fail below, in any part")
    parser.add_argument("--report", type=Path)
    options = parser.parse_args()
    parts = options.parts.split(",")
    if unknown := set(parts) - PARTS.keys():
        parser.error(f"--parts has {', '.join(sorted(unknown))}, expected {', '.join(PARTS)}")
    folder = Path(tempfile.mkdtemp(prefix="mutation-"))
    os.environ.setdefault("NUMBA_CACHE_DIR", str(folder / "numba"))
    for name in IMPORTED_ONCE:
        importlib.import_module(name)
    names = subprocess.check_output(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"], cwd=REPOSITORY
    )
    for name in filter(None, names.decode().split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(REPOSITORY / name, folder / name)
    tried: dict[str, int] = {}
    survivors: dict[str, list[tuple[str, Mutant]]] = {}
    for part in parts:
        everywhere = places(folder, part)
        number = min(options.mutants, len(everywhere))
        drawn = random.Random(options.seed).sample(everywhere, number)
        survived = try_part(folder, part, drawn, options.jobs)
        if survived is None:
            return 1
        tried[part] = number
        survivors[part] = [
            (name, mutate((folder / name).read_text(), i)) for name, i in sorted(survived)
        ]
        share = 100 * (1 - len(survived) / number)
        print(f"{part}: {number} of {len(everywhere)} mutants, {share:.0f} % noticed", flush=True)
    shutil.rmtree(folder)
    command = f"tests/mutation.sh --parts {options.parts} --mutants {options.mutants}"
    if options.report:
        options.report.write_text(report(tried, survivors, f"{command} --seed {options.seed}"))
    noticed = [100 * (1 - len(survivors[part]) / tried[part]) for part in parts]
    return int(min(noticed) < options.percent)


if __name__ == "__main__":
    sys.exit(main())
