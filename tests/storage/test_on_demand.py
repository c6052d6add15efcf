"""Packages import a public name when it is first used, and nothing before."""

import ast
import importlib
import inspect
import subprocess
import sys
from types import ModuleType

import pytest

from storage.on_demand import exports

PACKAGES = ("data", "distill", "flows", "pipelines", "student", "teacher")
HEAVY = ("librosa", "lightning_fabric", "numba", "numpy", "scipy", "torch")


@pytest.mark.parametrize("name", [*PACKAGES, "pipelines.evaluation", "pipelines.report"])
def test_every_public_name_is_imported_on_demand(name: str) -> None:
    package = importlib.import_module(name)
    assert sorted(exports(inspect.getsource(package))) == sorted(package.__all__)
    assert set(package.__all__) <= set(dir(package))
    for public in package.__all__:
        # A module of that name in the package would hide the public name.
        assert not isinstance(getattr(package, public), ModuleType)
    with pytest.raises(AttributeError, match=f"module '{name}' has no attribute 'nothing'"):
        _ = package.nothing


@pytest.mark.parametrize(
    "program",
    [
        "import storage.atomic, storage.folder_lock",
        f"import {', '.join(PACKAGES)}",
        "from pipelines.cli import main; main(['--help'])",
        "from pipelines.cli import main; main(['no-such-command'])",
    ],
)
def test_nothing_heavy_is_loaded_before_it_is_needed(program: str) -> None:
    script = f"import sys\ntry:\n    {program}\nexcept SystemExit:\n    pass\n"
    script += f"print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert ast.literal_eval(done.stdout.splitlines()[-1]) == [], done.stderr


def test_drawing_loads_nothing_that_training_alone_needs() -> None:
    # Lightning Fabric loads PyTorch's compiler, which takes as long as all else that is drawn with.
    script = "import sys; from pipelines.cli import load_command; load_command('generate'); "
    script += (
        "print([name for name in ('lightning_fabric', 'torch._dynamo') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert ast.literal_eval(done.stdout.splitlines()[-1]) == [], done.stderr
