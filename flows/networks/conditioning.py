"""The context network: a small convolutional network over the conditioning frames."""

from collections.abc import Iterable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flows.networks.weight_norm import normalised_conv


class FrameContext(nn.Module):
    """Turn conditioning frames into the hidden frames that condition the causal networks.

    Each hidden frame reads `margin` conditioning frames on each side. The caller passes the true
    neighbours if they are known. Otherwise the outermost frames are repeated, as at the ends of an
    utterance.

    Args:
        num_features: rows of a conditioning frame, M: mel bands, and perhaps pitch and speakers.
        channels: hidden channels, H.
        margin: number of frames read before each frame, and after it (the look-ahead).
        blind: whether to ignore the features, for unconditional models.
        rows: description of the rows, for the message about a wrong number of rows.
        with_features: whether to append normalised features to the hidden channels: the features
            of all frames that the hidden frame reads, except the earliest. With a margin of 0, they
            are the features of the hidden frame's own conditioning frame.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        num_features: int,
        channels: int,
        margin: int = 2,
        blind: bool = False,
        rows: str = "",
        with_features: bool = False,
    ) -> None:
        super().__init__()
        if margin < 0:
            raise ValueError(f"margin is {margin}, expected at least 0")
        self.num_features = num_features
        self.margin = margin
        self.blind = blind
        self.rows = f" of {rows}" if rows else ""
        self.with_features = with_features
        self.register_buffer("mean", torch.zeros(num_features, 1))
        self.register_buffer("std", torch.ones(num_features, 1))
        self.first = normalised_conv(num_features, channels, 2 * margin + 1)
        self.second = normalised_conv(channels, channels, 1)

    @property
    def num_added(self) -> int:
        """Number of feature channels that are appended to the hidden channels."""
        return self.num_features * len(self._added_frames) if self.with_features else 0

    @property
    def _added_frames(self) -> range:
        """Indices of the appended frames among the frames that a hidden frame reads."""
        return range(min(1, self.margin), 2 * self.margin + 1)

    def set_statistics(self, mean: Tensor, std: Tensor) -> None:
        """Store the corpus's mean and standard deviation of each row, shape (M,) each."""
        self.mean.copy_(mean[:, None])
        self.std.copy_(std[:, None])

    def forward(self, features: Tensor, num_frames: int) -> Tensor:
        """Compute hidden frames.

        Args:
            features: conditioning, shape (B, M, num_frames), or with the true neighbours
                (B, M, num_frames + 2 * margin).
            num_frames: number of hidden frames, L.
        Returns:
            hidden frames, shape (B, H + num_added, L); the appended features are ordered by frame.
        Raises:
            ValueError: if the features have another shape.
        """
        shape = tuple(features.shape)
        lengths = (num_frames, num_frames + 2 * self.margin)
        if len(shape) != 3 or shape[1] != self.num_features or shape[2] not in lengths:
            raise ValueError(
                f"conditioning has shape {shape}, expected (B, {self.num_features}, "
                f"{lengths[0]}){self.rows}, or {lengths[1]} frames with the neighbours on each "
                "side"
            )
        features = (features - self.mean) / self.std
        if self.blind:
            features = torch.zeros_like(features)
        if shape[2] == num_frames:
            features = F.pad(features, (self.margin, self.margin), mode="replicate")
        hidden = F.leaky_relu(self.second(F.leaky_relu(self.first(features), 0.2)), 0.2)
        if not self.with_features:
            return hidden
        around = [features[..., n : n + num_frames] for n in self._added_frames]
        return torch.cat([hidden, *around], 1)

    def stream(self, pieces: Iterable[Tensor]) -> Iterator[Tensor]:
        """Compute the hidden frames of conditioning that comes piece by piece.

        The output is `margin` frames behind the input. The joined output equals `forward` on the
        whole conditioning.

        Args:
            pieces: consecutive conditioning frames, shape (B, M, n) each, with any n.
        Yields:
            the hidden frames that each piece completes, shape (B, H, m); after the last piece, the
            last `margin` hidden frames.
        Raises:
            ValueError: if a piece has another shape, or there are no frames at all.
        """
        for hidden, _ in self.stream_beside(pieces):
            yield hidden

    def stream_beside(self, pieces: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the hidden frames of `stream`, each with its conditioning frames (B, M, m)."""
        waiting: Tensor | None = None  # frames that later hidden frames read
        for piece in self._pieces(pieces):
            if waiting is None:
                waiting = piece[..., :1].repeat(1, 1, self.margin)
            waiting = torch.cat([waiting, piece], -1)
            complete = waiting.shape[-1] - 2 * self.margin
            if complete > 0:
                yield self(waiting, complete), waiting[..., self.margin :][..., :complete]
                waiting = waiting[..., complete:].clone()
        if self.margin:
            assert waiting is not None
            rest = torch.cat([waiting, waiting[..., -1:].repeat(1, 1, self.margin)], -1)
            complete = rest.shape[-1] - 2 * self.margin
            yield self(rest, complete), rest[..., self.margin :][..., :complete]

    def join(self, pieces: Iterable[Tensor]) -> Tensor:
        """Join consecutive conditioning frames; `stream` describes the pieces and the errors."""
        return torch.cat(list(self._pieces(pieces)), -1)

    def _pieces(self, pieces: Iterable[Tensor]) -> Iterator[Tensor]:
        """Yield the pieces that are not empty, and refuse pieces that do not fit each other."""
        batch: int | None = None
        for piece in pieces:
            shape = tuple(piece.shape)
            if len(shape) != 3 or shape[1] != self.num_features:
                raise ValueError(
                    f"conditioning has shape {shape}, expected (B, {self.num_features}, n)"
                    f"{self.rows}"
                )
            if not shape[2]:
                continue
            if batch not in (None, shape[0]):
                raise ValueError(f"conditioning has shape {shape} after {batch} streams")
            batch = shape[0]
            yield piece
        if batch is None:
            raise ValueError("there are no conditioning frames")


def check_conditioning(model: str, conditioning: str, pitch: bool, num_speakers: int) -> None:
    """Refuse a model's choice of conditioning if it is not valid.

    Args:
        model: name of the model, for the message.
        conditioning: "mel" or "none".
        pitch: whether there are rows of pitch and voicing.
        num_speakers: number of rows that tell the speaker, one for each speaker.
    Raises:
        ValueError: if the conditioning is unknown, or "none" with pitch or speakers.
    """
    if conditioning not in ("mel", "none"):
        raise ValueError(f"{model}.conditioning is {conditioning!r}, expected 'mel' or 'none'")
    if pitch and conditioning == "none":
        raise ValueError(f"{model}.pitch is true, expected false where conditioning is 'none'")
    if num_speakers < 0 or (num_speakers and conditioning == "none"):
        raise ValueError(
            f"{model}.num_speakers is {num_speakers}, expected at least 0, and 0 where "
            f"{model}.conditioning is 'none'"
        )


def rows_in_words(num_mels: int, pitch: bool, num_speakers: int) -> str:
    """Describe the rows of a conditioning frame in words, from the top.

    >>> rows_in_words(80, True, 2)
    '80 mel bands, pitch, voicing, 2 speakers'
    """
    parts = [f"{num_mels} mel bands"]
    parts += ["pitch", "voicing"] * pitch
    parts += [f"{num_speakers} speakers"] * (num_speakers > 0)
    return ", ".join(parts)


def check_context_vector(context: Tensor | None, x: Tensor, num_features: int) -> None:
    """Refuse a context that is not a vector per example.

    Args:
        context: conditioning, shape (B, E); None for no conditioning.
        x: the vectors that the context conditions, shape (B, D).
        num_features: number of features E that the network expects; 0 for an unconditional network.
    Raises:
        ValueError: if the context has another shape.
    """
    expected = (x.shape[0], num_features) if num_features else None
    found = None if context is None else tuple(context.shape)
    if found != expected:
        raise ValueError(f"context has shape {found}, expected {expected}")


def check_frames(context: Tensor | None, x: Tensor, channels: int) -> None:
    """Refuse conditioning frames that do not fit a signal.

    Args:
        context: frames, shape (B, H, L); each frame serves T / L samples. None for no frames.
        x: the signal that the frames condition, shape (B, C, T).
        channels: number of channels H that the network expects; 0 for an unconditional network.
    Raises:
        ValueError: if frames are missing, or given to an unconditional network, or do not fit the
            signal's shape.
    """
    if not channels:
        if context is not None:
            raise ValueError(
                f"context has shape {tuple(context.shape)}, but the network is unconditional"
            )
        return
    if context is None:
        raise ValueError(f"context is missing, expected (B, {channels}, L)")
    batch, samples = x.shape[0], x.shape[2]
    if context.dim() != 3 or context.shape[:2] != (batch, channels):
        raise ValueError(
            f"context has shape {tuple(context.shape)}, expected ({batch}, {channels}, L)"
        )
    if context.shape[2] == 0 or samples % context.shape[2]:
        raise ValueError(
            f"{samples} samples are not a whole multiple of {context.shape[2]} context frames"
        )
