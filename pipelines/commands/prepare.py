"""The command `prepare`: a corpus becomes features and splits."""

import dataclasses
from pathlib import Path

from data import CORPORA, fetch, prepare_part
from data import prepare as prepare_corpus
from pipelines.recipe import Recipe


def prepare(
    recipe: Recipe,
    corpus: Path | None = None,
    corpora: Path = Path("corpora"),
    dump: Path | None = None,
    part: int | None = None,
    num_parts: int = 1,
) -> None:
    """Fetch a corpus, compute its features and split it; finished work is not repeated.

    Args:
        recipe: bundled name or YAML file; single values as --recipe.KEY VALUE.
        corpus: folder of audio files to use instead of the recipe's corpus.
        corpora: folder of the named corpora.
        dump: folder of the features; default: dump/NAME.
        part: prepare only this share of the recordings, from 0. When all shares are done, run the
            command once more without --part.
        num_parts: number of shares, one for each of several processes or machines.
    """
    config = recipe.data
    dump = dump or Path("dump") / recipe.name
    if corpus is not None:
        # Here a folder is meant before a corpus of its name; `data.fetch` wants a "./" for that.
        is_named = str(corpus) in CORPORA and corpus.is_dir()
        config = dataclasses.replace(config, corpus=f"./{corpus}" if is_named else str(corpus))
    folder = fetch(config.corpus, corpora)
    if part is not None:
        num_made = prepare_part(folder, dump, config, part, num_parts)
        print(f"part {part} of {num_parts}: {num_made} recordings made")
        return
    print(prepare_corpus(folder, dump, config).report(), end="")
