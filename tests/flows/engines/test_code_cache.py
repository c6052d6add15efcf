"""Compiled code is compiled again when any file of its package changes."""

from pathlib import Path

from dsp.filters import recursive
from flows.engines.code_cache import PackageLocator, sources_digest
from flows.engines.cpu import (
    activations,
    kernels,
    layer_pass,
    long_term,
    parallel_pass,
    sample_loop,
    tiles,
)
from flows.engines.cpu.training import layer_rows


def test_the_digest_follows_every_file(tmp_path: Path) -> None:
    for name in ("a", "b"):
        folder = tmp_path / name
        (folder / "below").mkdir(parents=True)
        for called in ("called.py", "below/called.py"):
            (folder / called).write_text("y = 1" if name == "a" else "y = 2")
        (folder / "calls.py").write_text("x = 1")
    for called in ("called.py", "below/called.py"):
        assert sources_digest(tmp_path / "a") != sources_digest(tmp_path / "b")
        (tmp_path / "b" / called).write_text("y = 1")
        sources_digest.cache_clear()
    assert sources_digest(tmp_path / "a") == sources_digest(tmp_path / "b")


def test_functions_of_this_package_have_its_digest_as_their_stamp() -> None:
    modules = (activations, kernels, layer_pass, long_term, parallel_pass, sample_loop, tiles)
    for module in (*modules, layer_rows):
        compiled = [f for f in vars(module).values() if hasattr(f, "enable_caching")]
        assert compiled
        for function in compiled:
            locator = function._cache._impl.locator
            assert isinstance(locator, PackageLocator)
            assert locator.get_source_stamp() == sources_digest()


def test_functions_of_other_packages_are_cached_as_ever() -> None:
    compiled = [f for f in vars(recursive).values() if hasattr(f, "enable_caching")]
    assert compiled
    for function in compiled:
        assert not isinstance(function._cache._impl.locator, PackageLocator)
