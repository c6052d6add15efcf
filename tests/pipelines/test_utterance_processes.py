"""The number of processes that share utterances."""

import pytest

from data.prepared import parallel
from pipelines.utterance_processes import UTTERANCES_PER_PROCESS, choose_processes


def test_the_number_of_processes_is_that_of_processors_and_utterances(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parallel, "num_processors", lambda: 3)
    each = UTTERANCES_PER_PROCESS
    found = [choose_processes("auto", "cpu", count) for count in (1, 2 * each - 1, 2 * each)]
    assert found == [1, 1, 2]
    assert choose_processes("auto", "cpu", 100 * each) == 3
    assert choose_processes("auto", "cuda", 100 * each) == 1
    assert choose_processes(4, "cpu", 3) == 3
    with pytest.raises(ValueError, match="processes is 0, expected at least 1, and 1 on cuda"):
        choose_processes(0, "cpu", 1)
    with pytest.raises(ValueError, match="processes is 2, expected at least 1, and 1 on cuda"):
        choose_processes(2, "cuda", 1)
