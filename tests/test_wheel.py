"""The wheel: command, recipes, page and trained models, used from any folder."""

import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
import soundfile

from tests.speech import speech

ROOT = Path(__file__).parents[1]


def run(*words: str | Path, cwd: Path) -> str:
    done = subprocess.run(
        [str(word) for word in words], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of a copy of the tree, built as `pip install .` builds it."""
    place = tmp_path_factory.mktemp("wheel")
    words = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    for name in run(*words, cwd=ROOT).strip("\0").split("\0"):
        if (ROOT / name).is_file():
            (place / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, place / "tree" / name)
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet"]
    run(*pip, "--wheel-dir", place, ".", cwd=place / "tree")
    (built,) = place.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path) -> Path:
    """A fresh environment with the wheel in it, and the packages that it requires in reach."""
    folder = wheel.parent / "environment"
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=wheel.parent)
    packages = Path(run(folder / "bin" / "python", "-c", PACKAGES, cwd=folder).strip())
    # A line of a .pth file adds a folder, but follows no .pth file in it: the tree stays out.
    (packages / "required.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    run(
        *(sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "install"),
        *("--quiet", "--no-deps", "--no-index", "--ignore-installed", wheel),
        cwd=folder,
    )
    return folder


PACKAGES = "import sysconfig; print(sysconfig.get_paths()['purelib'])"


@pytest.mark.slow
def test_everything_that_is_needed_is_in_the_wheel(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    folders = ("pipelines/recipes/*.yaml", "pipelines/report/page.*", "pretrained/*/*")
    wanted = {p.relative_to(ROOT).as_posix() for folder in folders for p in ROOT.glob(folder)}
    assert "pretrained/frame-16k/model.safetensors" in wanted
    assert {name for name in wanted if "__pycache__" not in name} <= names
    assert not [name for name in names if name.startswith(("tests/", "docs/"))]


@pytest.mark.slow
def test_a_wheel_speaks_from_any_folder(environment: Path, tmp_path: Path) -> None:
    recording = speech()[0, 0, :16000]
    soundfile.write(tmp_path / "speech.wav", recording.numpy(), 16000)
    command = environment / "bin" / "parallel-wavenet"
    words = ["--model", "frame-16k", "--input", "speech.wav", "--engine", "torch"]
    run(command, "generate", *words, "--out", "out", cwd=tmp_path)
    drawn, _ = soundfile.read(tmp_path / "out" / "speech.wav")
    assert len(drawn) >= len(recording)
    assert 0.5 < drawn.std() / float(recording.std()) < 1.5


@pytest.mark.slow
def test_models_and_recipes_are_found_by_name(environment: Path, tmp_path: Path) -> None:
    program = """
import flows, pipelines.workspace
from pipelines.recipes import find_recipe, recipe_names
from student import Student
student = Student.from_pretrained("frame-16k")
print(flows.__file__, student.metadata["mel"]["sample_rate"], find_recipe("allison").is_file(),
      len(recipe_names()), pipelines.workspace.commit())
"""
    # An environment often lies inside the repository of another project.
    run("git", "init", "--quiet", tmp_path, cwd=tmp_path)
    place, *values = run(environment / "bin" / "python", "-c", program, cwd=tmp_path).split()
    assert Path(place).is_relative_to(environment)
    assert values == [
        "16000",
        "True",
        str(len([*ROOT.glob("pipelines/recipes/*.yaml")])),
        "unknown",
    ]


def test_no_command_loads_torchaudio() -> None:
    # Its wheel is built for CUDA, and cannot be loaded beside a CPU build of torch.
    commands = "[cli.load_command(name) for name in cli.COMMANDS]"
    words = f"import sys; sys.modules['torchaudio'] = None; from pipelines import cli; {commands}"
    run(sys.executable, "-c", words, cwd=ROOT)
