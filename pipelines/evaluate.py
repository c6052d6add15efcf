"""A teacher's likelihood and a student's following, on held-out utterances."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data import Manifest, Split
from pipelines.measures import (
    Utterance,
    baseline_nll,
    bits_per_sample,
    student_following,
    teacher_nll,
)
from pipelines.workspace import held_out, load_model, mel_of, pick_device
from teacher import Teacher


def evaluate(
    model: Path,
    dump: Path,
    *,
    split: Split = "test",
    limit: int | None = None,
    seed: int = 0,
    device: str = "auto",
) -> dict[str, Any]:
    """Measure a model on held-out utterances.

    Args:
        model: folder of a teacher or a student.
        dump: prepared data, in the model's mel convention.
        split: "val" or "test".
        limit: at most so many utterances, the first by name; default: all.
        seed: of the student's noise.
        device: "auto", "cpu" or "cuda".
    Returns:
        JSON values. For a teacher: nats and bits per sample beside the baselines. For a student:
        log-mel distances and level.
    """
    place = pick_device(device)
    network = load_model(model, place)
    manifest = Manifest.load(dump)
    mel = mel_of(network, model)
    mel.check_same(manifest.mel, str(dump))
    utterances = held_out(manifest, split, limit, place)
    result: dict[str, Any] = {
        "kind": network.kind,
        "split": split,
        "num_utterances": len(utterances),
        "minutes": sum(u.waveform.numel() for u in utterances) / mel.sample_rate / 60,
    }
    if isinstance(network, Teacher):
        nats = {"teacher": teacher_nll(network, utterances)}
        nats |= _baselines(utterances, (mel.win_length, mel.hop_length), network)
        result["nll_nats"] = nats
        result["nll_bits"] = {name: bits_per_sample(value) for name, value in nats.items()}
    else:
        result |= student_following(network, utterances, mel, seed)
    return result


def _baselines(
    utterances: Sequence[Utterance], lengths: Sequence[int], teacher: Teacher
) -> dict[str, float]:
    floor = teacher.config.log_scale_floor
    return {
        f"{name}_{length}": value
        for length in lengths
        for name, value in baseline_nll(utterances, length, floor).items()
    }


def evaluation_table(result: dict[str, Any]) -> str:
    """Format an evaluation's result as a Markdown table."""
    heading = (
        f"{result['split']} split, {result['num_utterances']} utterances, "
        f"{result['minutes']:.1f} minutes"
    )
    if result["kind"] == "teacher":
        lines = ["| model | nats per sample | bits per sample |", "|---|---:|---:|"]
        for name, nats in result["nll_nats"].items():
            lines.append(f"| {_describe(name)} | {nats:.3f} | {result['nll_bits'][name]:.2f} |")
    else:
        lines = [
            "| measure | value |",
            "|---|---:|",
            f"| log-mel distance to the recording | {result['log_mel_distance']:.3f} |",
            f"| the same with shuffled frames | {result['shuffled_log_mel_distance']:.3f} |",
            f"| ratio (follows its mel when at most 0.5) | {result['following_ratio']:.3f} |",
            f"| level, sample over recording | {result['std_ratio']:.3f} |",
        ]
    return "\n".join([heading, "", *lines])


def _describe(name: str) -> str:
    kind, _, length = name.rpartition("_")
    described = {
        "frame_energy": "zero-mean Gaussian with each frame's own energy",
        "oracle_lpc": "oracle linear predictor, order 24, fitted on the frame it predicts",
    }
    return f"{described[kind]}, frames of {length}" if kind in described else name
