"""Change the mathematics a little and see whether the tests notice: `tests/mutation.sh`."""

from __future__ import annotations

import argparse
import ast
import importlib
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
LOSSES = ("contrastive", "divergence", "forward_kl", "health", "kl", "monte_carlo", "objective")
MODULES = (
    *sorted((REPOSITORY / "flows").glob("[a-z]*.py")),
    *(REPOSITORY / "distill" / f"{name}.py" for name in (*LOSSES, "spectral")),
)
# Who notices, if the tests that name what the module defines do not.
TESTS = {
    "flows": ("tests/flows", "tests/teacher", "tests/student", "tests/distill"),
    "distill": ("tests/distill",),
}
# What every process needs and no mutant touches.
IMPORTED_ONCE = ("hypothesis", "librosa", "numba", "pytest", "scipy.stats", "soundfile", "torch")


def own_tests(folder: Path, module: Path) -> list[str]:
    """Test files that name what a module defines, those that name it most first."""
    tree = ast.parse(module.read_text())
    defined = [node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    pattern = re.compile(rf"\b({'|'.join(defined)})\b")
    mentions = {}
    for path in sorted((folder / "tests").rglob("test_*.py")):
        if path.parent.name in ("flows", "teacher", "student", "distill", "data"):
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


def report(
    tried: int, survivors: list[tuple[Path, Mutant]], places: int, seed: int, minutes: float
) -> str:
    """Write what was tried and what survived."""
    rows = "".join(
        f"| `{path.relative_to(REPOSITORY)}` {mutant.line} | `{_cell(mutant.before)}` "
        f"| `{_cell(mutant.after)}` |\n"
        for path, mutant in survivors
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
    """Try mutants; 0 if enough were noticed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutants", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
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
    sources = {path: (folder / path.relative_to(REPOSITORY)).read_text() for path in MODULES}
    places = [(path, i) for path, source in sources.items() for i in range(count(source))]
    owners = {path: own_tests(folder, path) for path in MODULES}
    survivors: list[tuple[Path, Mutant]] = []
    drawn = random.Random(options.seed).sample(places, options.mutants)
    for path, number in drawn:
        mutant = mutate(sources[path], number)
        copy = folder / path.relative_to(REPOSITORY)
        copy.write_text(mutant.source)
        survived = all(
            passes(folder, tests, 120)
            for tests in (owners[path], list(TESTS[path.parent.name]))
            if tests
        )
        copy.write_text(sources[path])
        if survived:
            survivors.append((path, mutant))
        where = f"{path.relative_to(REPOSITORY)}:{mutant.line}"
        fate = "SURVIVED" if survived else "noticed"
        print(f"{fate}  {where}  {mutant.before}  ->  {mutant.after}", flush=True)
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
