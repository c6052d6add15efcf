"""Change the mathematics a little and see whether the tests notice: `tests/mutation.sh`."""

from __future__ import annotations

import argparse
import ast
import importlib
import json
import os
import random
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.mutation.mutants import Mutant, count, mutate

REPOSITORY = Path(__file__).parents[2]
LOSSES = ("contrastive", "divergence", "forward_kl", "kl", "monte_carlo", "spectral")
MODULES = (
    *(
        f"{path.relative_to(REPOSITORY)}"
        for folder in ("flows", "flows/transforms", "flows/networks", "flows/engines")
        for path in sorted((REPOSITORY / folder).glob("[a-z]*.py"))
    ),
    *(f"distill/{name}.py" for name in ("health", "objective")),
    *(f"distill/losses/{name}.py" for name in LOSSES),
)
FILES = "tests/pipelines/training/test_checkpoints.py"
# Tests that are run if those that name the module's definitions notice nothing.
TESTS = {
    "flows": ("tests/flows", "tests/teacher", "tests/student", "tests/distill", FILES),
    "distill": ("tests/distill",),
}
TESTED = ("dsp", "flows", "teacher", "student", "distill", "data")
SECONDS = 120  # of processor time for a run of the tests; longer runs count as noticed
# Modules that every process needs and no mutant changes.
IMPORTED_ONCE = ("hypothesis", "librosa", "numba", "pytest", "scipy.stats", "soundfile", "torch")


def own_tests(folder: Path, module: str) -> list[str]:
    """List the test files that name a module's definitions, the most frequent first."""
    tree = ast.parse((folder / module).read_text())
    defined = [node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    pattern = re.compile(rf"\b({'|'.join(defined)})\b")
    mentions = {}
    for path in sorted((folder / "tests").rglob("test_*.py")):
        if path.relative_to(folder).parts[1] in TESTED:
            mentions[f"{path.relative_to(folder)}"] = len(pattern.findall(path.read_text()))
    return sorted((name for name in mentions if mentions[name]), key=lambda name: -mentions[name])


def passes(folder: Path, tests: list[str], seconds: int) -> bool:
    """Run tests on a copy of the repository, in a process forked from this one."""
    process = os.fork()
    if not process:
        os.chdir(folder)
        sys.path[:] = [
            str(folder),
            *(p for p in sys.path if Path(p or ".").resolve() != REPOSITORY),
        ]
        for name in [name for name in sys.modules if name.split(".")[0] == "tests"]:
            del sys.modules[name]
        sys.dont_write_bytecode = True
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        with open(folder / "output.txt", "wb") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        pytest = importlib.import_module("pytest")
        os._exit(pytest.main([*tests, "-x", "-q", "-p", "no:cacheprovider"]))
    _, status = os.waitpid(process, 0)
    return status == 0


def survives(folder: Path, module: str, number: int) -> bool:
    """Tell whether the tests pass in a copy of the repository with one change, and undo it."""
    path = folder / module
    source = path.read_text()
    mutant = mutate(source, number)
    path.write_text(mutant.source)
    suites = (own_tests(folder, module), list(TESTS[module.split("/")[0]]))
    survived = all(passes(folder, tests, SECONDS) for tests in suites if tests)
    path.write_text(source)
    fate = "SURVIVED" if survived else "noticed"
    print(f"{fate}  {module}:{mutant.line}  {mutant.before}  ->  {mutant.after}", flush=True)
    return survived


def report(
    tried: int, survivors: list[tuple[str, Mutant]], places: int, seed: int, minutes: float
) -> str:
    """Write the numbers of mutants and the survivors."""
    rows = "".join(
        f"| `{name}` {mutant.line} | `{_cell(mutant.before)}` | `{_cell(mutant.after)}` |\n"
        for name, mutant in survivors
    )
    killed = tried - len(survivors)
    return f"""# Mutants

    tests/mutation.sh --mutants {tried} --seed {seed}

{time.strftime("%Y-%m-%d")}, {minutes:.0f} minutes. Of {places} places at which the source of \
`flows/` and of the losses in `distill/` can be changed (an operator, a comparison, a constant, a \
condition or a call), {tried} were drawn; the tests noticed {killed}, \
{100 * killed / tried:.0f} %. These survived:

| line | was | became |
|---|---|---|
{rows}"""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> int:
    """Try mutants; return 0 if enough were noticed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutants", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="at the same time")
    parser.add_argument("--percent", type=float, default=85.0, help="fail below")
    parser.add_argument("--report", type=Path)
    options = parser.parse_args()
    started = time.monotonic()
    for name in IMPORTED_ONCE:
        importlib.import_module(name)
    folder = Path(tempfile.mkdtemp(prefix="mutation-"))
    names = subprocess.check_output(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"], cwd=REPOSITORY
    )
    for name in names.decode().split("\0"):
        if name.endswith((".py", ".toml", ".yaml", ".css", ".js", ".j2")):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(REPOSITORY / name, folder / name)
    for package, tests in TESTS.items():
        if not passes(folder, list(tests), 3600):
            print(f"{package}: the tests fail unchanged: {(folder / 'output.txt').read_text()}")
            return 1
    places = [(name, i) for name in MODULES for i in range(count((folder / name).read_text()))]
    drawn = random.Random(options.seed).sample(places, options.mutants)
    workers = []
    for i in range(options.jobs):
        copy = folder.parent / f"{folder.name}-{i}"
        shutil.copytree(folder, copy)
        process = os.fork()
        if not process:
            survived = [list(place) for place in drawn[i :: options.jobs] if survives(copy, *place)]
            (copy / "survived.json").write_text(json.dumps(survived))
            os._exit(0)
        workers.append((process, copy))
    survivors: list[tuple[str, Mutant]] = []
    for process, copy in workers:
        os.waitpid(process, 0)
        for name, number in json.loads((copy / "survived.json").read_text()):
            survivors.append((name, mutate((folder / name).read_text(), number)))
        shutil.rmtree(copy)
    shutil.rmtree(folder)
    minutes = (time.monotonic() - started) / 60
    if options.report:
        options.report.write_text(
            report(len(drawn), sorted(survivors, key=str), len(places), options.seed, minutes)
        )
    share = 100 * (1 - len(survivors) / len(drawn))
    print(f"{len(drawn)} mutants, {share:.0f} % noticed")
    return int(share < options.percent)


if __name__ == "__main__":
    sys.exit(main())
