"""The catalogue's entry of each corpus."""

import re

import pytest

from data import CORPORA


@pytest.mark.parametrize("corpus", CORPORA.values(), ids=CORPORA.keys())
def test_every_corpus_is_described(corpus) -> None:  # type: ignore[no-untyped-def]
    assert corpus.licence
    assert corpus.attribution
    assert corpus.minutes > 0
    if corpus.package:
        assert re.fullmatch("[0-9a-f]{64}", corpus.package.sha256)
