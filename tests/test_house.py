"""The rules of the tree: small folders, unique file names, tests placed as their modules."""

import subprocess
from collections import Counter
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
PACKAGES = ("data", "distill", "dsp", "flows", "pipelines", "storage", "student", "teacher")
MOST_FILES = 15  # in a folder

ACROSS = {
    "flows/transforms/test_conformance",
    "pipelines/test_conditioning",
    "pipelines/test_given_pitch",
    "pipelines/test_models_shipped",
    "pipelines/test_overwriting",
    "pipelines/test_readme",
    "pipelines/test_untrusted",
    "pipelines/test_variants",
}
"""Tests of what several modules do together."""


def files_of(folder: str) -> list[Path]:
    """List the files of a folder that git knows, or would, as paths in the repository."""
    words = ["git", "ls-files", "--cached", "--others", "--exclude-standard", folder]
    found = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    return [Path(line) for line in found.stdout.splitlines() if (REPOSITORY / line).exists()]


@pytest.mark.parametrize("package", [*PACKAGES, "tests"])
def test_no_folder_is_crowded(package: str) -> None:
    counts = Counter(path.parent for path in files_of(package))
    assert not {str(folder): n for folder, n in counts.items() if n > MOST_FILES}


@pytest.mark.parametrize("package", PACKAGES)
def test_no_file_name_stands_twice_in_a_package(package: str) -> None:
    names = Counter(path.name for path in files_of(package) if path.name != "__init__.py")
    assert not [name for name, n in names.items() if n > 1]


@pytest.mark.parametrize("package", PACKAGES)
def test_a_test_file_is_named_as_its_module(package: str) -> None:
    modules = {path.with_suffix("") for path in files_of(package)}
    for path in files_of(f"tests/{package}"):
        inside = path.relative_to("tests").with_suffix("")
        # These tests have their own set-up and list of requirements.
        apart = inside.parts[1] in ("extras", "browser")
        if not path.name.startswith("test_") or apart or str(inside) in ACROSS:
            continue
        words = inside.name.removeprefix("test_").split("_")
        names = ["_".join(words[: n + 1]) for n in range(len(words))]
        assert any(inside.with_name(name) in modules for name in names), path
