"""A listening page, a page that speaks, and a headless browser to open them in."""

import math
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from data import write_waveform
from pipelines.cli import main
from pipelines.report import collect, write_page
from tests.pipelines.report.test_page import evaluate_into, make_run
from tests.speech import speech

SYSTEMS = ("recording", "griffin-lim", "teacher", "student")
SECONDS = {"recording": 3.0, "griffin-lim": 3.0, "teacher": 1.0, "student": 3.0}
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync")
MICROPHONE = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
AT_BOTH_SIZES = {"params": [(1280, 800), (390, 844)], "ids": ["desktop", "phone"]}


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
def voice_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording of speech, which the browser's microphone hears, too."""
    path = tmp_path_factory.mktemp("voice") / "voice.wav"
    write_waveform(path, speech(), 16000)
    return path


@pytest.fixture(scope="session")
def browser(voice_file: Path) -> Iterator[Browser]:
    """The browser that tests/browser.sh found or installed."""
    flags = [*FLAGS, *MICROPHONE, f"--use-file-for-fake-audio-capture={voice_file}"]
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=os.environ["BROWSER"], args=flags)
        yield found
        found.close()


@contextmanager
def opened_page(browser: Browser, size: tuple[int, int], url: str, offline: bool) -> Iterator[Page]:
    """Open a page; an error on its console, or a request that fails or leaves, fails a test."""
    width, height = size
    context = browser.new_context(
        viewport={"width": width, "height": height}, has_touch=width < 500, offline=offline
    )
    opened = context.new_page()
    problems: list[str] = []
    own = ("blob:", "data:", url.rpartition("/")[0])
    opened.on("console", lambda message: problems.append(message.text))
    opened.on("pageerror", lambda error: problems.append(str(error)))
    # The browser itself aborts the request of a lazy picture that goes out of sight.
    opened.on(
        "requestfailed",
        lambda failed: failed.failure == "net::ERR_ABORTED" or problems.append(failed.url),
    )
    opened.on("request", lambda sent: sent.url.startswith(own) or problems.append(sent.url))
    opened.goto(url)
    yield opened
    found = list(problems)  # before closing, which aborts requests
    context.close()
    assert found == []


@pytest.fixture(**AT_BOTH_SIZES)
def page(request: pytest.FixtureRequest, browser: Browser, page_folder: Path) -> Iterator[Page]:
    """The listening page, opened from the disk."""
    url = (page_folder / "index.html").as_uri()
    with opened_page(browser, request.param, url, offline=True) as opened:
        yield opened


@pytest.fixture(scope="session")
def demo_url(voice_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The page that speaks, on a plain static server."""
    folder = tmp_path_factory.mktemp("demo") / "site"
    assert main(["demo", "--out", str(folder), "--example", str(voice_file)]) == 0

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


@pytest.fixture(**AT_BOTH_SIZES)
def demo_page(request: pytest.FixtureRequest, browser: Browser, demo_url: str) -> Iterator[Page]:
    """The page that speaks."""
    with opened_page(browser, request.param, demo_url, offline=False) as opened:
        yield opened
