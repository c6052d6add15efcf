"""A listening page, and a headless browser to open it in."""

import math
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from data import write_waveform
from pipelines.report import collect, write_page
from tests.pipelines.report.test_page import evaluate_into, make_run

SYSTEMS = ("recording", "griffin-lim", "teacher", "student")
SECONDS = {"recording": 3.0, "griffin-lim": 3.0, "teacher": 1.0, "student": 3.0}
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync")


@pytest.fixture(scope="session")
def page_folder(dump: Path, trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a page of two utterances; each system is a tone of another pitch."""
    exp = make_run(tmp_path_factory.mktemp("run") / "mine", trained, [], [])
    for k, system in enumerate(SYSTEMS):
        time = np.arange(int(SECONDS[system] * 16000)) / 16000
        tone = (0.4 / (k + 1)) * np.sin(2 * math.pi * 220 * (k + 1) * time)
        for name in ("first", "second & <b>last</b>"):
            write_waveform(exp / "samples" / system / f"{name}.wav", tone, 16000)
    evaluate_into(exp, trained, dump, "--limit", "2")
    shutil.rmtree(exp / "evaluation" / "audio")  # the tones are what is listened to
    return write_page(collect(exp), tmp_path_factory.mktemp("page")).parent


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The browser that tests/browser.sh found or installed."""
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=os.environ["BROWSER"], args=[*FLAGS])
        yield found
        found.close()


@pytest.fixture(params=[(1280, 800), (390, 844)], ids=["desktop", "phone"])
def page(request: pytest.FixtureRequest, browser: Browser, page_folder: Path) -> Iterator[Page]:
    """The page, opened from the disk; an error on its console or a failed request fails a test."""
    width, height = request.param
    context = browser.new_context(
        viewport={"width": width, "height": height}, has_touch=width < 500, offline=True
    )
    opened = context.new_page()
    problems: list[str] = []
    opened.on("console", lambda message: problems.append(message.text))
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on("requestfailed", lambda failed: problems.append(failed.url))
    opened.goto((page_folder / "index.html").as_uri())
    yield opened
    found = list(problems)  # before closing, which aborts requests
    context.close()
    assert found == []
