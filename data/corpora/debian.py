"""Debian packages that are downloaded and unpacked without being installed."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from storage.digests import sha256_of

_log = logging.getLogger(__name__)

# Messages of apt-get whose package lists are missing or older than the archive.
_STALE_LISTS = ("Unable to locate package", "No packages found", "source to download", "404")


class CorpusError(ValueError):
    """A corpus that cannot be fetched; the one-line message says what to do instead."""


@dataclass(frozen=True, kw_only=True)
class DebianPackage:
    """One exact version of a package.

    Args:
        name: package name.
        version: exact version.
        sha256: checksum of the .deb file, hexadecimal.
        size_bytes: size of the .deb file.
        content_folder: folder of the audio within the package.
    """

    name: str
    version: str
    sha256: str
    size_bytes: int
    content_folder: str


def unpack_package(package: DebianPackage, folder: Path) -> Path:
    """Download a package with the system's apt-get, check and unpack it; root is not needed.

    Args:
        package: what to fetch.
        folder: an existing folder to work in.
    Returns:
        the folder that holds the package's file tree.
    Raises:
        CorpusError: if a tool is missing or fails, or the file is not the pinned one.
    """
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise CorpusError(
                f"{package.name}: needs {tool}, found on Debian and Ubuntu; elsewhere, unpack the "
                "package yourself and give its folder of audio"
            )
    folder = folder.resolve()  # the tools run inside it
    deb = _download(package, folder)
    _verify(package, deb)
    tree = folder / "tree"
    command = ["dpkg-deb", "-x", str(deb), str(tree)]
    failure = _run(command, folder)
    if failure:
        raise _failed(package, command, failure)
    return tree


def _download(package: DebianPackage, folder: Path) -> Path:
    _log.info("downloading %s (%.0f MB)", package.name, package.size_bytes / 1e6)
    command = ["apt-get", "-q", "download", package.name]
    failure = _run(command, folder)
    if failure and any(words in failure for words in _STALE_LISTS):
        if os.geteuid() != 0:
            raise _failed(package, command, failure, "; try `sudo apt-get update` first")
        _log.info("apt-get does not know %s: updating its lists", package.name)
        _run(["apt-get", "-q", "update"], folder)  # one broken source must not stop the download
        failure = _run(command, folder)
    if failure:
        raise _failed(package, command, failure)
    found = sorted(folder.glob("*.deb"))
    if len(found) != 1:
        raise CorpusError(f"{package.name}: apt-get left {len(found)} .deb files, expected 1")
    return found[0]


def _verify(package: DebianPackage, deb: Path) -> None:
    found = sha256_of(deb)
    if found != package.sha256:
        raise CorpusError(
            f"{package.name}: {deb.name} has sha256 {found}, expected {package.sha256} "
            f"(version {package.version}); to use it anyway, unpack it and give its folder"
        )


def _run(command: list[str], folder: Path) -> str:
    """Run a command in `folder`; return "" if it succeeds.

    If the command fails, return its output, or "exit code N" if there is none.
    """
    # `_STALE_LISTS` is matched against untranslated messages.
    environment = {**os.environ, "LC_ALL": "C"}
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    if done.returncode == 0:
        return ""
    return done.stdout.strip() or f"exit code {done.returncode}"


def _failed(
    package: DebianPackage, command: list[str], output: str, advice: str = ""
) -> CorpusError:
    lines = output.splitlines()
    reason = next((line for line in reversed(lines) if line.startswith("E:")), lines[-1])
    return CorpusError(f"{package.name}: {' '.join(command[:3])} failed: {reason}{advice}")
