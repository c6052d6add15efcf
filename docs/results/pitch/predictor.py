"""Train the pitch predictor of a student alone; everything else stays as it is.

    python docs/results/pitch/predictor.py MODEL DUMP OUT

MODEL is a student with a voice, DUMP holds prepared features of its convention. The pitch of each
recording is measured once. Weights of MODEL's own predictor are not used.
"""

import math
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

from data import MelConfig, UtteranceSet
from distill.losses.pitch import measured_voice, pitch_loss
from flows.model_folder import WEIGHTS_FILE, model_folder
from flows.networks.weight_norm import fold_weight_norm
from flows.pretrained import read_description
from pipelines.training.ema import Average
from student import Student

STEPS, CLIPS, FRAMES = 4000, 32, 48
PREDICTOR = "context.predictor."


def main(name: str, dump: Path, out: Path) -> None:
    """Measure the pitch, train the predictor, and save the student with it."""
    torch.manual_seed(1)
    model = model_folder(Path(name))
    student = read_without_predictor(model)
    context, config = student.context, student.config.excitation
    mel, margin = MelConfig(**student.metadata["mel"]), student.config.context_margin
    clips = {}
    for split in ("train", "val"):
        found = UtteranceSet(dump, split)
        loaded = (found.load(index) for index in range(len(found)))
        clips[split] = []
        for waveform, frames in loaded:
            voice = measured_voice(waveform[None], mel.hop_length, config)
            clips[split].append((frames, voice.hz[0], voice.voiced[0]))
    long = [clip for clip in clips["train"] if clip[0].shape[-1] >= FRAMES + 2 * margin]
    lengths = torch.tensor([float(clip[0].shape[-1]) for clip in long])
    predictor = context.predictor
    optimizer = torch.optim.Adam(predictor.parameters(), 1e-3, betas=(0.9, 0.98))
    average = Average(predictor, 0.998)
    for step in range(STEPS):
        share = max(0.0, step / STEPS - 0.4) / 0.6
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * min(1.0, step / 100) * 0.5 * (1 + math.cos(math.pi * share))
        batch = []
        for index in torch.multinomial(lengths, CLIPS, replacement=True).tolist():
            frames, hz, voiced = long[index]
            first = int(torch.randint(frames.shape[-1] - FRAMES - 2 * margin + 1, ()))
            inner = slice(first + margin, first + margin + FRAMES)
            around = frames[:, first : first + FRAMES + 2 * margin]
            batch.append((around, hz[inner], voiced[inner]))
        frames, hz, voiced = (torch.stack(part) for part in zip(*batch, strict=True))
        with torch.no_grad():
            hidden = context.hidden(frames, FRAMES)
        loss = pitch_loss(context.pitch(hidden), hz, voiced, config)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        average.update_parameters(predictor)
        if (step + 1) % 1000 == 0:
            print(step + 1, f"loss {float(loss.detach()):.3f}", flush=True)
    predictor.load_state_dict(average.module.state_dict())
    report(student, clips["val"])
    student.save_pretrained(out, student.metadata)


def read_without_predictor(model: Path) -> Student:
    """Load a student, but give it an untrained predictor."""
    description = read_description(model)
    student = Student.from_config(description["config"])
    fold_weight_norm(student)
    weights = load_file(model / WEIGHTS_FILE)
    kept = {key: value for key, value in weights.items() if not key.startswith(PREDICTOR)}
    left = student.load_state_dict(kept, strict=False)
    assert all(key.startswith(PREDICTOR) for key in left.missing_keys)
    assert not left.unexpected_keys
    student.metadata = description["metadata"]
    return student


@torch.no_grad()
def report(student: Student, clips: list) -> None:
    """Print the errors of pitch and voicing on held-out utterances."""
    cents, wrong = [], []
    for frames, hz, voiced in clips:
        pitch = student.context.pitch(student.context.hidden(frames[None], frames.shape[-1]))
        cents.append(1200 * (pitch.hz[0] / hz).log2().abs()[voiced])
        wrong.append((pitch.voicing[0] > 0) != voiced)
    errors = torch.cat(cents)
    quantiles = errors.quantile(torch.tensor([0.5, 0.9])).tolist()
    print("cents, median and 90 %:", *(f"{value:.1f}" for value in quantiles), end="; ")
    print(f"above 100: {(errors > 100).float().mean():.3f}", end="; ")
    print(f"voicing wrong: {torch.cat(wrong).float().mean():.3f}")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
