"""Streaming: pieces of any lengths join to the whole, in either engine."""

import copy
import dataclasses
import itertools
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from flows import CompiledChain, Engine, EngineError, fold_weight_norm
from flows.engines.cpu import chain
from flows.engines.cpu.instructions.intrinsics import MULTIPLIES_PAIRS
from flows.engines.threads import pytorch_threads
from student import Student, StudentConfig
from student.rendering import FRAMES_AT_ONCE
from tests.models import (
    FILTERED_STUDENT,
    FRAME_STUDENT,
    HOP,
    MELS,
    STUDENT,
    VOICED_STUDENT,
    make_mel,
    make_student,
)

FRAMES = 31
CONFIGS = {
    "voiced_single_samples": dataclasses.replace(VOICED_STUDENT, frame_length=1),
    "plain": STUDENT,
    "filtered": FILTERED_STUDENT,
    "logistic": dataclasses.replace(STUDENT, base="logistic"),
    "no_margin": dataclasses.replace(STUDENT, context_margin=0),
    # Rings of frames whose length is no power of two wrap in the middle of a read.
    "hop_of_twelve": dataclasses.replace(
        STUDENT, hop_length=12, flow_layers=(5, 1, 7), layers_per_cycle=5, residual_channels=24
    ),
    "hop_of_several_chunks": dataclasses.replace(STUDENT, hop_length=96, flow_layers=(7,)),
    "hop_of_a_prime": dataclasses.replace(STUDENT, hop_length=67),
    "kernel_of_two": dataclasses.replace(STUDENT, kernel_size=2, flow_layers=(6,)),
    "wider_than_a_panel": dataclasses.replace(STUDENT, residual_channels=70),
    "frames": FRAME_STUDENT,
    # More samples than a product's sums, in wide and in narrow panels.
    "wide_frames": dataclasses.replace(
        FRAME_STUDENT, hop_length=72, frame_length=36, residual_channels=20, flow_layers=(5, 3)
    ),
    "filtered_frames": dataclasses.replace(FRAME_STUDENT, filter_order=5),
}
ENGINES = {"compiled": torch.float32, "torch": torch.float64}


@pytest.fixture(params=CONFIGS, ids=list(CONFIGS))
def config(request: pytest.FixtureRequest) -> StudentConfig:
    return CONFIGS[request.param]


@pytest.fixture(autouse=True)
def short_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let short signals have many chunks of several blocks, and wrap in the rings."""
    monkeypatch.setattr(chain, "CHUNK", 96)
    monkeypatch.setattr(chain, "CHUNK_OF_FRAMES", 96)


@pytest.fixture(params=[1, 2, 3])
def threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Let so many threads share even a small student."""
    monkeypatch.setattr(chain, "LEAST_WORK", 1)
    with pytorch_threads(request.param):
        yield request.param


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(1)


def pieces(mel: Tensor, sizes: list[int]) -> Iterator[Tensor]:
    start = 0
    for size in itertools.cycle(sizes):
        if start >= mel.shape[-1]:
            return
        yield mel[..., start : start + size]
        start += size


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("sizes", [[1], [2, 0, 7, 1], [FRAMES - 1, 1]])
def test_pieces_join_to_the_whole(config: StudentConfig, engine: str, sizes: list[int]) -> None:
    student, mel = make_student(config=config).to(ENGINES[engine]), make_mel(frames=FRAMES)
    mel = mel.to(ENGINES[engine])
    streamed = list(student.stream(pieces(mel, sizes), generator=seeded(), engine=engine))
    whole = student.sample(mel, generator=seeded(), engine=engine)
    tolerance = 1e-5 if engine == "compiled" else 1e-12
    torch.testing.assert_close(torch.cat(streamed, -1), whole, rtol=tolerance, atol=tolerance)


def test_compiled_sample_equals_the_float64_flows(config: StudentConfig) -> None:
    student, mel = make_student(config=config), make_mel(3, FRAMES)
    compiled = student.float().sample(mel.float(), generator=seeded(), engine="compiled")
    z = [
        student.flow.base.sample(torch.empty(3, 1, config.hop_length), seed)
        for seed in [seeded()]
        for _ in range(FRAMES)
    ]
    reference = student.double()(torch.cat(z, -1).double(), mel).waveform
    assert 0.01 < float(reference.detach().std()) < 100
    torch.testing.assert_close(compiled.double(), reference, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("threads", [1, 3], indirect=True)
def test_layers_in_bfloat16_draw_nearly_the_same(config: StudentConfig, threads: int) -> None:
    student, mel = make_student(config=config).float(), make_mel(3, FRAMES).float()
    exact = student.sample(mel, generator=seeded(), engine="compiled")
    with torch.autocast("cpu", torch.bfloat16):
        whole = student.sample(mel, generator=seeded(), engine="compiled")
        streamed = list(student.stream(pieces(mel, [2, 1, 7]), generator=seeded()))
        by_pytorch = student.sample(mel, generator=seeded(), engine="torch")
    assert whole.dtype == torch.float32
    assert torch.equal(whole, exact) != MULTIPLIES_PAIRS
    error, other, joined = (
        float((x - exact).square().mean().sqrt() / exact.std())
        for x in (whole, by_pytorch, torch.cat(streamed, -1))
    )
    assert error < 2**-9
    assert error < other  # sums and the signal between layers are not rounded
    assert joined < 2**-9


@pytest.mark.parametrize("engine", ENGINES)
def test_parts_at_frame_rate_are_not_rounded(engine: str) -> None:
    student, mel = make_student(config=VOICED_STUDENT).float(), make_mel(1, 5).float()
    found: list[torch.dtype] = []
    at_frame_rate = [student.context, student.parts.voice]
    handles = [
        layer.register_forward_hook(lambda module, inputs, out: found.append(out.dtype))
        for part in at_frame_rate
        for layer in part.modules()
        if isinstance(layer, torch.nn.Conv1d)
    ]
    with torch.autocast("cpu", torch.bfloat16):
        student.sample(mel, engine=engine)
        list(student.stream(mel.split(1, -1), engine=engine))
    assert len(handles) > 2
    assert len(found) > len(handles)
    assert set(found) == {torch.float32}


def test_frames_beyond_one_chunk_are_drawn() -> None:
    student, mel = make_student().float(), make_mel(1, 2 * FRAMES_AT_ONCE + 3).float()
    drawn = [list(student.stream([mel], 1.0, seeded(), engine)) for engine in ENGINES]
    for found in drawn:
        assert max(piece.shape[-1] for piece in found) == FRAMES_AT_ONCE * HOP
    joined = [torch.cat(found, -1) for found in drawn]
    torch.testing.assert_close(*joined, rtol=1e-5, atol=1e-5)


def test_threads_share_the_layers_and_change_nothing(threads: int) -> None:
    config = CONFIGS["hop_of_twelve"]
    student, mel = make_student(config=config).float(), make_mel(frames=FRAMES).float()
    frames = student.context(mel, FRAMES)
    z = torch.randn(2, 1, FRAMES * config.hop_length, generator=seeded())
    drawing = CompiledChain(student.chain_weights, 2)
    assert [len(stage) > 0 for stage in drawing._stages] == [True] * threads
    found, expected = drawing(z, frames), z.double()
    for network in student.double().parts.networks:
        shift, log_scale = student.transformer.split(network(expected, frames.double()))
        expected = expected * log_scale.exp() + shift
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("in_pairs", [False, True])
def test_short_pieces_are_drawn_by_fewer_threads(
    in_pairs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chain, "amx_is_granted", lambda: True)
    weights = make_student(config=CONFIGS["hop_of_twelve"]).float().chain_weights
    least = 1 + chain.LEAST_WORK * (chain.TILES_GAIN if in_pairs else 1)
    least //= sum(weight.numel() for net in weights.networks for weight in net.parameters())
    with pytorch_threads(3):
        found = [weights.num_threads(in_pairs, n) for n in (1, 2 * least, 2 * least + 2, 10**9)]
        assert found == [1, 1, 2, 3]
        assert len(CompiledChain(weights, 1, in_pairs, least)._stages) == 1
        assert len(CompiledChain(weights, 4, in_pairs, least)._stages) == 3
        assert len(CompiledChain(weights, 1)._stages) == 3


def test_a_chain_refuses_other_streams_than_it_has_state_for() -> None:
    student, mel = make_student().float(), make_mel(2, FRAMES).float()
    drawing, frames = CompiledChain(student.chain_weights, 1), student.context(mel, FRAMES)
    z = torch.zeros(2, 1, FRAMES * HOP)
    with pytest.raises(ValueError, match=r"2 streams of .*32, expected 1 of torch\.float32"):
        drawing(z, frames)
    with pytest.raises(ValueError, match=r"1 streams of torch\.float64"):
        drawing(z[:1].double(), frames[:1])


def test_pytorch_keeps_its_threads(threads: int) -> None:
    student, mel = make_student().float(), make_mel(frames=FRAMES).float()
    student.sample(mel, engine="compiled")
    assert torch.get_num_threads() == threads
    for _ in student.stream(pieces(mel, [1]), engine="compiled"):
        assert torch.get_num_threads() == threads  # between pieces, too
    with pytest.raises(ValueError, match="conditioning"):
        list(student.stream([mel, mel[:, 1:]], engine="compiled"))
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("engine", ENGINES)
def test_latency_is_the_margin_and_the_frame_itself(engine: str) -> None:
    student, mel = make_student().float(), make_mel(frames=9).float()
    pushed = 0

    def live() -> Iterator[Tensor]:
        nonlocal pushed
        for frame in mel.split(1, -1):
            pushed += 1
            yield frame

    drawn = 0
    for piece in student.stream(live(), engine=engine):
        drawn += piece.shape[-1] // HOP
        assert drawn == pushed - STUDENT.context_margin or pushed == 9
    assert drawn == 9


def test_a_stream_without_frames_or_with_other_shapes_is_refused() -> None:
    student = make_student()
    with pytest.raises(ValueError, match="there are no conditioning frames"):
        list(student.stream([]))
    with pytest.raises(ValueError, match=rf"shape \(2, {MELS + 1}, 3\), expected \(B, {MELS}, n\)"):
        list(student.stream([torch.zeros(2, MELS + 1, 3)]))
    with pytest.raises(ValueError, match=r"\(2, 4, 6\) after 1 streams"):
        list(student.stream([make_mel(1), make_mel(2)]))
    with pytest.raises(ValueError, match="temperature is -1"):
        student.sample(make_mel(), temperature=-1.0)
    with pytest.raises(EngineError, match=r"got torch\.float64 on cpu"):
        student.sample(make_mel(), engine="compiled")


def test_nothing_is_recorded_for_gradients() -> None:
    student: Student = make_student()
    assert not student.sample(make_mel()).requires_grad


def test_compiled_weights_follow_every_change() -> None:
    student, mel = make_student(config=FRAME_STUDENT).float(), make_mel().float()
    other = make_student(seed=1, config=FRAME_STUDENT).float()

    def draw(model: Student, engine: Engine = "compiled") -> Tensor:
        return model.sample(mel, generator=seeded(), engine=engine)

    def check() -> None:
        torch.testing.assert_close(draw(student), draw(student, "torch"), rtol=1e-5, atol=1e-5)

    first = draw(student)
    laid_out = student.chain_weights.laid_out()
    assert student.chain_weights.laid_out() is laid_out
    copied = copy.deepcopy(student)
    student.load_state_dict(other.state_dict())
    torch.testing.assert_close(draw(student), draw(other))
    torch.testing.assert_close(draw(copied), first)
    optimizer = torch.optim.Adam([p for p in student.parameters() if p.requires_grad], lr=1e-2)
    student(torch.randn(2, 1, 6 * HOP), make_mel(2, 6).float()).waveform.square().mean().backward()
    optimizer.step()
    check()
    fold_weight_norm(student)
    check()
    assert not torch.allclose(draw(student), draw(other))
