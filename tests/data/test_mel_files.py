"""Log-mels in files: every format and layout, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from data import MelFileError, MelFormat, read_mel_file
from data.mel_files import find_mel_file

FRAMES = np.random.default_rng(0).standard_normal((4, 7))


def write(path: Path, content: Any) -> Path:
    """Write an array as .npy, a dict of arrays as .npz, anything as .pt."""
    if path.suffix == ".npy":
        np.save(path, content)
    elif path.suffix == ".npz":
        np.savez(path, **content)
    else:
        torch.save(content, path)
    return path


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("layout", ["bands_first", "frames_first"])
@pytest.mark.parametrize("batched", [False, True])
@pytest.mark.parametrize("suffix", [".npy", ".npz", ".pt"])
def test_every_format_layout_and_type_holds_the_frames(
    tmp_path: Path, suffix: str, batched: bool, layout: Any, dtype: str
) -> None:
    expected = FRAMES.astype(dtype)
    array = expected if layout == "bands_first" else np.ascontiguousarray(expected.T)
    array = array[None] if batched else array
    content = {".npy": array, ".npz": {"mel": array}, ".pt": torch.from_numpy(array)}[suffix]
    path = write(tmp_path / f"a{suffix}", content)
    found = read_mel_file(path, 4, MelFormat(layout=layout))
    np.testing.assert_array_equal(found, expected)


def test_a_tensor_in_bfloat16_with_a_gradient_is_read(tmp_path: Path) -> None:
    tensor = torch.from_numpy(FRAMES).bfloat16().requires_grad_()
    path = write(tmp_path / "a.PT", tensor)
    np.testing.assert_array_equal(
        read_mel_file(path, 4, MelFormat()), tensor.detach().float().numpy()
    )


@pytest.mark.parametrize("suffix", [".npz", ".pt"])
def test_the_key_chooses_among_several_arrays(tmp_path: Path, suffix: str) -> None:
    arrays: dict[str, Any] = {"other": FRAMES[:, :2], "mel": FRAMES}
    if suffix == ".pt":
        arrays = {name: torch.from_numpy(array) for name, array in arrays.items()}
    path = write(tmp_path / f"a{suffix}", arrays)
    np.testing.assert_array_equal(read_mel_file(path, 4, MelFormat(key="mel")), FRAMES)
    with pytest.raises(MelFileError, match="arrays other, mel: expected one, or mel_key to name"):
        read_mel_file(path, 4, MelFormat())
    with pytest.raises(MelFileError, match="arrays other, mel: mel_key is 'none'"):
        read_mel_file(path, 4, MelFormat(key="none"))


class Malicious:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("touched"),)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.npy", FRAMES.T, r"shape \(7, 4\), expected \(4, L\); for \(L, 4\) say mel_layout fr"),
        ("a.npy", FRAMES[None].repeat(2, 0), r"shape \(2, 4, 7\), expected \(4, L\)$"),
        ("a.npy", FRAMES[:3], r"shape \(3, 7\), expected \(4, L\)$"),
        ("a.npy", FRAMES[:, :0], r"shape \(4, 0\), expected \(4, L\)$"),
        ("a.npy", FRAMES * np.inf, "holds values that are not finite"),
        ("a.npz", {}, "holds the arrays none: expected one"),
        ("a.pt", torch.zeros(4, 7, dtype=torch.int32), r"holds torch\.int32, .*plain floats"),
        ("a.pt", torch.zeros(4, 7).to_sparse(), "sparse_coo, expected plain floats"),
        ("a.pt", torch.zeros(1, 1).expand(4, 2**40), "expected less"),
        ("a.pt", [torch.zeros(4, 7)], "holds a list, expected a tensor or a dict"),
        ("a.pt", Malicious(), r"not a file of tensors that is safe to load \(UnpicklingError\)"),
    ],
)
def test_what_is_not_a_log_mel_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    content: Any,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path / name, content)
    with pytest.raises(MelFileError, match=message) as caught:
        read_mel_file(path, 4, MelFormat())
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    assert not Path("touched").exists()


def test_the_other_layout_is_suggested(tmp_path: Path) -> None:
    path = write(tmp_path / "a.npy", FRAMES)
    with pytest.raises(MelFileError, match=r"expected \(L, 4\); for \(4, L\) say mel_layout band"):
        read_mel_file(path, 4, MelFormat(layout="frames_first"))


def test_a_format_that_is_unknown_is_refused() -> None:
    with pytest.raises(ValueError, match="layout is 'rows', expected bands_first or frames_first"):
        MelFormat(layout="rows")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="convention is 'melgan', expected none, hifigan"):
        MelFormat(convention="melgan")  # type: ignore[arg-type]


def test_one_file_beside_a_recording_is_its_log_mel(tmp_path: Path) -> None:
    recording = tmp_path / "a.b.wav"
    with pytest.raises(MelFileError, match=r"log-mels beside it: none; expected one file a\.b"):
        find_mel_file(recording)
    path = write(tmp_path / "a.b.npy", FRAMES)
    assert find_mel_file(recording) == path
    write(tmp_path / "a.b.pt", torch.from_numpy(FRAMES))
    with pytest.raises(MelFileError, match=r"beside it: a\.b\.npy, a\.b\.pt; expected one"):
        find_mel_file(recording)
