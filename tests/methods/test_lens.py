"""Image tokens read as words: the logit lens, TAM's subtraction and its rank filter, as literal loops."""

import numpy as np
import pytest
import torch

import vlx
from tests.adapters import small
from tests.adapters.huggingface import tiny
from tests.passes.test_capture import state_of
from vlx.adapters.huggingface import wrap
from vlx.adapters.huggingface.families import vocabulary_layer
from vlx.errors import VlxError
from vlx.eval.runs.methods import told
from vlx.methods.lens import rank_filter

SAYING = "a red dogs runs"


def hidden_of(model, inputs):
    """All hidden states of the last layer, as transformers itself hands them out."""
    with torch.no_grad():
        return model.model(**inputs, output_hidden_states=True).hidden_states[-1]


def read(model, photos, texts):
    """A run, and the inputs that the model was called with."""
    given = []
    handle = model.model.register_forward_pre_hook(
        lambda _module, _args, named: given.append(dict(named)), with_kwargs=True
    )
    run = model.read(photos, texts)
    handle.remove()
    return run, given[0]


def literal(hidden, ids, image, weight, special, row, choice):
    """The map of one token, less the interference of the earlier ones: nested loops over the formula."""
    places = [at for at, token in enumerate(ids) if token == image]
    own = [max(float(hidden[at] @ weight[choice]), 0.0) for at in places]
    earlier = [
        at
        for at in range(places[-1] + 1, row + 1)
        if ids[at] not in special and ids[at] != choice and ids[at] != image
    ]
    relevance = {at: max(float(hidden[at] @ weight[choice]), 0.0) for at in earlier}
    total = sum(relevance.values())
    if total == 0:
        return own, own
    mixed = [
        sum(relevance[k] / total * max(float(hidden[at] @ weight[ids[k]]), 0.0) for k in earlier)
        for at in places
    ]
    size = sum(one * one for one in mixed)
    share = sum(a * b for a, b in zip(own, mixed, strict=True)) / size if size else 0.0
    return own, [max(a - share * b, 0.0) for a, b in zip(own, mixed, strict=True)]


@pytest.mark.parametrize("family", ["llava", "qwen2_vl", "paligemma"])
def test_maps_are_those_of_a_literal_loop(family):
    model = wrap(*getattr(tiny, family)())
    photos = small.photos((40, 48), (40, 48))
    texts = [SAYING, "the dog"]
    run, inputs = read(model, photos, texts)
    hidden, weight = hidden_of(model, inputs), vocabulary_layer(model.model).weight.detach()
    special = set(model.parts.tokenizer.all_special_ids)
    image = model.model.config.image_token_id
    methods = [vlx.logit_lens, vlx.logit_lens_with(interference=True)]
    targets = [vlx.word(at) for at in range(2)]
    shown = 0.0
    for item, of_item in enumerate(vlx.explain(run, targets, methods)):
        plain, less = of_item
        ids = inputs["input_ids"][item].tolist()
        for at in range(2):
            word = run.readings[item].words[at]
            made = [
                literal(hidden[item], ids, image, weight, special, int(run.lens.last[item, step]), own)
                for step, own in zip(word.steps, word.ids, strict=True)
            ]
            for found, part in ((plain, 0), (less, 1)):
                wanted = np.sum([one[part] for one in made], 0).reshape(found.raw[at].shape)
                assert found.raw[at] == pytest.approx(wanted, abs=1e-4)
                shown += np.abs(wanted).sum()
    assert shown > 0


def literal_filter(found):
    padded, out = np.pad(found, 1, mode="reflect"), np.zeros_like(found)
    for row in range(found.shape[0]):
        for col in range(found.shape[1]):
            window = sorted(padded[row : row + 3, col : col + 3].ravel())
            mean, spread = np.mean(window), np.std(window)
            if mean <= 0:
                continue
            sigma = spread / mean
            weights = [
                np.exp(-((rank - 4) ** 2) / (2 * sigma**2)) if sigma else rank == 4 for rank in range(9)
            ]
            out[row, col] = np.dot(weights, window) / np.sum(weights)
    return out


def test_the_rank_filter_is_a_literal_loop():
    random = np.random.default_rng(0)
    for found in (random.random((5, 7)), random.random((2, 2)), np.maximum(random.normal(size=(6, 4)), 0)):
        assert rank_filter(torch.from_numpy(found)).numpy() == pytest.approx(literal_filter(found), abs=1e-9)
    alike = torch.full((4, 4), 3.0)
    assert rank_filter(alike).numpy() == pytest.approx(alike.numpy(), rel=1e-6)
    assert rank_filter(torch.zeros(3, 5)).abs().max() == 0
    spike = torch.ones(5, 5)
    spike[2, 2] = 1.5
    assert rank_filter(spike)[2, 2] < 1.05  # a lone place is no object
    for shape in ((1, 6), (6, 1), (1, 1)):
        assert rank_filter(torch.rand(shape)).shape == shape


def test_with_both_it_is_the_token_activation_map():
    assert vlx.logit_lens_with(interference=True, ranked=True) is vlx.token_activation_map
    assert vlx.logit_lens_with() == vlx.logit_lens
    model = wrap(*tiny.llava())
    run = model.read(small.photos((40, 48)), [SAYING])
    asked = [vlx.logit_lens_with(interference=True), vlx.token_activation_map]
    targets = [vlx.word(1), vlx.word(3), vlx.word(1) - 2 * vlx.word(3)]
    ((less, whole),) = vlx.explain(run, targets, asked)
    assert whole.raw[0] == pytest.approx(rank_filter(torch.from_numpy(less.raw[0])).numpy(), abs=1e-5)
    assert whole.raw[2] == pytest.approx(whole.raw[0] - 2 * whole.raw[1], abs=1e-5)
    assert whole.maps.shape == (3, 40, 48)
    for name in ("logit_lens", "logit_lens_ranked", "logit_lens_less_earlier", "token_activation_map"):
        assert vlx.method_named(name).name == name
    assert len({told(vlx.method_named(name)) for name in ("logit_lens", "token_activation_map")}) == 2


def test_several_texts_of_one_image_are_those_of_each():
    model = wrap(*tiny.llava())
    (photo,) = small.photos((40, 48))
    texts = [SAYING, "a cat"]
    run = model.read([photo, photo], texts)
    together = vlx.explain(run, [vlx.word(0), vlx.caption()], vlx.token_activation_map)
    for text, mine in zip(texts, together, strict=True):
        (alone,) = vlx.explain(
            model.read([photo], [text]), [vlx.word(0), vlx.caption()], vlx.token_activation_map
        )
        assert mine.raw == pytest.approx(alone.raw, abs=1e-4)


def test_half_precision_and_the_model_as_it_was():
    model = wrap(*tiny.llava())
    photos = small.photos((40, 48))
    model.read(photos, [SAYING])  # transformers adds hooks of its own to a model on its first run
    before = state_of(model.model)
    (full,) = vlx.explain(model.read(photos, [SAYING]), vlx.word(1), vlx.logit_lens)
    assert state_of(model.model) == before
    assert not vocabulary_layer(model.model)._forward_pre_hooks
    model.model.to(torch.bfloat16)
    (half,) = vlx.explain(model.read(photos, [SAYING]), vlx.word(1), vlx.logit_lens)
    assert half.raw == pytest.approx(full.raw, abs=0.1 * float(np.abs(full.raw).max()))


@pytest.mark.parametrize("family", ["blip", "git"])
def test_models_without_image_tokens_in_their_text_say_so(family):
    model = wrap(*getattr(tiny, family)())
    run = model.read(small.photos((40, 48)), ["a dog"])
    for method in (vlx.logit_lens, "token_activation_map"):
        with pytest.raises(VlxError, match="no image tokens, one for each place, beside the words"):
            vlx.explain(run, vlx.word(0), method)
    answerer = small.vqa()
    with pytest.raises(VlxError, match="no image tokens"):
        vlx.explain_answer(answerer, small.photos((32, 32))[0], "is there a dog ?", method="logit_lens")
