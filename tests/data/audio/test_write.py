"""Audio files on a disk that fills up."""

import resource
from pathlib import Path

import numpy as np
import pytest

from data import write_waveform


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_a_full_disk_is_one_error_and_leaves_no_file(
    tmp_path: Path, suffix: str, capfd: pytest.CaptureFixture[str]
) -> None:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 50_000).astype(np.float32)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            write_waveform(tmp_path / f"a{suffix}", noise, 16000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr().err == ""
