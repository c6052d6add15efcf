"""The catalogue of corpora: each one's speaker, licence, credit and source."""

from __future__ import annotations

from dataclasses import dataclass

from data.corpora.debian import DebianPackage

_ASTERISK_VERSION = "1.6.1-1"
_CREDIT = "Asterisk core sounds; financial contributions by Digium, Inc."
# Prompts that are pauses, tones, or a recording of monkeys.
_NOT_SPEECH = (
    "silence/*",
    "beep",
    "beeperr",
    "ascending-2tone",
    "descending-2tone",
    "tt-monkeys",
)


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """One speaker's recordings.

    Args:
        name: the name that users give.
        description: one line.
        speaker: the speaker's name.
        language: language tag such as "en-US"; "zxx" for no language.
        licence: identifier or short name.
        attribution: whom to credit.
        sample_rate: rate of the recordings, Hz.
        minutes: approximate duration of the speech.
        package: the Debian package that holds the corpus, if any.
        excluded: patterns of recordings that are not speech; they match a recording's path
            relative to the audio folder, without suffix.
    """

    name: str
    description: str
    speaker: str
    language: str
    licence: str
    attribution: str
    sample_rate: int
    minutes: float
    package: DebianPackage | None = None
    excluded: tuple[str, ...] = ()


def _prompts(
    name: str,
    speaker: str,
    voice: str,
    licence: str,
    minutes: float,
    sha256: str,
    size_bytes: int,
) -> Corpus:
    """Describe telephone prompts of Asterisk, G.722 at 16 kHz; `voice` is as `en_US_f_Allison`."""
    language, territory = voice.split("_")[:2]
    return Corpus(
        name=name,
        description="prompts of the Asterisk telephone exchange, one speaker, G.722",
        speaker=speaker,
        language=f"{language}-{territory}",
        licence=licence,
        attribution=f"{speaker}. {_CREDIT}",
        sample_rate=16000,
        minutes=minutes,
        package=DebianPackage(
            name=f"asterisk-core-sounds-{language}-g722",
            version=_ASTERISK_VERSION,
            sha256=sha256,
            size_bytes=size_bytes,
            content_folder=f"usr/share/asterisk/sounds/{voice}",
        ),
        excluded=_NOT_SPEECH,
    )


_ALL = (
    _prompts(
        "allison",
        "Allison Smith",
        "en_US_f_Allison",
        "CC-BY-SA-3.0",
        24.3,
        "38c5261820b406dcb0ecb37675720da2b0864850690690352ca52707eb623806",
        10565860,
    ),
    _prompts(
        "fr",
        "June Wallack",
        "fr_CA_f_June",
        "CC-BY-SA-3.0",
        24.8,
        "7add61d5e42279ecff1bbdf842a5a946ac3644fac9a0fe44384731aa7270c8e0",
        10822860,
    ),
    _prompts(
        "es",
        "Allison Smith",
        "es_MX_f_Allison",
        "CC-BY-SA-3.0",
        29.8,
        "e4e3b4281057d3b81b779298fd6be705f57411513955c518eed1bcaabbd615b8",
        13048380,
    ),
    _prompts(
        "it",
        "Carlo Flora",
        "it_IT_m_Carlo",
        "CC-BY-3.0",
        22.6,
        "46b4cf7afc508a5fcfc051b7ea233251c0d195dd4ef83cc4b7facb4c6429b016",
        10087176,
    ),
    _prompts(
        "ru",
        "IVRvoice.ru",
        "ru_RU_f_IvrvoiceRU",
        "CC-BY-3.0",
        24.8,
        "673b4238a6b8269960f055d868c6a11083f7a0d00979167cb01554046b48ed9b",
        10579440,
    ),
    Corpus(
        name="nsh",
        description="the unit-selection voice msu_ru_nsh_clunits of Festival, one male speaker",
        speaker="nsh",
        language="ru-RU",
        licence="BSD-like (permission notice in the package's copyright file)",
        attribution="Nickolay V. Shmyrev, 2005",
        sample_rate=16000,
        minutes=99.5,
        package=DebianPackage(
            name="festvox-ru",
            version="0.5+dfsg-6",
            sha256="21ef3f0f2978ecf2e2eddb367cb0ff4a72572196d28dc69feb84f4177af5e6c4",
            size_bytes=178728512,
            content_folder="usr/share/festival/voices/russian/msu_ru_nsh_clunits/wav",
        ),
    ),
    Corpus(
        name="ljspeech",
        description="LJSpeech 1.1: 13,100 clips of non-fiction read aloud, one female speaker",
        speaker="Linda Johnson",
        language="en-US",
        licence="public domain",
        attribution="The LJ Speech Dataset (Keith Ito and Linda Johnson, 2017)",
        sample_rate=22050,
        minutes=1435.0,
    ),
    Corpus(
        name="synthetic",
        description="12 speech-like sounds of 1.5 s made from a seed, for trials and tests",
        speaker="none",
        language="zxx",
        licence="public domain",
        attribution="none",
        sample_rate=16000,
        minutes=0.3,
    ),
)

CORPORA: dict[str, Corpus] = {corpus.name: corpus for corpus in _ALL}
"""Every known corpus by its name."""
