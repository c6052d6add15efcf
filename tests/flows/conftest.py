"""Set-up shared by the tests of the flow core."""

from collections.abc import Iterator

import pytest

from flows.engines.threads import pytorch_threads


@pytest.fixture
def two_threads() -> Iterator[None]:
    """Let PyTorch, and compiled code, have two threads."""
    with pytorch_threads(2):
        yield
