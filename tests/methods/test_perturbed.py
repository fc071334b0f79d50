"""Methods without gradients, and SmoothGrad, beside the loops of their papers."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

import vlx
from tests import tiny
from tests.speakers import Speaker
from vlx.explain import raw_maps
from vlx.methods import perturbed
from vlx.methods.cam import eigen_cam

TEXT = "a dog on grass"


def picture(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (20, 16, 3), np.uint8))


@pytest.fixture
def run() -> vlx.Pass:
    """Two images, so that the second is not taken for the first."""
    return Speaker().read([picture(1), picture(2)], ["cat", TEXT])


def scorer(model: Any, words: list[int]) -> Callable[[Tensor], Tensor]:
    ids = torch.tensor([[tiny.WORDS.index(word) for word in TEXT.split()]])

    @torch.no_grad()
    def score(pixels: Tensor) -> Tensor:
        scores = model.eval()(pixels, ids)
        return torch.stack([scores[0, at, ids[0, at]] for at in words])

    return score


def test_ablation_cam_is_the_loop_of_its_paper(run: vlx.Pass) -> None:
    (found,) = vlx.explain(run, [[vlx.word(0)], [vlx.word(1), vlx.word(3)]], vlx.ablation_cam)[1:]
    model = Speaker().model
    score, pixels, features = scorer(model, [1, 3]), run.below.pixels[1:], run.features[1].detach()
    original, expected = score(pixels), torch.zeros(2, *features.shape[1:], dtype=torch.float64)
    for channel in range(len(features)):
        without = features.clone()
        without[channel] = 0
        hook = model.cnn.features[3].register_forward_hook(lambda *_, without=without: without[None])
        fall = original - score(pixels)
        hook.remove()
        expected += fall[:, None, None] * features[channel]
    assert expected.abs().max() > 0
    np.testing.assert_allclose(found.raw, expected.relu().numpy(), rtol=1e-5, atol=1e-7)


def test_score_cam_is_the_loop_of_its_paper(run: vlx.Pass) -> None:
    (found,) = vlx.explain(run, [[vlx.word(0)], [vlx.word(1)]], vlx.score_cam)[1:]
    score, pixels, features = scorer(Speaker().model, [1]), run.below.pixels[1:], run.features[1].detach()
    rises = []
    for plane in features:
        mask = interpolate(plane[None, None], pixels.shape[-2:], mode="bilinear")
        mask = (mask - mask.min()) / (mask.max() - mask.min()) if mask.max() > mask.min() else mask * 0
        rises.append(score(pixels * mask) - score(pixels * 0))
    weights = torch.stack(rises).softmax(0)
    expected = (weights[:, :, None, None] * features[:, None]).sum(0).relu()
    np.testing.assert_allclose(found.raw, expected.numpy(), rtol=1e-4, atol=1e-6)


def test_rise_is_the_mean_of_its_masks(run: vlx.Pass) -> None:
    (found,) = vlx.explain(run, [[vlx.word(0)], [vlx.word(1)]], vlx.rise_with(count=70, cells=3))[1:]
    score, pixels = scorer(Speaker().model, [1]), run.below.pixels[1:]
    masks = torch.cat(list(perturbed._masks(pixels.shape[-2:], 70, 3, 0.5, 32, 0))).double()  # pyright: ignore
    assert masks.min() >= 0
    assert masks.max() <= 1
    values = torch.cat([score(pixels * mask) for mask in masks])
    expected = ((values - values.mean())[:, None, None] * masks).mean(0) / 0.5
    np.testing.assert_allclose(found.raw[0], expected.numpy(), rtol=1e-4, atol=1e-7)
    again = vlx.explain(run, [[vlx.word(0)], [vlx.word(1)]], vlx.rise_with(count=70, cells=3))[1]
    assert np.array_equal(again.raw, found.raw)


def test_rise_shows_what_a_score_reads() -> None:
    """A score that reads one corner of the image has its map there."""

    def rescore(pixels: Tensor, _position: int) -> Tensor:
        return pixels[:, :1, :4, :4].mean((1, 2, 3))[:, None, None]

    plain = Speaker().read([picture(1)], ["cat"])
    whole = replace(
        plain, below=replace(plain.below, rescore=rescore, pixels=torch.ones_like(plain.below.pixels))
    )
    plane = perturbed.rise(whole, 0, [(vlx.passes.targets.Term(1.0, 0, 0),)], count=2000, cells=4)[0]
    row, col = divmod(int(plane.argmax()), plane.shape[1])
    assert max(row, col) < 6
    assert plane[:3, :3].min() > plane[8:, 8:].max()


def test_smooth_gradient_is_the_mean_of_gradients_under_noise(run: vlx.Pass) -> None:
    (found,) = vlx.explain(run, [[vlx.word(0)], [vlx.word(1), vlx.word(2)]], vlx.smooth_gradient)[1:]
    assert found.raw.shape == (2, 3, tiny.SIZE, tiny.SIZE)
    model, pixels = Speaker().model.eval(), run.below.pixels[1:]
    ids = torch.tensor([[tiny.WORDS.index(word) for word in TEXT.split()]])
    random = torch.Generator().manual_seed(0)
    sigma, expected = 0.15 * float(pixels.max() - pixels.min()), torch.zeros(2, *pixels.shape[1:])
    for _ in range(25):
        noisy = (pixels + torch.randn(pixels.shape, generator=random).double() * sigma).requires_grad_()
        scores = model(noisy, ids)
        for row, at in enumerate((1, 2)):
            score = scores[0, at, ids[0, at]]
            expected[row] += torch.autograd.grad(score, noisy, retain_graph=True)[0][0] / 25
    np.testing.assert_allclose(found.raw, expected.numpy(), rtol=1e-4, atol=1e-6)


def test_without_noise_it_is_the_gradient(run: vlx.Pass) -> None:
    from vlx.methods.smooth import smooth_gradient

    terms = [vlx.word(0).resolve(run.readings[0]).terms]
    found = smooth_gradient(run, 0, terms, count=1, spread=0.0)
    (plain,) = vlx.explain(run, [[vlx.word(0)], [vlx.word(0)]], vlx.gradient)[:1]
    np.testing.assert_allclose(found[0].numpy(), plain.raw[0], rtol=1e-5, atol=1e-8)


def test_eigen_cam_is_the_first_principal_part() -> None:
    torch.manual_seed(0)
    activations = torch.rand(2, 5, 4, 3, dtype=torch.float64)
    found = eigen_cam(activations, activations)
    for item, plane in zip(activations, found, strict=True):
        table = item.flatten(1).T  # places by channels, as the paper writes it
        _, vectors = np.linalg.eigh(table.T.numpy() @ table.numpy())
        expected = np.abs(table.numpy() @ vectors[:, -1]).reshape(4, 3)
        np.testing.assert_allclose(plane.numpy(), expected, rtol=1e-9)
    assert eigen_cam(activations[:1], activations.expand(7, 2, 5, 4, 3)[:, :1]).shape == (7, 1, 4, 3)


@pytest.mark.parametrize("method", [vlx.ablation_cam, vlx.score_cam, vlx.rise, vlx.smooth_gradient])
def test_what_a_pass_lacks_is_said(run: vlx.Pass, method: vlx.Method) -> None:
    with pytest.raises(vlx.VlxError, match="gives no way"):
        vlx.explain(replace(run, above=None, below=None), [vlx.word(0)], method)


PERTURBED = [vlx.ablation_cam, vlx.score_cam, vlx.rise_with(count=4), vlx.smooth_gradient]


@pytest.mark.parametrize("method", PERTURBED, ids=lambda method: method.name)
@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
def test_maps_have_the_precision_of_those_of_other_methods(
    precision: torch.dtype, method: vlx.Method
) -> None:
    speaker = Speaker()
    speaker.model.to(precision)
    run = speaker.read([picture(1)], [TEXT])
    resolved = [[vlx.word(0).resolve(run.readings[0])]]
    assert raw_maps(run, resolved, method).dtype == precision
    assert raw_maps(run, resolved, vlx.grad_cam).dtype == precision
