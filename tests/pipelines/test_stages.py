"""The scripts' options: each command's arguments, from any folder."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """Copy the scripts, with a program that prints its arguments instead of the real one."""
    folder = tmp_path / "program"
    (folder / "pipelines").mkdir(parents=True)
    for name in ("run_teacher.sh", "run_distill.sh", "pipelines/stages.sh"):
        shutil.copy(ROOT / name, folder / name)
    (folder / ".venv" / "bin").mkdir(parents=True)
    for name, line in ((".venv/bin/parallel-wavenet", 'echo "$*"'), ("setup.sh", "")):
        (folder / name).write_text(f"#!/usr/bin/env bash\n{line}\n")
        (folder / name).chmod(0o755)
    (tmp_path / "user").mkdir()
    return folder


def run(program: Path, script: str, *words: str, cwd: Path) -> tuple[int, list[str]]:
    done = subprocess.run(
        [program / script, *words],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "HOME": "/home/user"},
    )
    return done.returncode, done.stdout.splitlines()


def test_paths_are_relative_to_the_current_folder(program: Path) -> None:
    user = program.parent / "user"
    options = ["--corpus", "speech", "--exp", "e", "--dump", "d", "--recipe", "mine.yaml"]
    code, lines = run(program, "run_distill.sh", *options, cwd=user)
    assert code == 0
    (prepare,) = (line for line in lines if line.startswith("prepare "))
    assert "--recipe mine.yaml" in prepare
    assert "--dump d --corpus speech" in prepare
    assert f"--corpora {program}/corpora" in prepare
    (trained,) = (line for line in lines if line.startswith("train-teacher "))
    assert "--recipe mine.yaml --dump d --exp e" in trained
    assert (user / "e" / "logs" / "prepare.log").exists()
    assert not (program / "e").exists()


def test_only_chosen_folders_lie_outside_the_scripts_folder(program: Path) -> None:
    _, elsewhere = run(program, "run_teacher.sh", "--recipe", "tiny", cwd=program.parent / "user")
    assert f"--corpora {program}/corpora --dump {program}/dump/tiny" in "\n".join(elsewhere)
    _, here = run(program, "run_teacher.sh", "--recipe", "tiny", cwd=program)
    assert "--corpora corpora --dump dump/tiny" in "\n".join(here)


def test_an_equals_sign_may_replace_the_space(program: Path) -> None:
    options = ["--exp=e", "--recipe=tiny", "--recipe.seed=2", "--dump", "d", "--corpus=~/speech"]
    code, lines = run(program, "run_teacher.sh", *options, cwd=program)
    assert code == 0
    (prepare,) = (line for line in lines if line.startswith("prepare "))
    assert "prepare --recipe tiny --recipe.seed=2" in prepare
    assert "--corpus /home/user/speech" in prepare
    assert any("--dump d --exp e" in line for line in lines)


def test_both_trainings_get_the_number_of_processes(program: Path) -> None:
    for words, given in (((), "auto"), (("--processes", "2"), "2")):
        _, lines = run(program, "run_distill.sh", *words, cwd=program)
        trained = [line for line in lines if line.startswith(("train-teacher ", "distill "))]
        assert len(trained) == 2
        assert all(f"--processes {given}" in line for line in trained)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--exp --dump d", "--exp needs a value, found --dump"),
        ("--recipe.seed --exp x", "--recipe.seed needs a value, found --exp"),
        ("--exp", "--exp needs a value"),
        ("--exp=", "--exp is empty"),
        ("--expp=x", "unknown option --expp"),
        ("--overrides=x", "unknown option --overrides"),
        ("exp/mine", "unexpected word 'exp/mine'"),
        ("--stage 3 --stop_stage 2", "stage 3 comes after the last one, 2"),
        ("--stage two", "stage 'two' is not a number"),
        ("--teacher_seconds 0", "unknown option --teacher_seconds"),
    ],
)
def test_a_mistake_is_reported_before_any_stage_runs(
    program: Path, words: str, message: str
) -> None:
    code, lines = run(program, "run_distill.sh", *words.split(), cwd=program.parent / "user")
    assert code == 2
    assert len(lines) == 1
    assert message in lines[0]


def test_the_set_up_takes_an_equals_sign_too(program: Path) -> None:
    for name in ("setup.sh", "setup.cfg", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, program / name)
    code, lines = run(program, "setup.sh", "--extras=dev", "--python=nowhere/python", cwd=program)
    assert code == 2
    assert lines[-1] == "setup.sh: nowhere/python is not Python 3.11 or newer"


def test_a_link_to_a_script_finds_the_program(program: Path) -> None:
    user = program.parent / "user"
    (user / "teach").symlink_to(program / "run_teacher.sh")
    code, lines = run(user, "teach", "--recipe", "tiny", "--exp", "e", cwd=user)
    assert code == 0
    assert any(f"--dump {program}/dump/tiny --exp e" in line for line in lines)


def test_an_empty_value_is_refused(program: Path) -> None:
    code, lines = run(program, "run_distill.sh", "--corpus", "", cwd=program)
    assert (code, lines) == (2, ["run_distill.sh: --corpus is empty"])


def test_a_script_started_by_sh_goes_on_in_bash(program: Path) -> None:
    done = subprocess.run(
        ["sh", program / "run_teacher.sh", "--exp=e f"],
        cwd=program,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 0, done.stderr
    assert "--exp e f" in done.stdout


def test_a_recipes_name_names_its_folders(program: Path) -> None:
    user = program.parent / "user"
    (user / "voice.yaml").write_text("seed: 3\nname: mine # not voice\n")
    (user / "quoted.yaml").write_text('name: "mine"\n')
    (user / "spaced.yaml").write_text("name: my own voice\n")
    for words, name in (
        (["--recipe", "voice.yaml"], "mine"),
        (["--recipe", "quoted.yaml"], "mine"),
        (["--recipe", "spaced.yaml"], "my own voice"),
        (["--recipe", "voice.yaml", "--recipe.name", "other"], "other"),
        (["--recipe", "tiny", "--recipe.name=other"], "other"),
        (["--recipe", "tiny"], "tiny"),
    ):
        _, lines = run(program, "run_teacher.sh", *words, cwd=user)
        assert f"--dump {program}/dump/{name} --exp {program}/exp/{name}" in "\n".join(lines)


def test_a_broken_environment_is_made_anew(program: Path) -> None:
    shutil.copy(ROOT / "setup.sh", program / "setup.sh")
    for name in ("setup.cfg", "pyproject.toml", "constraints.txt"):
        (program / name).write_text("")
    stamp = program / ".venv" / "installed"
    words = f'cd {program}; printf "extras=%s\\nfolder=%s\\n" "" "$PWD"'
    digest = f"cat {program}/setup.cfg | sha256sum"
    stamp.write_text(subprocess.check_output(["bash", "-c", f"{words}; {digest}"], text=True))
    python = program / ".venv" / "bin" / "python"
    python.write_text("#!/bin/sh\nexit 0\n")
    python.chmod(0o755)
    assert run(program, "setup.sh", cwd=program) == (0, [])
    code, lines = run(program, "setup.sh", "--python", "other", cwd=program)
    assert code == 0
    assert "so --python other is not used" in lines[0]
    python.unlink()
    code, lines = run(program, "setup.sh", "--python", "/no/such", cwd=program)
    assert (code, lines) == (2, ["setup.sh: /no/such is not Python 3.11 or newer"])
