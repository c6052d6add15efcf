"""Training segments."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from data import (
    Batch,
    DataError,
    Manifest,
    PrepareConfig,
    SegmentSampler,
    UtteranceSet,
    log_mel,
    synthesise,
)
from data.prepared.prepare import prepare

HOP = 256


def sampler(prepared: Manifest, **options) -> SegmentSampler:  # type: ignore[no-untyped-def]
    settings = {"batch_size": 6, "segment_frames": 12, "margin_frames": 2, "seed": 7} | options
    return SegmentSampler(prepared, **settings)


def equal(a: Batch, b: Batch) -> bool:
    return torch.equal(a.waveform, b.waveform) and torch.equal(a.log_mel, b.log_mel)


def test_batch_has_the_promised_shapes(prepared: Manifest) -> None:
    batch = sampler(prepared).batch(0)
    assert batch.waveform.shape == (6, 1, 12 * HOP)
    assert batch.log_mel.shape == (6, 80, 16)
    assert batch.waveform.dtype == batch.log_mel.dtype == torch.float32


def test_seed_and_step_determine_the_batch(prepared: Manifest) -> None:
    other = sampler(prepared)
    other.batch(0)  # an earlier batch must not matter
    assert equal(sampler(prepared).batch(5), other.batch(5))


@pytest.mark.parametrize(("seed", "step"), [(7, 6), (8, 5), (5, 7)])
def test_another_seed_or_step_gives_another_batch(prepared: Manifest, seed: int, step: int) -> None:
    assert not equal(sampler(prepared).batch(5), sampler(prepared, seed=seed).batch(step))


def test_global_random_state_does_not_matter(prepared: Manifest) -> None:
    torch.manual_seed(0)
    np.random.seed(0)
    first = sampler(prepared).batch(1)
    torch.manual_seed(1)
    np.random.seed(1)
    assert equal(first, sampler(prepared).batch(1))


def test_waveform_and_mel_are_aligned(prepared: Manifest) -> None:
    batch = sampler(prepared, margin_frames=0, with_dither=False).batch(3)
    expected = log_mel(batch.waveform, prepared.mel)
    # Frames whose window lies wholly within the segment.
    torch.testing.assert_close(batch.log_mel[..., 2:-2], expected[..., 2:-2], rtol=0, atol=1e-4)
    assert not torch.allclose(batch.log_mel[..., 3:-1], expected[..., 2:-2], atol=0.1)


def test_margins_are_the_true_neighbours(prepared: Manifest) -> None:
    whole = UtteranceSet(prepared, "train").load(0)[1]
    _, piece = UtteranceSet(prepared, "train").cut(0, start=5, num_frames=4, margin_frames=3)
    assert torch.equal(piece, whole[:, 2:12])


def test_margins_repeat_the_outermost_frames_at_the_ends(prepared: Manifest) -> None:
    utterances = UtteranceSet(prepared, "train")
    total = utterances.utterances[0].num_frames
    whole = utterances.load(0)[1]
    _, piece = utterances.cut(0, start=0, num_frames=total, margin_frames=3)
    assert torch.equal(piece[:, 3:-3], whole)
    assert torch.equal(piece[:, :3], whole[:, :1].expand(-1, 3))
    assert torch.equal(piece[:, -3:], whole[:, -1:].expand(-1, 3))


def test_margins_do_not_change_the_choice(prepared: Manifest) -> None:
    narrow, wide = (sampler(prepared, margin_frames=m).batch(2) for m in (0, 4))
    assert torch.equal(narrow.waveform, wide.waveform)
    assert torch.equal(narrow.log_mel, wide.log_mel[..., 4:-4])


def test_short_utterance_is_followed_by_silence(prepared: Manifest) -> None:
    utterances = UtteranceSet(prepared, "train")
    total = utterances.utterances[0].num_frames
    batch = sampler(prepared, segment_frames=total + 5, with_dither=False).batch(0)
    assert (batch.waveform[..., total * HOP :] == 0).all()
    assert (batch.log_mel[..., 2 + total :] == np.float32(prepared.mel.lowest)).all()
    # The speech before the silence is there.
    assert (batch.waveform[..., : total * HOP].abs().amax(-1) > 0.1).all()


def test_utterances_come_in_proportion_to_their_length(
    prepared: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths = (1, 2, 3)
    shortened = tuple(
        replace(utterance, num_frames=length)
        for utterance, length in zip(prepared.utterances("train"), lengths, strict=False)
    )
    drawn: Counter[int] = Counter()

    def take_note(_self: UtteranceSet, index: int, *_rest: int) -> tuple[torch.Tensor, ...]:
        drawn[index] += 1
        return torch.zeros(1), torch.zeros(1)

    monkeypatch.setattr(UtteranceSet, "cut", take_note)
    contents = replace(prepared.contents, utterances=shortened)
    sampler(Manifest(prepared.dump_dir, contents), batch_size=6000).batch(0)
    assert [drawn[i] / 1000 for i in range(3)] == pytest.approx(lengths, abs=0.15)


def test_every_start_is_possible(prepared: Manifest) -> None:
    total = UtteranceSet(prepared, "val").utterances[0].num_frames
    source = sampler(prepared, split="val", segment_frames=total - 1, margin_frames=0)
    whole = UtteranceSet(prepared, "val").load(0)[1]
    starts = {torch.equal(frames, whole[:, :-1]) for frames in source.batch(0).log_mel}
    assert starts == {True, False}


def test_dither_is_added_within_half_a_step(prepared: Manifest) -> None:
    dithered, plain = (sampler(prepared, with_dither=flag).batch(0) for flag in (True, False))
    steps = (dithered.waveform - plain.waveform).abs() * 32768
    assert 0.49 < steps.max() < 0.51


@pytest.mark.parametrize("num_prefetch", [0, 1, 2, 9])
def test_iteration_gives_the_batches_in_order(prepared: Manifest, num_prefetch: int) -> None:
    source = sampler(prepared)
    batches = list(source.iterate(3, 8, num_prefetch))
    assert len(batches) == 5
    assert all(equal(b, source.batch(step)) for step, b in enumerate(batches, start=3))


def test_iteration_raises_the_error_of_its_own_step(
    prepared: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = sampler(prepared)
    batch = source.batch

    def fail_at_two(step: int) -> Batch:
        if step == 2:
            raise DataError("broken")
        return batch(step)

    monkeypatch.setattr(source, "batch", fail_at_two)
    batches = source.iterate(0, 5)
    assert equal(next(batches), batch(0))
    assert equal(next(batches), batch(1))
    with pytest.raises(DataError, match="broken"):
        next(batches)


def test_abandoned_iteration_reads_no_further(
    prepared: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = sampler(prepared)
    batch, steps = source.batch, []

    def take_note(step: int) -> Batch:
        steps.append(step)
        return batch(step)

    monkeypatch.setattr(source, "batch", take_note)
    batches = source.iterate(0, 1000)
    next(batches)
    batches.close()  # type: ignore[attr-defined]
    assert max(steps) <= 2


def test_batch_moves_as_a_whole(prepared: Manifest) -> None:
    moved = sampler(prepared).batch(0).to("meta")
    assert moved.waveform.device.type == moved.log_mel.device.type == "meta"


@pytest.mark.parametrize("damage", [Path.unlink, lambda p: p.write_bytes(b"x"), Path("x.npy")])
def test_damaged_features_are_reported(tmp_path: Path, damage) -> None:  # type: ignore[no-untyped-def]
    synthesise(tmp_path / "corpus", num_utterances=3, seconds=0.4)
    manifest = prepare(tmp_path / "corpus", tmp_path / "dump", PrepareConfig(), progress=False)
    path = manifest.mel_path(manifest.utterances("train")[0].name)
    if isinstance(damage, Path):
        np.save(path, np.zeros((80, 3), dtype=np.float32))
    else:
        damage(path)
    with pytest.raises(DataError, match=r"run prepare again"):
        UtteranceSet(manifest.dump_dir, "train").load(0)


@pytest.mark.parametrize("kind", ["waveforms", "mels"])
def test_a_flipped_bit_in_the_features_is_reported(
    prepared: Manifest, tmp_path: Path, kind: str
) -> None:
    copy = tmp_path / "dump"
    shutil.copytree(prepared.dump_dir, copy)
    name = prepared.utterances("train")[0].name
    UtteranceSet(copy, "train").load(0)
    path = copy / kind / f"{name}.npy"
    content = bytearray(path.read_bytes())
    content[-3] ^= 4
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"{kind}/{name}\.npy: damaged: .*; remove it and run"):
        UtteranceSet(copy, "train").load(0)


def test_features_of_an_earlier_version_without_digests_are_read(prepared: Manifest) -> None:
    bare = tuple(replace(u, waveform_sha256="", mel_sha256="") for u in prepared.utterances())
    contents = replace(prepared.contents, utterances=bare)
    found = UtteranceSet(Manifest(prepared.dump_dir, contents), "train").load(0)
    assert torch.equal(found[0], UtteranceSet(prepared, "train").load(0)[0])


def test_empty_split_is_refused(prepared: Manifest) -> None:
    contents = replace(prepared.contents, utterances=tuple(prepared.utterances("train")))
    with pytest.raises(DataError, match="no utterances"):
        UtteranceSet(Manifest(prepared.dump_dir, contents), "val")


@pytest.mark.parametrize("field", ["batch_size", "segment_frames", "margin_frames", "seed"])
def test_impossible_count_is_refused(prepared: Manifest, field: str) -> None:
    with pytest.raises(ValueError, match=f"{field} is -1, expected >= "):
        sampler(prepared, **{field: -1})
