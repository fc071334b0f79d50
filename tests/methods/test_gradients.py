"""Gradients of many targets at once equal one uncut backward after another."""

import sys
from dataclasses import replace

import pytest
import torch
from torch import Tensor

import vlx
from tests import tiny
from vlx.errors import LayerError
from vlx.methods.gradients import gradients, pixel_gradients
from vlx.passes.targets import Term

gradients_module = sys.modules["vlx.methods.gradients"]
CAPTION = [1, 2, 4, 5]


def uncut(
    model: tiny.Captioner, pixels: Tensor, ids: list[int], step: int, choice: int
) -> tuple[float, Tensor]:
    """One score and its gradient at features.3, from the whole model without any cut."""
    model = model.eval()
    kept: list[Tensor] = []

    def keep(_module, _inputs, output):
        kept.append(output)
        return output.clone()

    handle = model.cnn.features[3].register_forward_hook(keep)
    try:
        score = model(pixels, torch.tensor([ids]))[0, step, choice]
    finally:
        handle.remove()
    (found,) = torch.autograd.grad(score, kept[0])
    return score.item(), found[0]


def words(ids: list[int]) -> list[tuple[Term, ...]]:
    return [(Term(1.0, step, index),) for step, index in enumerate(ids)]


@pytest.mark.parametrize("cut", [True, False])
@pytest.mark.parametrize("chunk", [None, 1, 3])
def test_every_word_equals_its_own_uncut_backward(cut, chunk):
    model, pixels = tiny.captioner(), tiny.pixels_of(1)
    run = tiny.caption_pass(model, pixels, [CAPTION], cut=cut)
    found = gradients(run, [words(CAPTION)], chunk=chunk)
    for step, index in enumerate(CAPTION):
        score, expected = uncut(model, pixels, CAPTION, step, index)
        assert float(found.scores[step, 0]) == pytest.approx(score, abs=1e-12)
        assert expected.abs().max() > 1e-6
        torch.testing.assert_close(found.values[step, 0], expected, rtol=1e-10, atol=1e-12)
    assert found.batched is (chunk != 1)


def test_the_words_sum_to_the_caption():
    run = tiny.caption_pass(tiny.captioner(), tiny.pixels_of(1), [CAPTION])
    whole = tuple(term for word in words(CAPTION) for term in word)
    found = gradients(run, [[*words(CAPTION), whole]])
    torch.testing.assert_close(found.values[:4].sum(0), found.values[4], rtol=1e-10, atol=1e-14)
    torch.testing.assert_close(found.scores[:4].sum(0), found.scores[4])


@pytest.mark.parametrize("cut", [True, False])
def test_two_choices_of_one_step_keep_apart(cut):
    model, pixels = tiny.captioner(), tiny.pixels_of(1)
    run = tiny.caption_pass(model, pixels, [CAPTION], cut=cut)
    contrast = (Term(1.0, 1, 2), Term(-1.0, 1, 3))
    found = gradients(run, [[contrast, (Term(1.0, 1, 3),), (Term(2.5, 1, 2),)]])
    _, dog = uncut(model, pixels, CAPTION, 1, 2)
    _, cat = uncut(model, pixels, CAPTION, 1, 3)
    torch.testing.assert_close(found.values[0, 0], dog - cat, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(found.values[1, 0], cat, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(found.values[2, 0], 2.5 * dog, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("cut", [True, False])
def test_a_batch_of_different_texts_equals_single_runs(cut):
    model, pixels = tiny.captioner(), tiny.pixels_of(3)
    captions = [[1, 2, 4, 5], [3, 7], [1, 6, 7]]
    together = gradients(
        tiny.caption_pass(model, pixels, captions, cut=cut), [words(ids) for ids in captions]
    )
    for b, ids in enumerate(captions):
        run = tiny.caption_pass(model, pixels[b : b + 1], [ids], cut=cut)
        single = gradients(run, [words(ids)])
        torch.testing.assert_close(together.values[: len(ids), b], single.values[:, 0], rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(together.scores[: len(ids), b], single.scores[:, 0])
        assert not together.values[len(ids) :, b].any()


class Opaque(torch.autograd.Function):
    """An operation without a batching rule that cannot even be traced by one."""

    @staticmethod
    def forward(ctx, x):
        return 2 * x

    @staticmethod
    def backward(ctx, grad):
        return grad * (2.0 if float(grad.sum()) != 12345.0 else 0.0)


def test_unbatchable_operations_fall_back_to_a_loop_and_say_so():
    model, pixels = tiny.captioner(), tiny.pixels_of(1)
    plain = gradients(tiny.caption_pass(model, pixels, [CAPTION]), [words(CAPTION)])
    handle = model.cnn.fc.register_forward_hook(lambda _m, _i, out: Opaque.apply(out) / 2)
    try:
        looped = gradients(tiny.caption_pass(model, pixels, [CAPTION]), [words(CAPTION)])
    finally:
        handle.remove()
    assert plain.batched
    assert not looped.batched
    torch.testing.assert_close(looped.values, plain.values)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_agrees_with_double_and_sums_in_float32(dtype):
    model, pixels = tiny.captioner(), tiny.pixels_of(1)
    exact = gradients(tiny.caption_pass(model, pixels, [CAPTION]), [words(CAPTION)]).values.flatten(1)
    half = tiny.caption_pass(model.to(dtype), pixels.to(dtype), [CAPTION])
    found = gradients(half, [words(CAPTION)]).values
    assert found.dtype == torch.float32
    likeness = torch.cosine_similarity(found.flatten(1).double(), exact, dim=1)
    assert likeness.min() > 0.95


def test_gradients_that_float16_would_lose_survive():
    model, pixels = tiny.captioner(), tiny.pixels_of(1)
    with torch.no_grad():
        model.cnn.fc.weight.mul_(1e-2)
        model.cnn.fc.bias.fill_(0.5)
        model.lstm.weight_ih_l0.mul_(1e-3)
    exact = gradients(tiny.caption_pass(model, pixels, [CAPTION]), [words(CAPTION)]).values.flatten(1)
    assert 0 < exact.abs().max() < 6e-5  # below the smallest normal float16
    half = tiny.caption_pass(model.half(), pixels.half(), [CAPTION], cut=False)
    (naive,) = torch.autograd.grad(half.scores[0, 3, 5], half.features, retain_graph=True)
    found = gradients(half, [words(CAPTION)]).values
    likeness = torch.cosine_similarity(found.flatten(1).double(), exact, dim=1)
    assert likeness.min() > 0.98
    assert torch.cosine_similarity(naive.flatten().double(), exact[3], dim=0) < likeness[3]


def test_pixel_gradient_equals_the_uncut_one():
    model, pixels = tiny.captioner().eval(), tiny.pixels_of(1)
    run = tiny.caption_pass(model, pixels, [CAPTION])
    found, relus = pixel_gradients(run, gradients(run, [words(CAPTION)]))
    assert relus == 0
    inputs = pixels.clone().requires_grad_()
    scores = model(inputs, torch.tensor([CAPTION]))
    for step, index in enumerate(CAPTION):
        (expected,) = torch.autograd.grad(scores[0, step, index], inputs, retain_graph=True)
        torch.testing.assert_close(found[step, 0], expected[0], rtol=1e-9, atol=1e-13)


def test_targets_must_match_the_items():
    run = tiny.caption_pass(tiny.captioner(), tiny.pixels_of(2), [CAPTION, CAPTION])
    with pytest.raises(vlx.VlxError, match="1 lists of targets for 2 items"):
        gradients(run, [words(CAPTION)])


def test_weights_that_are_not_finite_are_told():
    model = tiny.captioner()
    with torch.no_grad():
        model.cnn.fc.weight.fill_(float("nan"))
    run = tiny.caption_pass(model, tiny.pixels_of(1), [CAPTION])
    with pytest.raises(vlx.VlxError, match="not finite"):
        gradients(run, [words(CAPTION)])


def test_a_cut_whose_rows_are_not_the_steps_is_refused():
    """Rows dropped behind the vocabulary layer would have each word explained by the one before."""
    run = tiny.caption_pass(tiny.captioner(), tiny.pixels_of(1), [CAPTION])
    with pytest.raises(LayerError, match=r"saw 5 rows for 4 steps.*steps="):
        replace(run, scores=run.scores[:, 1:])


def test_targets_are_differentiated_in_parts_where_room_is_short(monkeypatch):
    run = tiny.caption_pass(tiny.captioner(), tiny.pixels_of(1), [CAPTION])
    whole = gradients(run, [words(CAPTION)])
    sizes: list[int] = []
    plain = gradients_module._grad

    def counted(root, features, seeds, layer, batched):
        sizes.append(len(seeds) if batched else 1)
        return plain(root, features, seeds, layer, batched)

    monkeypatch.setattr(gradients_module, "_grad", counted)
    largest = max(part.numel() * part.element_size() for part in (run.features, run.shortcuts.cut.above))
    monkeypatch.setattr(gradients_module, "ROOM", 3 * gradients_module._WIDER * largest)
    parts = gradients(run, [words(CAPTION)])
    assert sizes == [3, 1]
    torch.testing.assert_close(parts.values, whole.values)
