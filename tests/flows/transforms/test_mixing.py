"""Linear maps across features: orthogonality, determinants and errors."""

import pytest
import torch
from torch import Tensor

from flows import (
    LinearLU,
    Permutation,
    Rotation,
    Transform,
)


def random_orthogonal(size: int) -> Tensor:
    torch.manual_seed(0)
    return torch.linalg.qr(torch.randn(size, size, dtype=torch.float64)).Q


def product_of_reflections(vectors: Tensor) -> Tensor:
    """The definition: one Householder reflection after the other."""
    eye = torch.eye(len(vectors), dtype=vectors.dtype)
    matrix = eye
    for v in vectors.T:
        matrix = matrix @ (eye - 2 * torch.outer(v, v) / v.dot(v))
    return matrix


@pytest.mark.parametrize("size", [1, 2, 7, 64])
def test_rotation_is_the_product_of_its_reflections(size: int) -> None:
    torch.manual_seed(0)
    rotation = Rotation(size).double()
    expected = product_of_reflections(rotation.vectors.detach())
    torch.testing.assert_close(rotation.matrix(), expected, rtol=0, atol=1e-12)


def test_rotation_stays_orthogonal_in_training() -> None:
    torch.manual_seed(0)
    rotation = Rotation(32)
    optimizer = torch.optim.Adam(rotation.parameters(), lr=0.1)
    target = random_orthogonal(32).float()
    before = rotation.matrix().detach()
    for _ in range(50):
        loss = (rotation.matrix() - target).square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    after = rotation.matrix().detach()
    assert (after - target).square().sum() < 0.5 * (before - target).square().sum()
    torch.testing.assert_close(after.T @ after, torch.eye(32), rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", [1, 2, 5, 40])
@pytest.mark.parametrize("flip", [False, True], ids=["as_drawn", "one_sign_changed"])
def test_every_orthogonal_matrix_can_be_set(size: int, flip: bool) -> None:
    # Both determinants are tested; reflections alone reach one of them, by their number.
    matrix = random_orthogonal(size)
    if flip:
        matrix[:, 0] *= -1
    rotation = Rotation(size).double()
    rotation.set_matrix(matrix)
    torch.testing.assert_close(rotation.matrix(), matrix, rtol=0, atol=1e-12)


@pytest.mark.parametrize("size", [1, 2, 6])
def test_identity_can_be_set_and_left(size: int) -> None:
    rotation = Rotation(size).double()
    rotation.set_matrix(torch.eye(size))
    torch.testing.assert_close(
        rotation.matrix(), torch.eye(size, dtype=torch.float64), rtol=0, atol=1e-14
    )
    # All D (D - 1) / 2 directions of a rotation are open from there.
    jacobian = torch.autograd.functional.jacobian(
        lambda v: product_of_reflections(v) * rotation.signs, rotation.vectors.detach()
    )
    rank = torch.linalg.matrix_rank(jacobian.reshape(size * size, size * size))
    assert rank == size * (size - 1) // 2


def test_only_orthogonal_matrices_can_be_set() -> None:
    rotation = Rotation(3)
    with pytest.raises(ValueError, match="differs from I by 3"):
        rotation.set_matrix(2 * torch.eye(3))
    with pytest.raises(ValueError, match=r"\(2, 2\), expected \(3, 3\)"):
        rotation.set_matrix(torch.eye(2))


@pytest.mark.parametrize("size", [1, 2, 7, 64])
def test_lu_log_det_equals_its_matrixs(size: int) -> None:
    torch.manual_seed(0)
    layer = LinearLU(size).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    expected = torch.linalg.slogdet(layer.matrix()).logabsdet
    for shape, samples in (((3, size), 1), ((3, size, 5), 5)):
        _, log_det = layer(torch.randn(shape, dtype=torch.float64))
        torch.testing.assert_close(log_det, samples * expected.expand(3), rtol=0, atol=1e-10)


def test_lu_starts_as_a_rotation() -> None:
    torch.manual_seed(0)
    layer = LinearLU(16).double()
    matrix = layer.matrix()
    torch.testing.assert_close(
        matrix @ matrix.T, torch.eye(16, dtype=torch.float64), rtol=0, atol=1e-6
    )


@pytest.mark.parametrize("build", [Rotation, LinearLU])
def test_a_signal_is_mapped_sample_by_sample(build: type[Rotation | LinearLU]) -> None:
    torch.manual_seed(0)
    layer = build(4).double()
    x = torch.randn(2, 4, 6, dtype=torch.float64)
    z, _ = layer(x)
    for t in range(6):
        torch.testing.assert_close(z[..., t], layer(x[..., t])[0])
    torch.testing.assert_close(z, torch.einsum("ij,bjt->bit", layer.matrix(), x))


def test_the_lu_layer_is_glows_convolution() -> None:
    torch.manual_seed(0)
    layer = LinearLU(4).double()
    x = torch.randn(2, 4, 6, dtype=torch.float64)
    expected = torch.nn.functional.conv1d(x, layer.matrix()[..., None])
    torch.testing.assert_close(layer(x)[0], expected)


@pytest.mark.parametrize(
    "layer", [Permutation.reversed(3), Permutation.random(3, seed=0), Rotation(3)]
)
@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4)])
def test_volume_is_preserved_exactly(layer: Transform, shape: tuple[int, ...]) -> None:
    x = torch.randn(shape)
    for method in (layer.forward, layer.inverse):
        assert (method(x)[1] == 0).all()


def test_reversed_and_random_permutations_permute() -> None:
    x = torch.arange(4.0)[None]
    assert Permutation.reversed(4)(x)[0].tolist() == [[3, 2, 1, 0]]
    assert Permutation([2, 0, 1, 3])(x)[0].tolist() == [[2, 0, 1, 3]]
    drawn = [Permutation.random(50, seed=seed).order for seed in (1, 1, 2)]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert sorted(drawn[0].tolist()) == list(range(50))


@pytest.mark.parametrize("order", [[], [0, 2], [1, 1], [1, 2]])
def test_an_invalid_permutation_is_refused(order: list[int]) -> None:
    with pytest.raises(ValueError, match="expected each of 0"):
        Permutation(order)


@pytest.mark.parametrize("build", [Rotation, LinearLU])
def test_a_layer_without_features_is_refused(build: type[Rotation | LinearLU]) -> None:
    with pytest.raises(ValueError, match="num_features is 0"):
        build(0)


@pytest.mark.parametrize("build", [Rotation, LinearLU])
def test_large_layers_invert_in_single_precision(build: type[Rotation | LinearLU]) -> None:
    torch.manual_seed(0)
    layer = build(196)
    x = 50 * torch.randn(8, 196)
    returned, _ = layer.inverse(layer(x)[0])
    torch.testing.assert_close(returned, x, rtol=0, atol=1e-2)


@pytest.mark.parametrize("build", [Rotation, LinearLU])
@pytest.mark.parametrize("shape", [(5, 8), (5, 8, 3)])
def test_autocast_rounds_no_product(build: type[Rotation | LinearLU], shape: tuple) -> None:
    torch.manual_seed(0)
    layer = build(8)
    x = torch.randn(shape)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        z, _ = layer(x)
        returned, _ = layer.inverse(z)
    torch.testing.assert_close(z, layer(x)[0], rtol=0, atol=0)
    torch.testing.assert_close(returned, x, rtol=0, atol=1e-4)
