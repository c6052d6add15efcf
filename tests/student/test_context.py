"""The context of a student: pieces and interpolation keep its parts together."""

import torch

from student.context import StudentContext, context_of


def make_context(seed: int) -> StudentContext:
    generator = torch.Generator().manual_seed(seed)
    return StudentContext(
        torch.randn(2, 5, 7, generator=generator), None, torch.randn(2, 3, 7, generator=generator)
    )


def test_pieces_join_to_the_whole() -> None:
    whole = make_context(0)
    pieces = list(whole.split(3))
    assert [piece.shape[-1] for piece in pieces] == [3, 3, 1]
    assert all(piece.filter is None for piece in pieces)
    assert torch.equal(torch.cat([piece.network for piece in pieces], -1), whole.network)
    assert torch.equal(torch.cat([piece.voice for piece in pieces], -1), whole.voice)


def test_a_path_between_contexts_moves_every_part() -> None:
    start, end = make_context(0), make_context(1)
    middle = start.lerp(end, 0.5)
    torch.testing.assert_close(middle.network, (start.network + end.network) / 2)
    torch.testing.assert_close(middle.voice, (start.voice + end.voice) / 2)
    assert middle.filter is None


def test_without_a_voice_all_parts_read_the_same_frames() -> None:
    frames = torch.randn(1, 4, 2)
    context = context_of(frames)
    assert context.network is frames
    assert context.filter is frames
    assert context.voice is None
