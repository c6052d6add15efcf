"""The page that speaks, in headless Chromium, at 1280 and 390 pixels."""

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from playwright.sync_api import Locator, Page, expect

from data import MelConfig, PitchConfig, log_mel, read_waveform
from dsp.pitch import with_pitch
from student import Student

STUDENT = Path(__file__).parents[3] / "pretrained" / "frame-16k"
HOP = 256
WAIT_MS = 60_000  # a machine may be busy


def status(page: Page) -> Locator:
    return page.get_by_role("status")


def wait_until_drawn(page: Page) -> None:
    expect(status(page)).to_contain_text("Drawn:", timeout=WAIT_MS)
    expect(page.get_by_role("alert")).to_be_empty()


def slide(page: Page, name: str, value: float) -> None:
    page.get_by_role("slider", name=name, exact=True).fill(f"{value:g}")


def draw_example(page: Page, tmp_path: Path) -> np.ndarray:
    """Draw the example, save the result, and return its samples."""
    link = page.locator("#save")
    earlier = link.get_attribute("href") or ""
    page.get_by_role("button", name="Try an example").click()
    # On a busy machine the earlier result may still stand there as drawn.
    expect(link).not_to_have_attribute("href", earlier, timeout=WAIT_MS)
    wait_until_drawn(page)
    with page.expect_download() as download:
        page.get_by_role("link", name="Save as WAV").click()
    download.value.save_as(tmp_path / "drawn.wav")
    samples, sample_rate = soundfile.read(tmp_path / "drawn.wav", dtype="float32")
    assert sample_rate == 16000
    return samples


def check_alike(found: np.ndarray, expected: np.ndarray) -> None:
    """Check that two waveforms differ by rounding, which moves the pulses of a voice a little."""
    np.testing.assert_allclose(found, expected, atol=5e-3, rtol=0)
    assert (found - expected).std() < 0.005 * expected.std()


def drawn_here(page: Page, waveform: torch.Tensor, student: Student) -> np.ndarray:
    """Draw with the student itself, from the page's noise."""
    mel = MelConfig(**student.metadata["mel"])
    frames = log_mel(waveform[None, None].double(), mel).float()
    numbers = page.evaluate(
        "async count => Array.from((await import('/noise.js')).noiseOf(1, 'gaussian')(count))",
        frames.shape[-1] * HOP,
    )
    noise = torch.tensor(numbers)[None, None]
    assert abs(noise.mean()) < 0.02
    assert abs(noise.std() - 1) < 0.02
    with torch.no_grad():
        return student(noise, frames).waveform[0, 0].numpy()


def pitch_of(waveform: torch.Tensor) -> torch.Tensor:
    """Measure log2 of the pitch in Hz, and the voicing."""
    mel, signal = MelConfig(), waveform[None, None].double()
    return with_pitch(log_mel(signal, mel), signal, mel, PitchConfig(kind="yin"))[0, -2:]


MELS = {
    "16k": MelConfig(),
    "hifigan": MelConfig(sample_rate=22050),
    "short window, log10": MelConfig(win_length=800, log_base="10", fmin_hz=80.0, fmax_hz=7600.0),
    "power, peaks": MelConfig(power=2.0, filterbank_norm="none", n_fft=512, win_length=400),
}


@pytest.mark.parametrize("mel", MELS.values(), ids=MELS)
def test_the_log_mel_is_pythons(
    browser: object, demo_url: str, mel: MelConfig, voice_file: Path
) -> None:
    speech = torch.from_numpy(read_waveform(voice_file, mel.sample_rate)).float()
    silence = torch.zeros(3000)
    page = browser.new_page()  # type: ignore[attr-defined]
    page.goto(demo_url)
    for waveform in (speech, silence, speech[:300], speech[5000:5700]):
        found = page.evaluate(
            """async ([mel, samples]) => {
              const { LogMel } = await import("/mel.js");
              return Array.from(new LogMel(mel).frames(Float32Array.from(samples)));
            }""",
            [mel.__dict__, waveform.tolist()],
        )
        expected = log_mel(waveform[None, None], mel)[0].numpy()
        np.testing.assert_allclose(
            np.reshape(found, expected.shape), expected, atol=1e-3, rtol=0, err_msg=str(mel)
        )
    page.close()


def test_a_file_is_drawn_as_python_draws_it(
    demo_page: Page, voice_file: Path, tmp_path: Path
) -> None:
    page = demo_page
    expect(page.get_by_role("button", name="Play what is drawn")).to_be_disabled()
    page.set_input_files("#file", voice_file)
    expect(page.get_by_role("button", name="Pause what is drawn")).to_be_visible(timeout=WAIT_MS)
    wait_until_drawn(page)
    assert page.inner_text("#recording .about") == "voice.wav, 2.4 s"
    # The cost is measured without the time in which the page waits for the listener.
    assert float(page.inner_text("#factor")) > 1
    assert int(page.inner_text("#speed").replace(",", "")) > 16000
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    found = draw_example(page, tmp_path)
    student = Student.from_pretrained(STUDENT)
    waveform = torch.from_numpy(read_waveform(voice_file, 16000))
    expected = drawn_here(page, waveform, student)
    check_alike(found, expected)


def test_sliders_change_the_voice_as_python_does(
    demo_page: Page, voice_file: Path, tmp_path: Path
) -> None:
    slide(demo_page, "Pitch", 5)
    slide(demo_page, "Breath", 0.25)
    found = draw_example(demo_page, tmp_path)
    student = Student.from_pretrained(STUDENT)
    student.set_pitch_shift(5.0)
    student.set_breath(0.25)
    waveform = torch.from_numpy(read_waveform(voice_file, 16000))
    check_alike(found, drawn_here(demo_page, waveform, student))
    # What is heard is higher by the semitones that the slider says.
    before, after = pitch_of(waveform[: len(found)]), pitch_of(torch.from_numpy(found))
    both = (before[1] > 0) & (after[1] > 0)
    assert both.float().mean() > 0.3
    assert float((after[0] - before[0])[both].median()) == pytest.approx(5 / 12, abs=0.03)
    demo_page.get_by_role("button", name="Reset").click()
    assert demo_page.input_value("#pitch") == "0"
    assert demo_page.input_value("#breath") == "0.5"


def test_without_noise_every_number_draws_the_same(demo_page: Page, tmp_path: Path) -> None:
    slide(demo_page, "Temperature", 0)
    first = draw_example(demo_page, tmp_path)
    demo_page.get_by_label("Noise number").fill("2")
    np.testing.assert_array_equal(draw_example(demo_page, tmp_path), first)
    slide(demo_page, "Temperature", 1)
    assert np.abs(draw_example(demo_page, tmp_path) - first).max() > 0.01


def test_a_slider_acts_while_it_draws(demo_page: Page, tmp_path: Path) -> None:
    page = demo_page
    slide(page, "Temperature", 0)
    before = draw_example(page, tmp_path)
    page.get_by_role("button", name="Try an example").click()
    # Until the new drawing begins, the page shows the earlier one's time, and plays it.
    expect(page.locator("#save")).to_be_hidden(timeout=WAIT_MS)
    expect(page.get_by_role("button", name="Pause what is drawn")).to_be_visible(timeout=WAIT_MS)
    # The shown time is looked at now and then, so that an exact one may be missed.
    expect(page.locator("#time")).to_contain_text(
        re.compile(r"(0\.[5-9]|1\.\d) /"), timeout=WAIT_MS
    )
    slide(page, "Pitch", 7)
    wait_until_drawn(page)
    with page.expect_download() as download:
        page.get_by_role("link", name="Save as WAV").click()
    after, _ = soundfile.read(download.value.path(), dtype="float32")
    # Two drawings of one pitch may differ by rounding, which moves a pulse now and then. Another
    # pitch is another waveform.
    tenths = len(before) // 1600
    change, power = (
        np.square(x[: tenths * 1600]).reshape(tenths, 1600).mean(1)
        for x in (after - before, before)
    )
    changed = np.flatnonzero(change > 0.5 * power + 1e-5)
    assert 5 <= changed[0] < 20


def test_the_microphone_is_heard(demo_page: Page) -> None:
    page = demo_page
    page.get_by_role("button", name="Record", exact=True).click()
    expect(page.locator("#elapsed")).to_have_text("2 s", timeout=WAIT_MS)
    assert page.get_by_role("meter", name="Level of the microphone").is_visible()
    page.get_by_role("button", name="Stop").click()
    wait_until_drawn(page)
    assert page.inner_text("#recording .about").startswith("your voice, ")
    assert page.get_by_role("meter").is_hidden()
    # Both pictures show speech: more than one colour, from top to bottom.
    for name in ("the recording", "what is drawn"):
        picture = page.get_by_role("img", name=f"Log-mel spectrogram, {name}")
        colours = picture.evaluate(
            """canvas => {
              const { width, height } = canvas;
              const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
              return new Set(new Uint32Array(data.buffer)).size;
            }"""
        )
        assert colours > 500


def test_a_microphone_without_a_sound_output_is_said(demo_page: Page) -> None:
    page = demo_page
    # Firefox does so where there is no sound output.
    page.evaluate("() => { AudioContext.prototype.resume = () => new Promise(() => {}); }")
    page.get_by_role("button", name="Record", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("audio does not start", timeout=WAIT_MS)
    expect(page.get_by_role("button", name="Record", exact=True)).to_be_visible()
    expect(status(page)).to_be_empty()


def test_the_keyboard_does_it_all(demo_page: Page) -> None:
    page = demo_page
    page.get_by_role("button", name="Record", exact=True).focus()
    names = []
    for _ in range(16):
        names.append(
            page.evaluate(
                "(({ labels, ariaLabel, innerText }) => labels?.[0]?.innerText || ariaLabel"
                " || innerText)(document.activeElement)"
            ).strip()
        )
        page.keyboard.press("Tab")
    assert [name for name in names if name] == names
    order = ["Record", "Choose a file", "Try an example", "Temperature", "Pitch", "Breath", "Reset"]
    once = list(dict.fromkeys(names))  # after the last, the page begins again
    assert [name for name in once if name in order] == order
    page.focus("#pitch")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.get_attribute("#pitch", "aria-valuetext") == "+2 semitones"
    page.focus("#example")
    page.keyboard.press("Enter")
    wait_until_drawn(page)
    page.focus("#recording .play")
    page.keyboard.press(" ")
    expect(page.get_by_role("button", name="Pause the recording")).to_be_visible()
    page.focus("#drawn .play")  # the other takes over at the same position
    page.keyboard.press(" ")
    expect(page.get_by_role("button", name="Play the recording")).to_be_visible()
    page.keyboard.press(" ")
    expect(page.get_by_role("button", name="Play what is drawn")).to_be_visible()
    page.focus("#where")
    page.keyboard.press("End")
    expect(page.locator("#time")).to_have_text(re.compile(r"^2\.[34] / 2\.4 s$"))


def test_a_picture_is_played_from_where_it_is_touched(demo_page: Page) -> None:
    demo_page.get_by_role("button", name="Try an example").click()
    wait_until_drawn(demo_page)
    lane = demo_page.locator("#recording .lane")
    box = lane.bounding_box()
    assert box is not None
    lane.click(position={"x": box["width"] / 2, "y": 10})
    expect(demo_page.locator("#time")).to_have_text(re.compile(r"^1\.[2-9]"))


def test_what_is_no_recording_is_said(demo_page: Page, tmp_path: Path) -> None:
    (tmp_path / "notes.wav").write_text("not a sound")
    demo_page.set_input_files("#file", tmp_path / "notes.wav")
    alert = demo_page.get_by_role("alert")
    expect(alert).to_have_text("Sorry: notes.wav is no recording that this browser can decode.")
    soundfile.write(tmp_path / "short.wav", np.zeros(700), 16000)
    demo_page.set_input_files("#file", tmp_path / "short.wav")
    expect(alert).to_have_text("Sorry: short.wav is too short: 700 samples at 16000 Hz.")
    demo_page.get_by_role("button", name="Try an example").click()
    wait_until_drawn(demo_page)
