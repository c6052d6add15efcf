"""Set-up shared by the tests of the flow core."""

from collections.abc import Iterator

import pytest

from flows.engines.threads import pytorch_threads


@pytest.fixture
def two_threads() -> Iterator[None]:
    """Set two threads for PyTorch and compiled code."""
    with pytorch_threads(2):
        yield
