"""Measures of other packages, with stand-ins for these; tests/extras.sh has the real ones."""

import importlib.util
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from pipelines.evaluation.packages import PACKAGES, dnsmos, missing_packages


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
