"""The listening page in headless Chromium, at 1280 and 390 pixels."""

import time

from playwright.sync_api import Page, expect

WAIT_MS = 10_000


def state(page: Page) -> str:
    return page.get_attribute(".transport", "data-state") or ""


def position(page: Page) -> float:
    return float(page.input_value(".position"))


def heard(page: Page) -> str:
    return page.inner_text(".chips [aria-pressed=true]")


def wait_until_playing(page: Page, at_least: float = 0.0) -> None:
    page.wait_for_function(
        "at => document.querySelector('.transport').dataset.state === 'playing' &&"
        " Number(document.querySelector('.position').value) > at",
        arg=at_least,
        timeout=WAIT_MS,
    )


def test_the_page_fits_its_width_and_shows_its_pictures(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for picture in page.locator(".pictures img").all():
        picture.scroll_into_view_if_needed()
        page.wait_for_function("image => image.naturalWidth > 0", arg=picture.element_handle())
    expect(page.locator("#measures table").first).to_be_visible()
    assert page.inner_text("#name-1") == "second & <b>last</b>"


def test_every_player_plays(page: Page) -> None:
    for u in range(2):
        page.click(f"[data-utterance='{u}'] .play")
        wait_until_playing(page, 0.1)
        assert page.inner_text(".where .name") == page.inner_text(f"#name-{u}")
        for name in ("Griffin-Lim", "teacher", "student", "recording"):
            page.click(f".chips button:text-is('{name}')")
            assert heard(page) == name
            assert state(page) == "playing"
    page.click(".transport .play")
    assert state(page) == "paused"
    where = position(page)
    page.wait_for_timeout(200)
    assert position(page) == where


def test_switching_keeps_the_position(page: Page) -> None:
    page.click(".transport .play")
    wait_until_playing(page, 0.3)
    before, started = position(page), time.monotonic()
    for key in ("2", "4", "1", "4"):
        page.keyboard.press(key)
        page.wait_for_timeout(60)
    elapsed = time.monotonic() - started
    moved = position(page) - before
    assert heard(page) == "student"
    assert state(page) == "playing"
    # The sound's clock continued: neither back to the start nor ahead.
    assert 0.5 * elapsed - 0.1 < moved < elapsed + 0.1


def test_one_system_is_heard_at_a_time(page: Page) -> None:
    # The loudest frequency of the page's output tells the tones apart.
    page.add_init_script(
        """
        const connect = AudioNode.prototype.connect;
        AudioNode.prototype.connect = function (target, ...rest) {
          if (target instanceof AudioDestinationNode) {
            const now = { fftSize: 8192, smoothingTimeConstant: 0 };
            window.ear ??= Object.assign(this.context.createAnalyser(), now);
            connect.call(this, window.ear);
          }
          return connect.call(this, target, ...rest);
        };
        """
    )
    page.reload()
    page.click(".transport .play")
    wait_until_playing(page, 0.2)
    page.check(".loop")
    for key, tone_hz in (("4", 880), ("1", 220), ("2", 440)):
        page.keyboard.press(key)
        page.wait_for_timeout(500)
        loudest_hz = page.evaluate(
            """() => {
              const bins = new Float32Array(ear.frequencyBinCount);
              ear.getFloatFrequencyData(bins);
              return bins.indexOf(Math.max(...bins)) * ear.context.sampleRate / ear.fftSize;
            }"""
        )
        assert abs(loudest_hz - tone_hz) < 15


def test_the_keyboard_does_it_all(page: Page) -> None:
    page.keyboard.press(" ")
    wait_until_playing(page, 0.1)
    page.keyboard.press(" ")
    assert state(page) == "paused"
    where = position(page)
    page.keyboard.press("ArrowRight")
    assert abs(position(page) - (where + 0.5)) < 0.02
    page.keyboard.press("ArrowLeft")
    assert abs(position(page) - where) < 0.02
    page.keyboard.press("j")
    assert page.inner_text(".where .name").startswith("second")
    assert position(page) == 0
    page.keyboard.press("k")
    assert page.inner_text(".where .name") == "first"
    page.keyboard.press("l")
    page.keyboard.press("m")
    assert page.is_checked(".loop")
    assert page.is_checked(".match")


def test_systems_are_radio_buttons_for_screen_readers(page: Page) -> None:
    page.focus("#track-0-0")
    page.keyboard.press("ArrowDown")
    assert heard(page) == "Griffin-Lim"
    page.keyboard.press(" ")
    wait_until_playing(page)
    assert heard(page) == "Griffin-Lim"
    names = page.eval_on_selector_all(
        "button, input",
        "all => all.map(e => e.labels?.[0]?.innerText || e.ariaLabel || e.innerText)",
    )
    assert all(name.strip() for name in names)


def test_a_picture_is_played_from_where_it_is_touched(page: Page) -> None:
    lane = page.locator("[data-utterance='1'] [data-track='3'] .lane")
    lane.scroll_into_view_if_needed()
    box = lane.bounding_box()
    assert box is not None
    lane.click(position={"x": box["width"] / 2, "y": 10})
    wait_until_playing(page, 1.5)
    assert position(page) < 2.5
    assert heard(page) == "student"
    assert page.inner_text(".where .name").startswith("second")


def test_the_end_is_silence_or_the_start_again(page: Page) -> None:
    page.click(".transport .play")
    wait_until_playing(page)
    page.fill(".position", "2.8")
    page.wait_for_function(
        "document.querySelector('.transport').dataset.state === 'paused'", timeout=WAIT_MS
    )
    assert position(page) == 0
    page.check(".loop")
    page.click(".transport .play")
    wait_until_playing(page)
    page.fill(".position", "2.8")
    page.wait_for_function(
        "document.querySelector('.transport').dataset.state === 'playing' &&"
        " Number(document.querySelector('.position').value) < 1",
        timeout=WAIT_MS,
    )


def test_a_shorter_system_ends_and_the_others_go_on(page: Page) -> None:
    page.keyboard.press("3")
    page.click(".transport .play")
    wait_until_playing(page, 1.2)
    assert heard(page) == "teacher"
    page.keyboard.press("1")
    assert state(page) == "playing"
    page.fill(".position", "1.5")
    wait_until_playing(page, 1.6)


def test_missing_audio_is_reported(page: Page) -> None:
    page.evaluate(
        """() => {
          const append = document.head.append.bind(document.head);
          document.head.append = (script) => { script.onerror(); };
          window.restore = () => { document.head.append = append; };
        }"""
    )
    page.click(".transport .play")
    expect(page.locator(".problem")).to_contain_text("audio/00.js cannot be loaded")
    assert state(page) == "paused"
    page.evaluate("restore()")
    page.click(".transport .play")
    wait_until_playing(page)
    expect(page.locator(".problem")).to_be_empty()
