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


def test_all_but_two_corpora_come_from_a_package() -> None:
    without = [name for name, corpus in CORPORA.items() if corpus.package is None]
    assert without == ["ljspeech", "synthetic"]  # unpacked by hand; made from a seed
