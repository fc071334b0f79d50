"""Every family that writes text: what is scored, where its features lie, and that nothing is left behind."""

import re
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import vlx
from tests.adapters import conformance
from tests.adapters.conformance import Case
from tests.adapters.huggingface import tiny
from vlx.adapters.huggingface import wrap
from vlx.adapters.huggingface.families import vision_encoder
from vlx.adapters.huggingface.inputs import moved
from vlx.adapters.huggingface.texts import Said
from vlx.errors import LayerError, TextError, VlxError

TEXTS = ("the red ball runs on grass", "a dog")
FAMILIES = {build.__name__: build for build in tiny.SPEAKERS}
SPLIT = {"idefics3_tiles": tiny.idefics3, "smolvlm_tiles": tiny.smolvlm, "internvl_tiles": tiny.internvl}


def noise(height=60, width=90, seed=0):
    random = np.random.default_rng(seed)
    return Image.fromarray(random.integers(0, 256, (height, width, 3), np.uint8))


def built(name):
    model, processor = SPLIT[name](split=True) if name in SPLIT else FAMILIES[name]()
    return wrap(model, *processor) if isinstance(processor, tuple) else wrap(model, processor)


@pytest.fixture(scope="module", params=[*FAMILIES, *SPLIT])
def speaker(request):
    found = built(request.param)
    found.steps = 5
    return found


def case(speaker):
    return Case(speaker, speaker.model, (noise(), noise(seed=1)), TEXTS, beside=2e-4)


@pytest.mark.parametrize(
    "check",
    [
        conformance.check_batch, conformance.check_padding, conformance.check_later_words,
        conformance.check_sums, conformance.check_rescore, conformance.check_above,
        conformance.check_nothing_stays,
    ],
)  # fmt: skip
def test_conforms(speaker, check):
    check(replace(case(speaker), method=vlx.grad_cam))


@pytest.mark.parametrize("size", [(60, 90), (90, 60)])
def test_a_marked_patch_changes_the_features_where_it_lies(speaker, size):
    height, width = size
    alone = deepcopy(speaker.model)
    inside = vision_encoder(alone)
    for name, parameter in alone.get_submodule(inside).named_parameters():
        if re.search(r"att|mlp|fc|dense|ffn|conv\d", name):  # patches keep to themselves
            parameter.data *= 0.02
    speaker = wrap(alone, speaker.parts.joint or speaker.parts.images, speaker.parts.tokenizer)

    def features(picture):
        run = speaker.read([picture], ["a dog"])
        return run.grid(run.features.detach())[0], run.frames[0]

    before, frame = features(Image.new("RGB", (width, height), (110, 120, 130)))
    for row, col in ((0.3, 0.35), (0.3, 0.65), (0.7, 0.35), (0.7, 0.65)):
        marked = Image.new("RGB", (width, height), (110, 120, 130))
        top, left = round(row * height), round(col * width)
        marked.paste((250, 20, 40), (left - 6, top - 6, left + 6, top + 6))
        change = (features(marked)[0] - before).norm(dim=0)
        rows, cols = change.shape
        at = divmod(int(change.argmax()), cols)
        high, wide = frame.input_size
        found = frame.to_image((at[0] + 0.5) * high / rows, (at[1] + 0.5) * wide / cols)
        # Convolutions of random weights carry a patch to the neighbouring cell.
        cells = 1.5 if speaker.model.config.model_type == "florence2" else 0.5
        reach = [6 + cells * (frame.box[2 + axis] - frame.box[axis]) / (rows, cols)[axis] for axis in (0, 1)]
        assert abs(found[0] - top) <= reach[0], (found, (top, left), rows, cols)
        assert abs(found[1] - left) <= reach[1], (found, (top, left), rows, cols)


@pytest.mark.parametrize("beam", [1, 2])
def test_what_is_said_is_scored_as_it_was_emitted(speaker, beam):
    said = speaker.generate([noise()], beam)
    run = speaker.read([noise()], said)
    assert isinstance(said[0], Said)
    assert [index for word in run.readings[0].words for index in word.ids] == list(said[0].ids)
    assert run.readings[0].text == said[0]


def test_greedy_text_is_the_likeliest_token_at_every_step(speaker):
    images, asked = [noise(), noise(seed=1)], ["what is there", "is the dog red"]
    texts = [(None, speaker.generate(images))]
    if speaker.family.takes_prompt:
        texts.append((asked, speaker.respond(images, asked)))
    for prompts, said in texts:
        run = speaker.read(images, said, prompts)
        allowed = run.scores.detach().clone()
        allowed[..., : tiny.ID("a")] = -torch.inf  # the models are kept from saying special tokens
        for row, text in enumerate(said):
            assert allowed[row].argmax(-1)[: len(text.ids)].tolist() == list(text.ids)


def test_a_prompt_counts_and_is_not_scored(speaker):
    if not speaker.family.takes_prompt:
        for call in (
            lambda: speaker.read([noise()], ["a dog"], ["is there"]),
            lambda: speaker.respond([noise()], ["is there"]),
            lambda: vlx.explain_answer(speaker, noise(), "is there", ["a dog"]),
            lambda: vlx.explain_caption(speaker, noise(), prompt="is there"),
        ):
            with pytest.raises(VlxError, match="VisionEncoderDecoderModel takes no prompt"):
                call()
        return
    plain, asked = (
        speaker.read([noise()], TEXTS[1:], prompts) for prompts in (["is there"], ["what colour is the ball"])
    )
    assert len(plain.readings[0].words) == len(asked.readings[0].words) == 2
    assert not torch.equal(plain.scores, asked.scores)


def test_everything_is_as_it_was(speaker):
    model = speaker.model
    before = conformance.whole_state(model), torch.random.get_rng_state().tolist()
    vlx.explain_caption(speaker, noise(), "a dog runs")
    speaker.generate([noise()])
    assert (conformance.whole_state(model), torch.random.get_rng_state().tolist()) == before

    def broken(*_):
        raise ZeroDivisionError("on purpose")

    handle = speaker._vocabulary.register_forward_hook(broken)
    inside = conformance.whole_state(model)
    with pytest.raises(ZeroDivisionError):
        vlx.explain_caption(speaker, noise(), "a dog runs")
    assert conformance.whole_state(model) == inside
    handle.remove()


def test_nothing_below_the_features_is_saved(speaker):
    saved, until = [0], list[int]()

    def pack(tensor):
        saved.append(tensor.nbytes)
        return tensor

    def reached(*_):
        until.append(sum(saved))

    module = speaker._site.layer
    enters = speaker._site.side == "input"
    hook = module.register_forward_pre_hook if enters else module.register_forward_hook
    handle = hook(reached)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        speaker.read([noise()], ["a dog"])
    handle.remove()
    assert until[0] == 0
    assert sum(saved) > 0


def test_gradients_are_those_of_the_whole_graph(speaker):
    run = speaker.read([noise()], ["a dog runs"])
    (result,) = vlx.explain(run, [vlx.caption()], vlx.Method("mean", lambda _, given: given.mean(-3)))
    held = list[torch.Tensor]()

    def keep(_module, inputs, output=None):
        found = inputs[0] if speaker._site.side == "input" else output
        if isinstance(found, tuple):
            found = found[0]
        elif not isinstance(found, torch.Tensor):
            found = found[speaker._site.field]
        if not held:
            found.retain_grad()
            held.append(found)

    module, model = speaker._site.layer, speaker.model
    enters = speaker._site.side == "input"
    handle = (module.register_forward_pre_hook if enters else module.register_forward_hook)(keep)
    kept = list[torch.Tensor]()
    top = speaker._vocabulary.register_forward_hook(lambda _module, _inputs, output: kept.append(output))
    item = speaker._item(noise(), "a dog runs", speaker.family.describe)
    model.requires_grad_(True)
    model(**moved(model, item.inputs))
    rows = (
        item.first
        + torch.arange(len(item.ids))
        + kept[0].shape[1]
        - (item.inputs["decoder_input_ids" if speaker.family.decoder else "input_ids"].shape[1])
    )
    picked = torch.log_softmax(kept[0][0, rows].float(), -1).gather(1, torch.tensor(item.ids)[:, None])
    picked.sum().backward()
    handle.remove()
    top.remove()
    found = held[0].grad
    assert found is not None
    features = run.features
    expected = run.grid(found.reshape(features.shape))[0].mean(-3)
    model.zero_grad()
    torch.testing.assert_close(torch.from_numpy(result.raw[0]), expected, rtol=1e-3, atol=1e-7)
    assert abs(picked.sum().item() - result.targets[0].score) < 1e-4


@pytest.mark.parametrize("name", ["blip", "git", "vit_gpt2", "llava", "qwen2_vl", "blip2_opt"])
def test_the_score_is_the_models_own_loss(name):
    speaker = built(name)
    said = speaker.read([noise()], ["the red ball"])
    item = speaker._item(noise(), "the red ball", speaker.family.describe)
    inputs = moved(speaker.model, item.inputs)
    if speaker.family.decoder:
        labels = torch.tensor([item.ids])
        inputs.pop("decoder_input_ids")
    else:
        labels = torch.full_like(item.inputs["input_ids"], -100)
        labels[0, item.first + 1 :] = torch.tensor(item.ids)
    with torch.no_grad():
        loss = float(speaker.model(**inputs, labels=labels).loss)
    (result,) = vlx.explain(said, [vlx.caption()])
    assert abs(-result.targets[0].score / len(item.ids) - loss) < 1e-5


def test_answers_side_by_side():
    speaker = built("blip_vqa")
    result = vlx.explain_answer(speaker, noise(), "what colour is the ball", ["red", "blue", "no dog there"])
    assert [target.name for target in result.targets] == ["red", "blue", "no dog there"]
    assert result.raw.shape == (3, 4, 4)
    assert result.prompt == "what colour is the ball"
    assert result.words == ()
    for target in result.targets:
        alone = vlx.explain_caption(speaker, noise(), target.name, prompt="what colour is the ball")
        assert target.score == pytest.approx(alone.targets[-1].score, rel=1e-5)
        assert target.probability == pytest.approx(np.exp(target.score), rel=1e-5)
    own = vlx.explain_answer(speaker, noise(), "what colour is the ball")
    assert own.targets[0].name == speaker.respond([noise()], ["what colour is the ball"])[0]


def test_the_mean_gradient_has_a_shorter_way(speaker):
    """Grad-CAM's maps are those of the gradients at every place."""
    run = speaker.read([noise(), noise(seed=1)], TEXTS)
    targets = [vlx.word(0), vlx.word(1), vlx.caption()]
    long_way = replace(vlx.grad_cam, needs_mean_only=False)
    for found, expected in zip(vlx.explain(run, targets), vlx.explain(run, targets, long_way), strict=True):
        np.testing.assert_allclose(found.raw, expected.raw, rtol=1e-3, atol=1e-5 * expected.raw.max())
        assert found.targets == expected.targets


def test_sub_words_and_repeated_words():
    speaker = built("blip")
    (reading,) = speaker.read([noise()], ["dogs runs . dog"]).readings  # dogs is dog and ##s
    assert [word.text for word in reading.words] == ["dogs", "runs", ".", "dog"]
    assert reading.words[0].steps == (0, 1)
    result = vlx.explain_caption(speaker, noise(), "the dog the dog")
    assert [target.name for target in result.targets] == ["the", "dog", "the", "dog", "caption"]
    assert result.targets[0].score != result.targets[2].score


@pytest.mark.parametrize("layer", ["encoder.layers.0", "encoder.layers.0.layernorm_before"])
def test_any_other_layer_of_the_vision_encoder(layer):
    model, (images, words) = tiny.vit_gpt2()
    adapter = wrap(model, images, words, layer=layer)
    result = vlx.explain_caption(adapter, noise(), "a dog")
    assert result.raw.shape == (3, 4, 4)
    assert result.provenance.layer == layer


@pytest.mark.parametrize(
    ("name", "layer", "complaint"),
    [
        ("llava", "model.vision_tower.nothing", "no layer"),
        ("llava", "model.language_model.layers.0", "not part of the vision encoder"),
        ("blip2_opt", "qformer.layernorm", "not part of the vision encoder"),
        ("qwen2_vl", "model.visual.blocks.0", "another order"),
    ],
)
def test_layers_that_cannot_be_drawn(name, layer, complaint):
    built_model, processor = FAMILIES[name]()
    with pytest.raises(LayerError, match=complaint):
        vlx.explain_caption(wrap(built_model, processor, layer=layer), noise(), "a dog")


@pytest.mark.parametrize("name", ["blip", "llava"])
@pytest.mark.parametrize(
    "method", [vlx.gradient, vlx.smooth_gradient, vlx.integrated_with(baseline=vlx.blurred(2.0))],
    ids=lambda method: method.name,
)  # fmt: skip
def test_several_texts_of_one_image_reach_its_pixels(name, method):
    """The image is seen once for all of them, and its pixels are reached for each as for one alone."""
    speaker, image = built(name), noise()
    texts = ["a dog", "a red cat"]
    together = vlx.explain(speaker.read([image] * 2, texts), vlx.word(0), method)
    for text, found in zip(texts, together, strict=True):
        (alone,) = vlx.explain(speaker.read([image], [text]), vlx.word(0), method)
        largest = abs(alone.raw).max()
        assert largest > 0
        np.testing.assert_allclose(found.raw, alone.raw, atol=1e-4 * largest)


@pytest.mark.parametrize("text", ["", "  "])
def test_empty_texts(text):
    with pytest.raises(TextError):
        vlx.explain_caption(built("blip"), noise(), text)


def test_another_word_at_a_step():
    result = vlx.explain_caption(
        built("blip"), noise(), "a dog runs", targets=[vlx.word("dog") - vlx.word("dog", instead="cat")]
    )
    assert result.targets[0].name == "dog - cat"


@pytest.mark.parametrize("name", ["blip", "blip2_opt", "llava", "qwen2_vl", "florence2"])
@pytest.mark.parametrize(("precision", "near"), [(torch.float16, 0.99), (torch.bfloat16, 0.9)])
def test_half_precision_stays_near(name, precision, near):
    full, half = built(name), built(name)
    half.model.to(precision)
    expected, found = (vlx.explain_caption(model, noise(), "the red ball") for model in (full, half))
    assert found.targets[-1].score == pytest.approx(expected.targets[-1].score, rel=0.05)
    assert np.corrcoef(found.raw[-1].ravel(), expected.raw[-1].ravel())[0, 1] > near


@pytest.mark.parametrize("way", ["wrapped", "in place", "checkpointing"])
def test_compiled_and_checkpointed_models_are_explained_as_written(way):
    """The same weights give the same maps; what was compiled stays so."""
    model, (images, tokenizer) = tiny.vit_gpt2()
    expected = vlx.explain_caption(wrap(model, images, tokenizer), noise(), "a dog")
    given = model
    if way == "wrapped":
        given = torch.compile(model, backend="eager")
    elif way == "in place":
        model.compile(backend="eager")
    else:
        newer = getattr(model, "activation_checkpointing_enable", None)
        (newer or model.gradient_checkpointing_enable)()
        model.train()
    found = vlx.explain_caption(wrap(given, images, tokenizer), noise(), "a dog")
    np.testing.assert_allclose(found.raw, expected.raw, rtol=1e-5)
    assert (model._compiled_call_impl is not None) == (way == "in place")
    assert model.training == (way == "checkpointing")


def test_one_image_with_several_texts_is_encoded_once(speaker):
    """Where a model takes one picture of fixed size; its texts score as if each were read alone."""
    image, sizes = noise(), []
    encoder = speaker.model.get_submodule(vision_encoder(speaker.model))
    layer = next(part for part in encoder.modules() if isinstance(part, torch.nn.Conv2d | torch.nn.Conv3d))
    handle = layer.register_forward_hook(lambda _layer, _given, output: sizes.append(len(output)))
    together = speaker.read([image, image, image], [*TEXTS, "the grass"])
    handle.remove()
    if together.below is None:  # tiles, or patches of its own making
        return
    assert sizes == [1]
    targets = [vlx.caption()]
    results = vlx.explain(together, targets)
    for text, found in zip([*TEXTS, "the grass"], results, strict=True):
        (alone,) = vlx.explain(speaker.read([image], [text]), targets)
        assert found.targets[0].score == pytest.approx(alone.targets[0].score, rel=1e-4)
        np.testing.assert_allclose(found.raw, alone.raw, rtol=2e-3, atol=2e-4 * abs(alone.raw).max())
