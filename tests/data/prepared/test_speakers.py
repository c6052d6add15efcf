"""The speaker as rows of the conditioning."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from data import (
    DataError,
    PrepareConfig,
    SegmentSampler,
    speaker_of,
    speakers_of,
    synthesise,
    with_speaker,
)
from data.prepared.prepare import prepare


def test_speaker_is_the_first_folder() -> None:
    assert speakers_of(["b/x/1", "a/1", "b/2"]) == ("a", "b")
    with pytest.raises(DataError, match="'hello' lies in no folder"):
        speaker_of("hello")


def test_the_speakers_row_is_one_and_others_are_zero() -> None:
    frames = torch.randn(2, 3, 5)
    told = with_speaker(frames, ["a", "b"], "b")
    assert torch.equal(told[:, :3], frames)
    assert torch.equal(told[:, 3:], torch.tensor([0.0, 1.0])[:, None].expand(2, 2, 5))
    assert with_speaker(frames, [], None) is frames


@pytest.mark.parametrize(
    ("speakers", "speaker", "message"),
    [
        (["a", "b"], "c", "speaker is 'c', expected one of a, b"),
        (["a"], None, "speaker is None, expected one of a"),
        ([], "a", "expected none: the model has no speakers"),
    ],
)
def test_wrong_speaker_is_refused(speakers: list[str], speaker: str | None, message: str) -> None:
    with pytest.raises(DataError, match=message):
        with_speaker(torch.zeros(1, 2, 3), speakers, speaker)


def test_segments_carry_their_own_speaker(tmp_path: Path) -> None:
    for speaker in ("ann", "bob"):
        synthesise(tmp_path / "corpus" / speaker, num_utterances=6, seconds=0.4)
    config = PrepareConfig(corpus=str(tmp_path / "corpus"), num_workers=1)
    manifest = prepare(tmp_path / "corpus", tmp_path / "dump", config, progress=False)
    sampler = SegmentSampler(
        manifest, batch_size=8, segment_frames=4, margin_frames=1, speakers=("ann", "bob")
    )
    batch, plain = (
        sampler.batch(0),
        SegmentSampler(manifest, batch_size=8, segment_frames=4, margin_frames=1).batch(0),
    )
    num_mels = config.mel.num_mels
    assert torch.equal(batch.log_mel[:, :num_mels], plain.log_mel)
    rows = batch.log_mel[:, num_mels:]
    assert torch.equal(rows.sum(1), torch.ones(8, 6))
    assert set(rows[:, 0, 0].tolist()) == {0.0, 1.0}
