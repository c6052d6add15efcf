"""The suite's scripts on a machine without some program: one line, and never a pass."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOOLS = ("bash", "basename", "date", "dirname", "head", "id")


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A folder of the few programs that a bare machine has."""
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found is not None
        (tmp_path / tool).symlink_to(found)
    return tmp_path


def add(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/bash\n{script}\n")
    (folder / name).chmod(0o755)


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/bash", *words],
        env={"PATH": str(folder)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_machine_without_apt_says_what_to_install(bare: Path) -> None:
    found = run(bare, "tests/browser.sh")
    assert found.returncode == 2
    assert "tests/browser.sh: there is no browser, and no apt-get to install it" in found.stderr
    assert "Debian calls it chromium-headless-shell" in found.stderr
    assert found.stderr.count("\n") == 1


def test_without_root_the_install_command_is_shown(bare: Path) -> None:
    add(bare, "apt-get", "exit 1")
    (bare / "id").unlink()
    add(bare, "id", "echo 1000")
    found = run(bare, "tests/browser.sh")
    assert found.returncode == 2
    assert "needs root: apt-get install chromium-headless-shell" in found.stderr


def test_lists_are_updated_before_anything_is_installed(bare: Path) -> None:
    add(bare, "apt-get", 'echo "$*" >&2; [ "$1" = update ]')
    (bare / "id").unlink()
    add(bare, "id", "echo 0")
    found = run(bare, "tests/browser.sh")
    assert found.returncode == 2
    lines = found.stderr.splitlines()
    assert lines[0] == "update -qq"
    assert lines[1].startswith("install ")
    assert "apt-get cannot install chromium-headless-shell" in lines[2]


def test_missing_npm_is_installed(bare: Path) -> None:
    add(bare, "chromium", "")
    found = run(bare, "tests/browser.sh")
    assert found.returncode == 2
    assert "tests/browser.sh: there is no npm, and no apt-get to install it with" in found.stderr


def test_a_browser_that_is_not_a_program_is_reported(bare: Path) -> None:
    found = run(bare, "tests/browser.sh", "--browser", "/nowhere/chromium")
    assert found.returncode == 2
    assert found.stderr == "tests/browser.sh: browser /nowhere/chromium cannot be run\n"


def test_suite_names_the_parts_it_can_leave_out(bare: Path) -> None:
    found = run(bare, "tests/run.sh", "--without", "pytest")
    assert found.returncode == 2
    assert "--without is pytest, expected extras, browser or both" in found.stderr
