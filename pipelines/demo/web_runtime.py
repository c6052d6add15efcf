"""ONNX Runtime for browsers: npm's package `onnxruntime-web`, fetched once, checked and cached."""

import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from storage.atomic import write_file
from storage.cache_folders import user_caches
from storage.digests import sha256_of

VERSION = "1.30.0"
ARCHIVE = f"onnxruntime-web-{VERSION}.tgz"
SHA256 = "d2228df7e4616bc3348bf504ee888f3bec43789a273f0a63f3e68d203ce3bf71"
MEMBERS = {
    "ort.js": "package/dist/ort.wasm.bundle.min.mjs",
    "ort.wasm": "package/dist/ort-wasm-simd-threaded.wasm",
}
"""Files of the package that the page needs, by their names on the page: the runtime without support
for GPUs, and its WebAssembly. The name ends in .js, because not every server knows the suffix
.mjs."""
LONGEST_FETCH = 600  # seconds


class WebRuntimeError(ValueError):
    """The runtime cannot be fetched, or is damaged; the message says what to do."""


def runtime_files() -> dict[str, bytes]:
    """Read the files of `MEMBERS`.

    Returns:
        content of each file, by its name on the page.
    Raises:
        WebRuntimeError: if the package is not in the cache and npm cannot fetch it, or if its
            checksum is wrong.
    """
    with tarfile.open(cached_archive()) as archive:
        found = {}
        for name, member in MEMBERS.items():
            file = archive.extractfile(member)
            assert file is not None  # an archive with this checksum holds the file
            found[name] = file.read()
    return found


def cached_archive() -> Path:
    """Return the package's archive in the user's cache; the user's npm fetches a missing one.

    Raises:
        WebRuntimeError: see `runtime_files`.
    """
    path = user_caches() / "parallel-wavenet" / ARCHIVE
    if not path.exists():
        _fetch(path)
    return _checked(path, "delete it, and it is fetched again")


def _fetch(path: Path) -> None:
    npm = shutil.which("npm")
    by_hand = f"`npm pack onnxruntime-web@{VERSION}` on another machine makes the file"
    if npm is None:
        raise WebRuntimeError(
            f"{path}: not there, and no npm to fetch it with; install npm, or copy it: {by_hand}"
        )
    with tempfile.TemporaryDirectory() as folder:
        words = [npm, "pack", f"onnxruntime-web@{VERSION}", "--ignore-scripts", "--silent"]
        try:
            done = subprocess.run(
                [*words, "--pack-destination", folder],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=LONGEST_FETCH,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise WebRuntimeError(f"npm took more than {LONGEST_FETCH} s; {by_hand}") from None
        packed = Path(folder) / ARCHIVE
        if done.returncode or not packed.exists():
            said = (done.stderr or done.stdout).strip().splitlines() or ["nothing"]
            raise WebRuntimeError(
                f"{path}: not there, and npm cannot fetch it (it says: {said[0]}); {by_hand}"
            )
        content = _checked(packed, "npm gave another package").read_bytes()
    write_file(path, content)


def _checked(path: Path, otherwise: str) -> Path:
    found = sha256_of(path)
    if found != SHA256:
        raise WebRuntimeError(f"{path}: sha256 is {found}, expected {SHA256}; {otherwise}")
    return path
