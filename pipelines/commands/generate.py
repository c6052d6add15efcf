"""The command `generate`: waveforms from recordings or log-mels."""

from pathlib import Path
from typing import Literal

from data import MelConventionChoice, MelFormat, MelLayout
from flows import Engine
from pipelines.generation import waveforms
from pipelines.generation.input_errors import InputsFailedError
from pipelines.generation.targets import FileFormat
from pipelines.generation.vocoder import STANDARD_OUTPUT, Generated
from pipelines.precision import PrecisionName


def generate(
    model: Path,
    input: list[Path],
    out: Path,
    format: FileFormat | None = None,
    seed: int = 0,
    temperature: float = 1.0,
    max_seconds: float | None = None,
    device: str = "auto",
    engine: Engine = "auto",
    precision: PrecisionName = "32-true",
    stream: bool = False,
    speaker: str | None = None,
    pitch_shift: float = 0.0,
    skip_existing: bool = False,
    equalise: bool = True,
    mel_convention: MelConventionChoice | None = None,
    mel_layout: MelLayout = "bands_first",
    mel_key: str | None = None,
    mel_fmin_hz: float | None = None,
    mel_fmax_hz: float | None = None,
    processes: int | Literal["auto"] = 1,
) -> None:
    """Generate waveforms from recordings (by way of their mel) or from saved log-mels.

    Args:
        model: folder of a student or a teacher, the name of one that comes with the program, or
            owner/name on a hub.
        input: audio files, log-mels .npy, .npz or .pt (num_mels, L), folders of either, patterns
            ("a/*.wav"), or - for standard input.
        out: folder that gets one file per input; for one input, a file (.wav, .flac or .raw), or -
            to stream to standard output.
        format: format of the files, 16-bit; default: the format of OUT if it is a file, else wav.
        seed: seed of the noise; equal seeds give equal files.
        temperature: factor of the noise.
        max_seconds: largest length of an input; longer inputs are cut.
        device: "auto", "cpu" or "cuda".
        engine: sampling engine: "compiled" on a CPU, "fused" (student), "graph" or "persistent"
            (teacher) on a GPU, "torch", or "auto": the first of these that applies, but never
            "persistent".
        precision: "32-true"; "bf16-mixed" (networks in bfloat16, which is faster if the processor
            multiplies in bfloat16); "auto" ("bf16-mixed" on such a processor); or "16-mixed".
        stream: write raw 16-bit little-endian PCM, OUT/NAME.raw, while the samples are drawn.
        speaker: the speaker, for a model that knows speakers; default: the first folder of an
            input's path below the searched folder.
        pitch_shift: semitones added to the pitch, for a model that is given or predicts a pitch.
        skip_existing: leave out inputs whose file exists in OUT, to continue a stopped run.
        equalise: filter each waveform so that its log-mel comes closer to the input's.
        mel_convention: convention of the log-mels: "hifigan", "tacotron2" (NVIDIA's), "log10",
            "db" (librosa, of magnitudes), "db_power" (librosa, of powers), "espnet", or "model"
            for the model's own; default: the model's own, and an error if the values cannot be.
        mel_layout: "bands_first" for arrays (num_mels, L), "frames_first" for (L, num_mels), both
            with or without a batch axis of 1 in front.
        mel_key: name of the log-mel in a .npz or .pt file that holds several arrays.
        mel_fmin_hz: lower edge of the log-mels' lowest band; default: the model's.
        mel_fmax_hz: upper edge of the log-mels' highest band; default: the model's.
        processes: number of inputs that are drawn at the same time, on one thread each, after the
            first one; "auto" for as many as there are processors, if there are enough inputs.
    """
    written: list[Generated] = []
    try:
        written = waveforms.generate(
            model,
            input,
            out,
            format=format,
            seed=seed,
            temperature=temperature,
            max_seconds=max_seconds,
            device=device,
            engine=engine,
            precision=precision,
            stream=stream,
            speaker=speaker,
            pitch_shift=pitch_shift,
            skip_existing=skip_existing,
            equalise=equalise,
            mels=MelFormat(
                convention=mel_convention,
                layout=mel_layout,
                key=mel_key,
                fmin_hz=mel_fmin_hz,
                fmax_hz=mel_fmax_hz,
            ),
            processes=processes,
        )
    except InputsFailedError as error:
        written = error.written
        raise
    finally:
        for item in written if out != STANDARD_OUTPUT else ():
            print(f"{item.path}  {item.seconds:.2f} s")
