"""Words of the command line: several values of an option, as shells and people write them."""

from pathlib import Path
from typing import Literal

import pytest

from pipelines.arguments import prepare_words
from pipelines.cli import main
from pipelines.plain_yaml import load_plain


def command(
    input: list[Path],
    student: list[Path] | Path | None = None,
    systems: list[Literal["a", "b"]] | None = None,
    out: Path | None = None,
    verbose: bool = False,
) -> None:
    """Stand in for a command."""


def prepared(line: list[str]) -> tuple[list[str], dict[str, list[Path]]]:
    return prepare_words(line, command, with_recipe=False, with_places=False)


def test_what_a_shell_makes_of_a_pattern_is_one_options_values() -> None:
    words, paths = prepared(["--input", "a.wav", "b, c.wav", "-", "--out", "o", "--verbose"])
    assert paths == {"input": [Path("a.wav"), Path("b, c.wav"), Path("-")]}
    assert words == ["--out", "o", "--verbose=true", "--input=[]"]


def test_an_option_given_twice_has_both() -> None:
    _, paths = prepared(["--input", "a.wav", "--student=s", "--input=b.wav", "c.wav"])
    assert paths == {"input": [Path("a.wav"), Path("b.wav"), Path("c.wav")], "student": [Path("s")]}


def test_thousands_of_names_are_no_yaml() -> None:
    names = [f"a rather long name: {i}.wav" for i in range(20000)]
    words, paths = prepared(["--input", *names])
    assert [str(path) for path in paths["input"]] == names
    assert words == ["--input=[]"]


def test_a_list_in_brackets_is_left_to_the_parser(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert prepared(["--student", "[a,b]"]) == (["--student=[a,b]"], {})
    (tmp_path / "[a,b]").mkdir()
    assert prepared(["--student", "[a,b]"]) == (["--student=[]"], {"student": [Path("[a,b]")]})
    assert prepared(["--systems", "a", "b"]) == (["--systems=[a,b]"], {})


@pytest.mark.parametrize("words", [["--input"], ["--input="], ["--input", "a", ""], ["--out", ""]])
def test_an_empty_path_is_refused(words: list[str]) -> None:
    with pytest.raises(ValueError, match=r"--(input|out) is empty, expected a path"):
        prepared(words)


def test_a_space_pasted_from_a_page_is_named() -> None:
    with pytest.raises(ValueError, match=r"'--out\\xa0o' has a no-break space"):
        prepared(["--input", "a.wav", "--out\N{NO-BREAK SPACE}o"])
    _, paths = prepared(["--input", "a\N{NO-BREAK SPACE}b.wav"])
    assert paths == {"input": [Path("a\N{NO-BREAK SPACE}b.wav")]}


def test_home_after_an_equals_sign_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/user")
    assert prepared(["--input=~/a.wav"])[1] == {"input": [Path("/home/user/a.wav")]}


def test_a_number_sign_is_part_of_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("#1", "take #2"):
        assert main(["prepare", "--recipe", "tiny", "--corpus", "none", "--dump", name]) == 2
        assert "none" in capsys.readouterr().err
        words = ["evaluate", "--student", "s", "--dump", name, "--device", "cpu"]
        assert main(words) == 2
        assert main(["excerpts", "--dump", name, "--out", "o"]) == 2
        assert f"{name}/manifest.json" in capsys.readouterr().err
    assert load_plain("#1") == "#1"
    assert load_plain("a: 1  # a comment") == {"a": 1}
    assert load_plain("# a comment\n3\n") == 3
