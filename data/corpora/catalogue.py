"""Corpora by name: what each is, whose voice, under which licence, and how it is had."""

from __future__ import annotations

import difflib
import json
import tempfile
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from pathlib import Path

from data.audio.search import Found, search_audio
from data.corpora.debian import CorpusError, DebianPackage, unpack_package
from data.corpora.synthetic import synthesise

_ASTERISK_VERSION = "1.6.1-1"
_CREDIT = "Asterisk core sounds; financial contributions by Digium, Inc."
# Pauses, tones, and a recording of monkeys.
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
        name: what a user calls it.
        description: one line.
        speaker: who is heard.
        language: tag such as "en-US"; "zxx" for no language.
        licence: identifier or short name.
        attribution: who is to be credited.
        sample_rate: of the recordings, Hz.
        minutes: approximate length of the speech.
        package: the Debian package that holds it, if one does.
        excluded: patterns of names, relative to the audio folder and without suffix, that are not
            speech.
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
    """Telephone prompts of Asterisk, G.722 at 16 kHz; `voice` is as `en_US_f_Allison`."""
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
"""Every corpus known by name."""


def fetch(name_or_dir: str, root: Path = Path("corpora")) -> Path:
    """Make a corpus present and return its folder of audio; at once when it is already there.

    A named corpus appears whole or not at all as `root/NAME/audio`, with the package's licence in
    `root/NAME/copyright` and its origin in `root/NAME/corpus.json`. A known name wins over a folder
    of the same name: write `./NAME` for the folder.

    Args:
        name_or_dir: a key of `CORPORA`, several joined by "+", or a folder of audio files, which is
            returned as it is.
        root: where named corpora are kept.
    Returns:
        The folder that holds the recordings: of several corpora, `root`.
    Raises:
        CorpusError: for an unknown name, or when the corpus cannot be had.
    """
    names = joined_names(name_or_dir)
    if names:
        for name in names:
            fetch(name, root)
        return root
    corpus = CORPORA.get(name_or_dir)
    if corpus is None:
        if Path(name_or_dir).is_dir():
            return Path(name_or_dir)
        raise _unknown(name_or_dir)
    if corpus.name == "ljspeech":
        return _ljspeech(root)
    home = root / corpus.name
    audio = home / "audio"
    if audio.is_dir():
        return audio
    root.mkdir(parents=True, exist_ok=True)
    # Within root, so that the last step is a rename on one file system.
    with tempfile.TemporaryDirectory(dir=root, prefix=f".{corpus.name}-") as scratch:
        complete = _assemble(corpus, Path(scratch))
        try:
            complete.rename(home)
        except OSError as error:
            # Another process may have been quicker.
            if not audio.is_dir():
                raise CorpusError(
                    f"{home} is in the way and holds no audio/: remove it and try again"
                ) from error
    return audio


def speech_files(corpus_or_dir: str, folder: Path) -> list[Path]:
    """List a corpus's recordings of speech; see `search_speech`."""
    return search_speech(corpus_or_dir, folder).files


def search_speech(corpus_or_dir: str, folder: Path) -> Found:
    """Search a corpus for recordings of speech.

    Args:
        corpus_or_dir: as given to `fetch`.
        folder: as returned by `fetch`.
    Returns:
        Audio files under `folder` in the order of their names, without those that the corpus
        excludes, and what else is left out.
    """
    names = joined_names(corpus_or_dir)
    if names:
        folders = [fetch(name, folder) for name in names]
        parts = [search_speech(name, part) for name, part in zip(names, folders, strict=True)]
        left_out = {
            (part.relative_to(folder) / path).as_posix(): reason
            for part, found in zip(folders, parts, strict=True)
            for path, reason in found.left_out.items()
        }
        return Found([path for found in parts for path in found.files], left_out)
    corpus = CORPORA.get(corpus_or_dir)
    excluded = corpus.excluded if corpus else ()

    def is_speech(path: Path) -> bool:
        name = path.relative_to(folder).with_suffix("").as_posix()
        return not any(fnmatch(name, pattern) for pattern in excluded)

    found = search_audio(folder)
    return Found([path for path in found.files if is_speech(path)], found.left_out)


def joined_names(text: str) -> list[str]:
    """Split corpora joined by "+" into their names, sorted.

    Args:
        text: as given to `fetch`.
    Returns:
        the names; none for a single corpus or a folder.
    Raises:
        CorpusError: if one of several names is unknown, or comes twice.

    >>> joined_names("fr+allison")
    ['allison', 'fr']
    >>> joined_names("allison")
    []
    """
    names = sorted(text.split("+"))
    if len(names) == 1 or Path(text).is_dir():
        return []
    for name in names:
        if name not in CORPORA:
            raise _unknown(name)
        if names.count(name) > 1:
            raise CorpusError(f"corpus {text!r} names {name} twice")
    return names


def _assemble(corpus: Corpus, scratch: Path) -> Path:
    """Build the corpus folder under `scratch`."""
    complete = scratch / "complete"
    complete.mkdir()
    if corpus.package is None:
        synthesise(complete / "audio", sample_rate=corpus.sample_rate)
    else:
        tree = unpack_package(corpus.package, scratch)
        licence = f"usr/share/doc/{corpus.package.name}/copyright"
        for source, kept_as in ((corpus.package.content_folder, "audio"), (licence, "copyright")):
            if not (tree / source).exists():
                raise CorpusError(f"{corpus.package.name}: the package holds no {source}")
            (tree / source).rename(complete / kept_as)
    origin = json.dumps(asdict(corpus), indent=2, ensure_ascii=False)
    (complete / "corpus.json").write_text(origin + "\n", encoding="utf-8")
    return complete


def _ljspeech(root: Path) -> Path:
    folder = root / "ljspeech/LJSpeech-1.1/wavs"
    if not folder.is_dir():
        raise CorpusError(
            f"ljspeech cannot be fetched: unpack LJSpeech-1.1.tar.bz2 so that its recordings lie "
            f"in {folder}, or give their folder with --corpus DIR"
        )
    return folder


def _unknown(name: str) -> CorpusError:
    near = difflib.get_close_matches(name, CORPORA, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return CorpusError(f"corpus {name!r} is neither a folder nor one of {', '.join(CORPORA)}{hint}")
