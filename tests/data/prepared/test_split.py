"""The split by hash."""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter

import pytest

from data import assign_splits, split_of

NAMES = [f"clip_{i:04d}" for i in range(4000)]


def test_split_of_a_name_never_changes() -> None:
    # Constants, because results on held-out utterances are compared across versions.
    assert [split_of(f"digits/{i}") for i in range(1, 15)] == [
        *("train", "train", "train", "train", "val", "train", "train", "train", "train", "val"),
        *("train", "train", "train", "test"),
    ]


def test_shares_are_as_asked() -> None:
    counts = Counter(split_of(name, val_percent=10, test_percent=20) for name in NAMES)
    assert counts["val"] == pytest.approx(400, abs=60)
    assert counts["test"] == pytest.approx(800, abs=80)


def test_added_files_move_no_others() -> None:
    before = assign_splits(NAMES[:1000])
    after = assign_splits(NAMES)
    assert {name: after[name] for name in before} == before


def test_more_validation_takes_from_training_alone() -> None:
    test = [name for name in NAMES if split_of(name) == "test"]
    assert all(split_of(name, val_percent=50) == "test" for name in test)


@pytest.mark.parametrize("num_names", [3, 4, 5, 10, 30])
@pytest.mark.parametrize("offset", [0, 50, 100, 150])
def test_no_split_is_empty_on_a_small_corpus(num_names: int, offset: int) -> None:
    splits = assign_splits(NAMES[offset : offset + num_names])
    assert set(splits.values()) == {"train", "val", "test"}


def test_an_empty_split_gets_the_utterance_of_smallest_hash() -> None:
    names = [name for name in NAMES[:10] if split_of(name) == "train"]
    by_hash = sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())
    splits = assign_splits(names)
    assert [splits[name] for name in by_hash] == ["val", "test"] + ["train"] * (len(names) - 2)


def test_small_corpus_is_split_the_same_in_any_order() -> None:
    assert assign_splits(NAMES[:5]) == assign_splits(reversed(NAMES[:5]))


def test_decomposed_accents_do_not_matter() -> None:
    names = [f"é{i}" for i in range(200)]
    assert [split_of(unicodedata.normalize("NFD", name)) for name in names] == [
        split_of(name) for name in names
    ]


def test_two_utterances_cannot_be_split() -> None:
    with pytest.raises(ValueError, match="2 utterances, expected at least 3"):
        assign_splits(["a", "b"])


@pytest.mark.parametrize(("val", "test"), [(0, 5), (5, -1), (60, 40), (float("nan"), 5)])
def test_impossible_shares_are_refused(val: float, test: float) -> None:
    with pytest.raises(ValueError, match="percent"):
        split_of("a", val, test)
