"""Corpora fetched by name, and their recordings of speech."""

from __future__ import annotations

import difflib
import json
import tempfile
from dataclasses import asdict
from fnmatch import fnmatch
from pathlib import Path

from data.audio.search import Found, search_audio
from data.corpora.catalogue import CORPORA, Corpus
from data.corpora.debian import CorpusError, unpack_package
from data.corpora.synthetic import synthesise


def fetch(name_or_dir: str, root: Path = Path("corpora")) -> Path:
    """Fetch a corpus, unless it is already there, and return its folder of audio.

    A named corpus appears whole or not at all as `root/NAME/audio`, with the package's licence in
    `root/NAME/copyright` and its origin in `root/NAME/corpus.json`. `synthetic` is made here, and
    has no `copyright`. `ljspeech` is not fetched: the user unpacks it to
    `root/ljspeech/LJSpeech-1.1`. If a folder has the name of a corpus, the corpus is meant;
    `./NAME` means the folder.

    Args:
        name_or_dir: a key of `CORPORA`, several keys joined by "+", or a folder of audio files,
            which is returned unchanged.
        root: folder of the named corpora.
    Returns:
        the folder of the recordings; for several corpora, `root`.
    Raises:
        CorpusError: if the name is unknown, or if the corpus cannot be fetched.
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
    # Within root, so that the last step is a rename within one file system.
    with tempfile.TemporaryDirectory(dir=root, prefix=f".{corpus.name}-") as scratch:
        complete = _assemble(corpus, Path(scratch))
        try:
            complete.rename(home)
        except OSError as error:
            # Another process may have fetched the corpus first.
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
        corpus_or_dir: the argument of `fetch`.
        folder: the result of `fetch`.
    Returns:
        the recordings, sorted by path within each corpus, without the files that the corpus
        excludes; and the reasons for other files that were left out.
    Raises:
        AudioError: if a folder cannot be searched.
        CorpusError: if a name is unknown, or if one of several corpora cannot be fetched.
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
    """Split corpora joined by "+" into their sorted names.

    Args:
        text: the argument of `fetch`.
    Returns:
        the names; empty for a single corpus or a folder.
    Raises:
        CorpusError: if one of several names is unknown or occurs twice.

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
