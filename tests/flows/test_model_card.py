"""The card that is saved with a model: true, readable by a hub, and never over somebody's own."""

from pathlib import Path

import yaml

from tests.models import make_student, make_teacher

MEL = {"sample_rate": 16000, "hop_length": 256}


def test_a_card_says_what_the_model_is(tmp_path: Path) -> None:
    student = make_student().float()
    student.save_pretrained(tmp_path, {"mel": MEL, "steps": 12, "recipe": {"name": "mine"}})
    card = (tmp_path / "README.md").read_text()
    metadata = yaml.safe_load(card.split("---\n")[1])
    assert metadata["library_name"] == "parallel-wavenet"
    assert metadata["tags"] == ["normalizing-flow", "vocoder"]
    assert "from student.model import Student" in card
    num_values = sum(
        parameter.numel() for parameter in type(student).from_pretrained(tmp_path).parameters()
    )
    for fact in (f"parameters` | {num_values:,}", "recipe` | mine", "sample_rate` | 16000"):
        assert fact in card


def test_a_card_follows_its_model(tmp_path: Path) -> None:
    for steps in (1, 2):
        make_teacher().float().save_pretrained(tmp_path, {"mel": MEL, "steps": steps})
        assert f"steps of training` | {steps} |" in (tmp_path / "README.md").read_text()


def test_an_edited_card_stays(tmp_path: Path) -> None:
    make_teacher().float().save_pretrained(tmp_path, {"mel": MEL, "steps": 1})
    card = tmp_path / "README.md"
    edited = card.read_bytes().replace(b"Not stated.", b"CC0, my own voice.")
    for content in (edited, b"mine", b"\xff\xfe"):
        card.write_bytes(content)
        make_teacher().float().save_pretrained(tmp_path, {"mel": MEL, "steps": 2})
        assert card.read_bytes() == content
