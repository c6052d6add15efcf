"""The study's real tables, which are kept as `.npy` files in the folder of corpora."""

import gzip
import io
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.corpora.debian import DebianPackage, unpack_package
from pipelines.density.mixture import MissingExtraError
from storage.atomic import write_file

FASHION_MNIST = DebianPackage(
    name="dataset-fashion-mnist",
    version="0.0~git20200523.55506a9-1",
    sha256="39e172fe32dd318ebb3e512220c3beea2fa47d7e20bab348fb4e0922d6beefc0",
    size_bytes=30900652,
    content_folder="usr/share/datasets/fashion-mnist",
)
IMAGE_FILES = ("train-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte.gz")
IDX_MAGIC = 0x0803  # unsigned bytes, three axes
IDX_HEADER_BYTES = 16


def study_table(name: str, corpora: Path) -> Path:
    """Return the file of a table, which the first call makes.

    Args:
        name: a key of `TABLES`.
        corpora: folder that gets `NAME.npy`.
    """
    path = corpora / f"{name}.npy"
    if not path.exists():
        contents = io.BytesIO()
        np.save(contents, TABLES[name]())
        write_file(path, contents.getvalue())
    return path


def digits() -> NDArray[np.uint8]:
    """Load scikit-learn's bundled digits: 1,797 images of 8 x 8 pixels, integers 0 to 16.

    Raises:
        MissingExtraError: if scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise MissingExtraError(
            "the digits come with scikit-learn: ./setup.sh --extras study"
        ) from error
    return load_digits().data.astype(np.uint8)


def fashion() -> NDArray[np.uint16]:
    """Load Fashion-MNIST at half its resolution: 70,000 images of 14 x 14, integers 0 to 1,020.

    Each pixel is the sum of a square of 2 x 2. The images come from a Debian package, which is
    unpacked without being installed.

    Raises:
        CorpusError: if the package cannot be fetched.
        ValueError: if an image file has another format.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = unpack_package(FASHION_MNIST, Path(scratch)) / FASHION_MNIST.content_folder
        images = np.concatenate([_read_idx(folder / name) for name in IMAGE_FILES])
    squares = images.reshape(-1, 14, 2, 14, 2)
    return squares.sum((2, 4), dtype=np.uint16).reshape(-1, 14 * 14)


def _read_idx(path: Path) -> NDArray[np.uint8]:
    """Read images in the IDX format: magic number, three sizes, bytes; shape (N, 28, 28)."""
    content = gzip.decompress(path.read_bytes())
    magic, *shape = np.frombuffer(content[:IDX_HEADER_BYTES], ">u4").tolist()
    if magic != IDX_MAGIC or shape[1:] != [28, 28]:
        raise ValueError(
            f"{path.name}: magic number {magic:#x} and shape {tuple(shape)}, expected "
            f"{IDX_MAGIC:#x} and (N, 28, 28)"
        )
    return np.frombuffer(content, np.uint8, offset=IDX_HEADER_BYTES).reshape(shape)


TABLES: dict[str, Callable[[], NDArray]] = {"digits": digits, "fashion": fashion}
"""Functions that make each table: integers, shape (N, D)."""
