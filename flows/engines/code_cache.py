"""numba's cache of the code of `flows.engines.cpu`, valid for one state of all its source files.

By itself, numba compiles a function again only when the function's own file has changed. It does
not notice that another file has changed whose functions the function calls.
"""

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from numba.core import caching, config

PACKAGE = Path(__file__).parent / "cpu"


@cache
def sources_digest(folder: Path = PACKAGE) -> str:
    """Return one SHA-256 of all source files in a folder and below it."""
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()


class PackageLocator(caching.UserProvidedCacheLocator):
    """Locates the cached code of `PACKAGE` in NUMBA_CACHE_DIR; see `storage.cache_folders`."""

    @classmethod
    def from_function(cls, py_func: object, py_file: str) -> "PackageLocator | None":
        """Return a locator for a function of `PACKAGE`, and None for all others."""
        if PACKAGE not in Path(py_file).parents:
            return None
        found: PackageLocator | None = super().from_function(py_func, py_file)
        return found

    def get_source_stamp(self) -> str:
        """Return the digest of the present source files, which numba compares with the cache's."""
        return sources_digest()


def use_package_locator() -> None:
    """Let numba ask `PackageLocator` first, unless the user has chosen locators."""
    settings: Any = config
    if not settings.CACHE_LOCATOR_CLASSES:
        usual = [locator.__name__ for locator in caching.CacheImpl._locator_classes]
        ours = f"{PackageLocator.__module__}.{PackageLocator.__name__}"
        settings.CACHE_LOCATOR_CLASSES = ",".join([ours, *usual])
