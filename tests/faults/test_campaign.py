"""A small share of the campaign `tests/faults.sh`."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from tests.faults.campaign import GENERATE, PREPARE, STUDENT, TEACHER, Campaign, Tried
from tests.faults.workshop import Workshop

FAULTS: dict[str, Callable[[Campaign], Tried]] = {
    "prepare killed": lambda campaign: campaign.kills(PREPARE, 2),
    "teacher killed": lambda campaign: campaign.kills(TEACHER, 2),
    "student killed": lambda campaign: campaign.kills(STUDENT, 1),
    "generate killed": lambda campaign: campaign.kills(GENERATE, 1),
    "teacher stopped": lambda campaign: campaign.terminations(TEACHER, 1),
    "disk full": lambda campaign: campaign.full_disk(TEACHER),
    "checkpoint damaged": lambda campaign: campaign.damaged_checkpoints(TEACHER, 2),
    "model damaged": lambda campaign: campaign.damaged_model(1),
    "features damaged": lambda campaign: campaign.damaged_features(1),
    "two runs": lambda campaign: campaign.two_runs(TEACHER),
}


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    return Campaign(Workshop(tmp_path_factory.mktemp("faults"), print), random.Random(0))


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_nothing_is_lost(campaign: Campaign, fault: str) -> None:
    assert FAULTS[fault](campaign).count > 0
