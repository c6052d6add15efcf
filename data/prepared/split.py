"""The splits for training, validation and test, chosen by a hash of each utterance's name."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable
from typing import Literal, get_args

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)


def split_of(name: str, val_percent: float = 5, test_percent: float = 5) -> Split:
    """Choose the split of one utterance from its name alone, so that added files move no others.

    Args:
        name: path relative to the corpus folder, with "/" and without suffix, as `digits/1`.
        val_percent: share of names for validation.
        test_percent: share of names for the test.
    Returns:
        "train", "val" or "test".
    Raises:
        ValueError: if a share is not positive, or if nothing is left to train on.

    >>> split_of("digits/1") == split_of("digits/1")
    True
    """
    check_shares(val_percent, test_percent)
    position = 100 * _hash(name) / 2**64
    if position < test_percent:
        return "test"
    return "val" if position < test_percent + val_percent else "train"


def assign_splits(
    names: Iterable[str], val_percent: float = 5, test_percent: float = 5
) -> dict[str, Split]:
    """Choose the split of every utterance, so that each split has at least one.

    `split_of` chooses each utterance's split. If that leaves a split empty, as a small corpus may,
    the utterance with the smallest hash moves from the largest split to the empty split. Only then
    can an added file move another one.

    Args:
        names: distinct names, as for `split_of`.
        val_percent: share of names for validation.
        test_percent: share of names for the test.
    Returns:
        the split of each name.
    Raises:
        ValueError: if there are fewer than three names, or if `split_of` refuses the shares.
    """
    splits = {name: split_of(name, val_percent, test_percent) for name in sorted(names)}
    if len(splits) < len(SPLITS):
        raise ValueError(
            f"{len(splits)} utterances, expected at least 3: one each to train, validate and test"
        )
    members = {split: [n for n in splits if splits[n] == split] for split in SPLITS}
    for empty in (split for split in SPLITS if not members[split]):
        largest = max(SPLITS, key=lambda split: len(members[split]))
        moved = min(members[largest], key=_hash)
        members[largest].remove(moved)
        members[empty].append(moved)
        splits[moved] = empty
    return splits


def check_shares(val_percent: float, test_percent: float) -> None:
    """Raise ValueError unless both shares are positive and leave something to train on."""
    for name, value in (("val_percent", val_percent), ("test_percent", test_percent)):
        if not 0 < value < 100:
            raise ValueError(f"{name} is {value!r}, expected in (0, 100)")
    if val_percent + test_percent >= 100:
        total = val_percent + test_percent
        raise ValueError(f"val_percent + test_percent is {total}, expected below 100")


def _hash(name: str) -> int:
    # Some file systems hand back accented names decomposed.
    normalised = unicodedata.normalize("NFC", name)
    return int.from_bytes(
        hashlib.sha256(normalised.encode(errors="surrogateescape")).digest()[:8], "big"
    )
