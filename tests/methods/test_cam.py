"""The maths of every map on the feature grid: by hand, and as the papers' loops written literally."""

import pytest
import torch
from torch import Tensor

import vlx
from vlx.methods import cam

A = torch.tensor([[[1.0, 2.0], [3.0, 4.0]], [[0.0, 1.0], [0.0, 5.0]]], dtype=torch.float64)
G = torch.tensor([[[1.0, -1.0], [2.0, 2.0]], [[-1.0, -1.0], [-1.0, -5.0]]], dtype=torch.float64)


def test_grad_cam_worked_by_hand():
    # weights: mean(1, -1, 2, 2) = 1 and mean(-1, -1, -1, -5) = -2; A1 - 2 A2 = [[1, 0], [3, -6]]
    torch.testing.assert_close(cam.grad_cam(A, G), torch.tensor([[1.0, 0.0], [3.0, 0.0]]).double())


def test_hires_cam_worked_by_hand():
    # 1*1 + 0*-1, 2*-1 + 1*-1, 3*2 + 0, 4*2 + 5*-5
    torch.testing.assert_close(cam.hires_cam(A, G), torch.tensor([[1.0, 0.0], [6.0, 0.0]]).double())


def test_layer_cam_worked_by_hand():
    # only positive gradients weigh: channel 2 has none
    torch.testing.assert_close(cam.layer_cam(A, G), torch.tensor([[1.0, 0.0], [6.0, 8.0]]).double())


def test_xgrad_cam_worked_by_hand():
    # weights: (1 - 2 + 6 + 8) / 10 = 1.3 and (-1 - 25) / 6 = -13/3
    expected = torch.tensor([[1.3, 2.6 - 13 / 3], [3.9, 5.2 - 65 / 3]]).double().relu()
    torch.testing.assert_close(cam.xgrad_cam(A, G), expected)


def literal_grad_cam(a: Tensor, g: Tensor) -> Tensor:
    k, rows, cols = a.shape
    out = torch.zeros(rows, cols, dtype=a.dtype)
    for i in range(rows):
        for j in range(cols):
            total = 0.0
            for c in range(k):
                alpha = sum(float(g[c, u, v]) for u in range(rows) for v in range(cols)) / (rows * cols)
                total += alpha * float(a[c, i, j])
            out[i, j] = max(total, 0.0)
    return out


def literal_hires_cam(a: Tensor, g: Tensor) -> Tensor:
    k, rows, cols = a.shape
    return torch.tensor(
        [
            [max(sum(float(a[c, i, j] * g[c, i, j]) for c in range(k)), 0.0) for j in range(cols)]
            for i in range(rows)
        ],
        dtype=a.dtype,
    )


def literal_layer_cam(a: Tensor, g: Tensor) -> Tensor:
    k, rows, cols = a.shape
    return torch.tensor(
        [
            [
                max(sum(float(a[c, i, j]) * max(float(g[c, i, j]), 0.0) for c in range(k)), 0.0)
                for j in range(cols)
            ]
            for i in range(rows)
        ],
        dtype=a.dtype,
    )


def literal_xgrad_cam(a: Tensor, g: Tensor) -> Tensor:
    k, rows, cols = a.shape
    out = torch.zeros(rows, cols, dtype=a.dtype)
    for c in range(k):
        total = sum(float(a[c, i, j]) for i in range(rows) for j in range(cols))
        weight = sum(float(a[c, i, j]) / total * float(g[c, i, j]) for i in range(rows) for j in range(cols))
        out += weight * a[c]
    return out.clamp(min=0)


def literal_grad_cam_pp(a: Tensor, g: Tensor) -> Tensor:
    k, rows, cols = a.shape
    out = torch.zeros(rows, cols, dtype=a.dtype)
    for c in range(k):
        total = sum(float(a[c, i, j]) for i in range(rows) for j in range(cols))
        weight = 0.0
        for i in range(rows):
            for j in range(cols):
                slope = float(g[c, i, j])
                below = 2 * slope**2 + total * slope**3
                alpha = slope**2 / below if below != 0 else 0.0
                weight += alpha * max(slope, 0.0)
        out += weight * a[c]
    return out.clamp(min=0)


PAIRS = [
    (cam.grad_cam, literal_grad_cam),
    (cam.hires_cam, literal_hires_cam),
    (cam.layer_cam, literal_layer_cam),
    (cam.xgrad_cam, literal_xgrad_cam),
    (cam.grad_cam_pp, literal_grad_cam_pp),
]


@pytest.mark.parametrize(("fast", "literal"), PAIRS, ids=[fast.__name__ for fast, _ in PAIRS])
@pytest.mark.parametrize("seed", range(4))
def test_equals_the_loops_of_its_paper(fast, literal, seed):
    generator = torch.Generator().manual_seed(seed)
    a = torch.rand(3, 4, 5, dtype=torch.float64, generator=generator)
    g = torch.randn(3, 4, 5, dtype=torch.float64, generator=generator) + 0.5
    expected = literal(a, g)
    assert expected.max() > 0
    torch.testing.assert_close(fast(a, g), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("fast", [fast for fast, _ in PAIRS], ids=lambda fast: fast.__name__)
def test_leading_axes_are_mapped_one_by_one(fast):
    a, g = torch.rand(1, 3, 4, 5, 6), torch.randn(7, 3, 4, 5, 6)
    together = fast(a, g)
    assert together.shape == (7, 3, 5, 6)
    torch.testing.assert_close(together[2, 1], fast(a[0, 1], g[2, 1]))


@pytest.mark.parametrize("fast", [fast for fast, _ in PAIRS], ids=lambda fast: fast.__name__)
def test_without_gradient_the_map_is_zero_and_finite(fast):
    a = torch.rand(3, 4, 4)
    assert torch.equal(fast(a, torch.zeros_like(a)), torch.zeros(4, 4))


@pytest.mark.parametrize("fast", [fast for fast, _ in PAIRS], ids=lambda fast: fast.__name__)
def test_the_order_of_channels_does_not_matter(fast):
    a, g = torch.rand(6, 4, 4).double(), torch.randn(6, 4, 4).double()
    order = torch.randperm(6, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(fast(a, g), fast(a[order], g[order]))


def test_dead_channel_is_left_out_by_xgrad_cam():
    a = torch.stack([torch.zeros(2, 2), torch.ones(2, 2)])
    torch.testing.assert_close(cam.xgrad_cam(a, torch.ones(2, 2, 2)), torch.ones(2, 2))


def test_ablations_of_grad_cam():
    signed = vlx.grad_cam_with(rectify=False).cam(A, G)
    torch.testing.assert_close(signed, torch.tensor([[1.0, 0.0], [3.0, -6.0]]).double())
    # absolute gradients: weights 1.5 and 2
    torch.testing.assert_close(vlx.grad_cam_with(absolute=True).cam(A, G), 1.5 * A[0] + 2 * A[1])
    # maximum: weights 2 and -1
    torch.testing.assert_close(vlx.grad_cam_with(pool="max").cam(A, G), (2 * A[0] - A[1]).relu())
    names = {vlx.grad_cam_with(rectify=False).name, vlx.grad_cam_with(pool="max").name, vlx.grad_cam.name}
    assert len(names) == 3


def test_what_becomes_of_negative_values_without_the_relu():
    """L = sum_k alpha_k A_k is written out; its ReLU, L - min L and |L| are the readings of the ablation."""
    alpha = [sum(float(value) for value in plane.flatten()) / plane.numel() for plane in G]
    signed = sum(weight * plane for weight, plane in zip(alpha, A, strict=True))
    assert float(signed.min()) < 0 < float(signed.max())
    for name, expected in (
        ("kept", signed), ("stretched", signed - signed.min()), ("magnitude", signed.abs()),
    ):  # fmt: skip
        method = vlx.grad_cam_with(rectify=False, signed=name)
        torch.testing.assert_close(method.cam(A, G), expected)
        assert method.needs_mean_only
        assert method.name == f"grad_cam_no_relu{'' if name == 'kept' else f'_{name}'}"
    both = torch.stack([G, -G])[:, None]  # each target and item is moved by its own minimum
    moved = vlx.grad_cam_with(rectify=False, signed="stretched").cam(A[None, None], both)
    torch.testing.assert_close(moved[0, 0], signed - signed.min())
    torch.testing.assert_close(moved[1, 0], signed.max() - signed)
    with pytest.raises(vlx.VlxError, match="without the ReLU 'stretched' or"):
        vlx.grad_cam_with(signed="stretched")


def test_ablations_are_found_by_their_names():
    for made in (
        vlx.grad_cam_with(rectify=False),
        vlx.grad_cam_with(rectify=False, signed="magnitude", absolute=True, pool="max", rule="guided"),
        vlx.grad_cam_with(rule="deconvolution"),
    ):
        found = vlx.method_named(made.name)
        assert (found.name, found.rule_above) == (made.name, made.rule_above)
        torch.testing.assert_close(found.cam(A, G), made.cam(A, G))
    assert vlx.method_named("grad_cam_absolute").name == "grad_cam_absolute"


def test_method_names_are_found_and_near_ones_told():
    assert vlx.method_named("guided_grad_cam") is vlx.guided_grad_cam
    with pytest.raises(vlx.VlxError, match="near names: grad_cam"):
        vlx.method_named("gradcam")
