"""Measures of other packages, with stand-ins for these; tests/extras.sh has the real ones."""

import importlib.util
import sys
import warnings
from types import SimpleNamespace

import numpy as np
import pytest

from pipelines.evaluation.packages import PACKAGES, dnsmos, estoi, missing_packages


def test_packages_that_cannot_be_found_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    first, *others = PACKAGES
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == first else name)
    assert missing_packages() == [first]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert missing_packages() == [first, *others]


def test_samples_beyond_full_scale_are_clipped_as_dnsmos_wants_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heard = []

    def run(waveform: np.ndarray, rate: int, return_df: bool) -> dict[str, float]:
        heard.append((waveform.min(), waveform.max(), rate, return_df))
        return {"ovrl_mos": 3.0}

    monkeypatch.setitem(sys.modules, "speechmos", SimpleNamespace(dnsmos=SimpleNamespace(run=run)))
    sample = np.linspace(-1.5, 1.5, 2 * 16000)
    assert dnsmos(sample, 16000) == 3.0
    assert heard == [(-1.0, 1.0, 16000, False)]
    assert dnsmos(sample[:100], 16000) is None


@pytest.mark.parametrize("mistake", [ValueError, IndexError, RuntimeWarning])
def test_a_clip_that_is_too_short_for_estoi_has_none(
    monkeypatch: pytest.MonkeyPatch, mistake: type[Exception]
) -> None:
    def stoi(recording: np.ndarray, sample: np.ndarray, rate: int, extended: bool) -> float:
        if issubclass(mistake, Warning):
            warnings.warn("not enough frames", mistake, stacklevel=1)
            return 1e-5
        raise mistake("no frames")

    monkeypatch.setitem(sys.modules, "pystoi", SimpleNamespace(stoi=stoi))
    assert estoi(np.ones(304), np.ones(304), 16000) is None
