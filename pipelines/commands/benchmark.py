"""The command `benchmark`: sampling speed of teacher, student and other vocoders."""

import json
from pathlib import Path

from flows.model_folder import model_files
from pipelines.benchmark import comparison
from pipelines.benchmark.headline import at_their_best, headline_picture
from pipelines.benchmark.scaling import scaling_picture
from storage.atomic import write_file
from storage.overwriting import refuse_overwriting


def benchmark(
    teacher: Path,
    student: Path,
    seconds: float = 1.0,
    lengths: list[float] | None = None,
    batches: list[int] | None = None,
    naive_samples: int = 200,
    rounds: int = 3,
    out: Path | None = None,
    device: str = "auto",
    seed: int = 0,
) -> None:
    """Compare the sampling speed of teacher, student and other vocoders.

    Args:
        teacher: folder of a trained teacher.
        student: folder of a trained student.
        seconds: audio drawn per call, seconds.
        lengths: lengths of audio in seconds, as [1,5,30], at which teacher and student are also
            timed.
        batches: numbers of streams at these lengths, as [1,8]; default: [1].
        naive_samples: number of samples that the naive sampler draws; its time is extrapolated.
        rounds: interleaved measurements per system; medians are compared.
        out: JSON file to write. OUT_headline.png beside it shows each vocoder at its best; with
            `lengths`, there is another picture, OUT.png.
        device: "auto", "cpu" or "cuda".
        seed: seed of conditioning and noise.
    """
    if rounds < 1:
        raise ValueError(f"rounds is {rounds}, expected at least 1")
    outputs: list[Path] = []
    if out is not None:
        if out.suffix.lower() == ".png":
            raise ValueError(f"out is {out}, expected a JSON file: pictures are written beside it")
        headline = out.with_name(f"{out.stem}_headline.png")
        outputs = [out, out.with_suffix(".png"), headline]
    refuse_overwriting([*model_files(teacher), *model_files(student)], outputs)
    result = comparison.benchmark(
        teacher,
        student,
        seconds=seconds,
        lengths=lengths or [],
        batches=batches or [1],
        naive_samples=naive_samples,
        rounds=rounds,
        device=device,
        seed=seed,
    )
    print(comparison.benchmark_table(result))
    if out is None:
        return
    write_file(out, json.dumps(result, indent=2) + "\n")
    said = f"{result['device']}, {result['threads']} threads"
    write_file(headline, headline_picture(at_their_best(result["rows"]), said))
    if lengths:
        write_file(out.with_suffix(".png"), scaling_picture(result["scaling"]))
