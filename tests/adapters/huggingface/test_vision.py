"""ViLT, CLIP, SigLIP and classifiers; and how a model is recognised, loaded and refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import transformers as hf
from PIL import Image

import vlx
from tests.adapters import conformance
from tests.adapters.conformance import Case
from tests.adapters.huggingface import tiny
from tests.adapters.huggingface.test_speakers import noise
from tests.passes.test_unwrap import peft_model
from vlx.adapters.huggingface import load_huggingface, wrap
from vlx.errors import CheckpointError, LayerError, TextError, UnknownChoice, VlxError

CHECKS = (
    conformance.check_parts,
    conformance.check_batch,
    conformance.check_nothing_stays,
    conformance.check_above,
)


def gradients_at_places(run):
    (result,) = vlx.explain(run, [vlx.label(0)], vlx.Method("size", lambda _, given: given.abs().sum(-3)))
    return result.raw[0]


@pytest.fixture(params=tiny.CLASSIFIERS, ids=lambda build: build.__name__)
def classifier(request):
    return wrap(*request.param())


@pytest.mark.parametrize(
    "check", [*CHECKS, conformance.check_pixels, conformance.check_rescore, conformance.check_nothing_below]
)
def test_classifiers_conform(classifier, check):
    case = Case(classifier, classifier.model, (noise(), noise(seed=1)), beside=2e-4)
    check(replace(case, method=vlx.grad_cam))


def test_every_patch_has_a_gradient(classifier):
    assert (gradients_at_places(classifier.read([noise()])) > 0).mean() > 0.5


def test_classes_by_name(classifier):
    result = vlx.explain_label(classifier, noise(), ["cat"])
    assert result.targets[0].name == "cat"
    assert dict(result.predicted)["cat"] == pytest.approx(result.targets[0].probability)


def test_a_layer_where_the_class_token_alone_has_a_gradient():
    model, images = tiny.vit()
    with pytest.raises(LayerError, match="class token alone"):
        vlx.explain_label(wrap(model, images, layer="vit.layers.1"), noise())


@pytest.mark.parametrize("method", [vlx.guided_backprop, vlx.guided_grad_cam])
def test_a_model_without_relu_is_not_guided(method):
    with pytest.raises(VlxError, match="no ReLU"):
        vlx.explain_label(wrap(*tiny.vit()), noise(), method=method)


def test_plain_gradients_reach_the_pixels(classifier):
    result = vlx.explain_label(classifier, noise(), method=vlx.gradient)
    assert result.raw.shape[1] == 3
    assert abs(result.raw).max() > 0


@pytest.fixture
def vilt():
    return wrap(*tiny.vilt())


@pytest.mark.parametrize("check", [*CHECKS, conformance.check_rescore])
def test_vilt_conforms(vilt, check):
    case = Case(vilt, vilt.model, (noise(), noise(seed=1)), ("what is there", "is the dog red"), beside=2e-4)
    check(replace(case, method=vlx.grad_cam))


def test_vilt_sees_its_patches_in_order_and_leaves_the_random_state(vilt):
    before = torch.random.get_rng_state()
    first, again = (vilt.read([noise()], ["what is there"]) for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.testing.assert_close(first.features, again.features)
    for model_order in range(3):  # the model alone shuffles: its answer is the same whatever the order
        torch.manual_seed(model_order)
        given = vilt.parts.joint(images=noise(), text="what is there", return_tensors="pt")
        with torch.no_grad():
            torch.testing.assert_close(
                vilt.model(**given).logits[0], first.scores[0, 0], rtol=1e-4, atol=1e-5
            )
    assert "visual_embed" not in vars(vilt.model.vilt.embeddings)


def test_vilt_patches_lie_where_they_are(vilt):
    plain = Image.new("RGB", (90, 60), (110, 120, 130))
    marked = plain.copy()
    marked.paste((250, 20, 40), (60, 15, 75, 30))
    maps = []
    for picture in (plain, marked):
        run = vilt.read([picture], ["what is there"])
        maps.append(run.grid(run.features.detach())[0])
    change = (maps[1] - maps[0]).norm(dim=0)
    assert change.shape == (4, 6)
    assert divmod(int(change.argmax()), 6) == (1, 4)


def test_vilt_answers():
    vilt = wrap(*tiny.vilt())
    result = vlx.explain_answer(vilt, noise(), "what colour is the ball", ["red", "no"])
    assert [target.name for target in result.targets] == ["red", "no"]
    assert len(result.predicted) == 3
    scores = [target.score for target in result.targets]  # each answer was learnt for itself
    assert [t.probability for t in result.targets] == pytest.approx(shares(scores, torch.sigmoid), rel=1e-5)
    with pytest.raises(UnknownChoice, match="red"):
        vlx.explain_answer(vilt, noise(), "what colour is the ball", ["rad"])
    with pytest.raises(TextError, match="empty"):
        vlx.explain_answer(vilt, noise(), " ")


def test_a_vilt_that_drops_patches_says_so():
    model, processor = tiny.vilt()
    model.config.max_image_length = 5
    with pytest.raises(LayerError, match="max_image_length"):
        vlx.explain_answer(wrap(model, processor), noise(), "what is there")


@pytest.mark.parametrize("build", [tiny.clip, tiny.siglip])
def test_texts_that_fit(build):
    model, processor = build()
    result = vlx.explain_match(wrap(model, processor), noise(), ["a dog", "a red ball", "grass"])
    assert [target.name for target in result.targets] == ["a dog", "a red ball", "grass"]
    assert result.raw.shape == (3, 4, 4)
    padding = "max_length" if build is tiny.siglip else True
    words = ["a dog", "a red ball", "grass"]
    given = processor(images=noise(), text=words, return_tensors="pt", padding=padding)
    with torch.no_grad():
        own = model(
            **{name: given[name] for name in ("input_ids", "attention_mask", "pixel_values") if name in given}
        )
    scores = [target.score for target in result.targets]
    assert scores == pytest.approx(own.logits_per_image[0].tolist(), rel=1e-4)
    run = wrap(model, processor).compare([noise()], words)
    torch.testing.assert_close(
        run.below.rescore(run.below.pixels, 0), run.scores.detach(), rtol=1e-4, atol=1e-5
    )
    assert (gradients_at_places(run) > 0).mean() == 1


def test_texts_are_padded_as_siglip_learnt_to_read_them():
    """Up to its full length, whatever the tokenizer says of it: that of SigLIP 2 sets no length."""
    model, processor = tiny.siglip()
    expected = wrap(model, processor).compare([noise()], ["a dog", "the red ball on grass"]).scores
    processor.tokenizer.model_max_length = int(1e30)
    adapter = wrap(model, processor)
    found = adapter.compare([noise()], ["a dog", "the red ball on grass"]).scores
    torch.testing.assert_close(found, expected)
    for at, text in enumerate(("a dog", "the red ball on grass")):
        alone = adapter.compare([noise()], [text]).scores
        torch.testing.assert_close(alone[..., 0], found[..., at], rtol=1e-4, atol=1e-5)
        own = processor(images=noise(), text=text, return_tensors="pt", padding="max_length", max_length=16)
        with torch.no_grad():
            assert float(model(**own).logits_per_image) == pytest.approx(float(alone), rel=1e-4)


@pytest.mark.parametrize("texts", [["a dog"], ["a dog", "the red ball on grass"]])
def test_siglip_of_any_resolution(texts):
    """Patches that the processor cut, and texts padded to 64 tokens: the logits are the model's own."""
    model, processor = tiny.naflex()
    adapter = wrap(model, processor)
    for size in ((60, 90), (90, 60), (64, 64)):
        run = adapter.compare([noise(*size), noise(*size, seed=1)], texts)
        own = processor(
            images=[noise(*size), noise(*size, seed=1)], text=texts, return_tensors="pt",
            images_kwargs={"patch_size": 8, "max_num_patches": 16},
        )  # fmt: skip
        assert own["input_ids"].shape == (len(texts), 64)
        with torch.no_grad():
            torch.testing.assert_close(
                run.scores[:, 0].detach(), model(**own).logits_per_image, rtol=1e-4, atol=1e-5
            )
        rows, cols = own["spatial_shapes"][0].tolist()
        for result in vlx.explain(run, [vlx.label(0)]):
            assert result.raw.shape == (1, rows, cols)
            assert np.abs(result.frame.box).max() == pytest.approx(max(size), rel=0.02)
        assert gradients_at_places(adapter.compare([noise(*size)], texts)).min() > 0


@pytest.mark.parametrize(("build", "room"), [(tiny.clip, 16), (tiny.siglip, 16), (tiny.naflex, 64)])
def test_texts_longer_than_a_model_reads_are_not_cut(build, room):
    adapter = wrap(*build())
    fits, longer = " ".join(["dog"] * (room - 2)), " ".join(["dog"] * (room - 1))
    assert adapter.compare([noise()], [fits, "a dog"]).scores.isfinite().all()
    with pytest.raises(TextError, match=f"'dog dog.*is {room + 1} tokens long.*reads {room}: shorten it"):
        adapter.compare([noise()], ["a dog", longer])


def shares(scores, how):
    return how(torch.tensor(scores)).tolist()


@pytest.mark.parametrize(
    ("settings", "how"),
    [
        ({"num_labels": 1}, torch.sigmoid),
        ({"num_labels": 1, "problem_type": "regression"}, None),
        ({"num_labels": 3, "problem_type": "regression"}, None),
        ({"num_labels": 3, "problem_type": "multi_label_classification"}, torch.sigmoid),
        ({"num_labels": 3, "problem_type": "single_label_classification"}, lambda x: x.softmax(-1)),
        ({"num_labels": 3}, lambda x: x.softmax(-1)),
    ],
)
def test_the_probability_of_a_class_is_what_its_head_was_trained_for(settings, how):
    config = hf.ViTConfig(**tiny._VISION, **settings)
    model = tiny.spread(hf.ViTForImageClassification(config))
    names = list(range(settings["num_labels"]))
    adapter = wrap(model, hf.ViTImageProcessor(size=tiny._SQUARE))
    result = vlx.explain_label(adapter, noise(), names)
    found = [target.probability for target in result.targets]
    if how is None:
        assert found == [None] * len(names)
        assert result.predicted == ()
        return
    assert found == pytest.approx(shares([target.score for target in result.targets], how), rel=1e-5)
    assert dict(result.predicted) == pytest.approx({t.name: t.probability for t in result.targets})


@pytest.mark.parametrize(
    ("build", "texts", "how"),
    [
        (tiny.siglip, ["a dog"], torch.sigmoid),
        (tiny.siglip, ["a dog", "grass"], torch.sigmoid),
        (tiny.naflex, ["a dog"], torch.sigmoid),
        (tiny.clip, ["a dog", "grass"], lambda x: x.softmax(-1)),
        (tiny.clip, ["a dog"], None),  # trained to choose among texts
    ],
)
def test_the_probability_of_a_text_is_what_the_model_was_trained_for(build, texts, how):
    result = vlx.explain_match(wrap(*build()), noise(), texts)
    found = [target.probability for target in result.targets]
    scores = [target.score for target in result.targets]
    assert found == ([None] if how is None else pytest.approx(shares(scores, how), rel=1e-5))
    assert len(result.predicted) == (0 if how is None else len(texts))


def test_no_texts_to_compare():
    with pytest.raises(TextError, match="at least one"):
        vlx.explain_match(wrap(*tiny.clip()), noise(), [])


def test_an_unknown_family_says_what_is_known():
    config = hf.DetrConfig(
        use_timm_backbone=False, use_pretrained_backbone=False, backbone_config=hf.ResNetConfig()
    )
    with torch.device("meta"):
        model = hf.DetrForObjectDetection(config)
    with pytest.raises(
        VlxError, match=r"no adapter for DetrForObjectDetection \(detr\).*llava.*write an adapter"
    ):
        wrap(model, hf.ViTImageProcessor(), tiny.tokenizer())


def labelled(config):
    return {**tiny._LABELS, **config}


CLASSIFIERS = {
    "two heads": lambda: hf.DeiTForImageClassificationWithTeacher(hf.DeiTConfig(**labelled(tiny._VISION))),
    "logits by another name": lambda: hf.PPLCNetForImageClassification(hf.PPLCNetConfig(**tiny._LABELS)),
    "norms of its own naming": lambda: hf.PvtV2ForImageClassification(
        hf.PvtV2Config(
            image_size=64, hidden_sizes=[8, 16, 24, 32], num_attention_heads=[1, 1, 2, 2],
            depths=[1, 1, 1, 1], **tiny._LABELS,
        )
    ),
}  # fmt: skip


@pytest.mark.parametrize("build", CLASSIFIERS.values(), ids=CLASSIFIERS)
def test_classifiers_of_other_shapes(build):
    model = tiny.spread(build())
    side = 32 if "DeiT" in type(model).__name__ else 64
    images = hf.ViTImageProcessor(size={"height": side, "width": side})
    result = vlx.explain_label(wrap(model, images), noise(), ["dog", "cat", "ball"])
    with torch.no_grad():
        own = model(**images(images=noise(), return_tensors="pt"))
    logits = own["logits"] if "logits" in own else own[0]
    assert [target.score for target in result.targets] == pytest.approx(logits[0].tolist(), rel=1e-4)
    assert abs(result.raw).max() > 0


def test_models_and_processors_that_do_not_read_pixels():
    small = dict(n_embd=16, n_layer=1, n_head=2, vocab_size=9, n_positions=16)
    model = hf.ImageGPTForImageClassification(hf.ImageGPTConfig(**small, num_labels=3))
    clusters = np.linspace(-1, 1, 24).reshape(8, 3)
    images = hf.ImageGPTImageProcessor(size={"height": 4, "width": 4}, clusters=clusters)
    with pytest.raises(VlxError, match="no adapter for ImageGPTForImageClassification"):
        wrap(model, images)
    with pytest.raises(VlxError, match="makes no pixels but input_ids"):
        wrap(tiny.vit()[0], images)


@pytest.mark.parametrize("build", [tiny.blip, tiny.vit, tiny.clip])
def test_a_model_without_its_processor(build):
    with pytest.raises(VlxError, match="needs what prepares its images"):
        wrap(build()[0], None)


@pytest.mark.parametrize("build", [tiny.llava, tiny.qwen2_vl, tiny.paligemma, tiny.blip2_opt, tiny.vilt])
def test_a_model_that_needs_a_joint_processor(build):
    model, processor = build()
    adapter = wrap(model, processor.image_processor, processor.tokenizer)
    explained = vlx.explain_answer if build is tiny.vilt else vlx.explain_caption
    with pytest.raises(VlxError, match="needs the processor of images and texts together"):
        explained(adapter, noise(), "a dog")


def test_a_captioner_without_a_tokenizer():
    model, (images, _) = tiny.vit_gpt2()
    with pytest.raises(VlxError, match="needs a tokenizer"):
        wrap(model, images)


@pytest.mark.parametrize("build", [tiny.blip, tiny.vit_gpt2, tiny.llava, tiny.vit, tiny.vilt, tiny.clip])
def test_a_folder_is_loaded(build, tmp_path):
    model, processor = build()
    model.save_pretrained(tmp_path)
    for part in processor if isinstance(processor, tuple) else (processor,):
        part.save_pretrained(tmp_path)
    loaded = vlx.load(f"hf:{tmp_path}")
    direct = wrap(model, *processor) if isinstance(processor, tuple) else wrap(model, processor)
    assert type(loaded) is type(direct)
    assert loaded.layer == direct.layer
    assert loaded.name == f"hf:{tmp_path}"
    if hasattr(direct, "generate"):
        assert loaded.generate([noise()]) == direct.generate([noise()])


def test_folders_that_cannot_be_loaded(tmp_path):
    with pytest.raises(CheckpointError, match="could not be loaded"):
        load_huggingface(str(tmp_path))
    model, images = tiny.vit()
    model.save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="could not be loaded"):  # without its image processor
        load_huggingface(str(tmp_path))
    images.save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"\xff" * 100)
    with pytest.raises(CheckpointError, match="could not be loaded"):
        load_huggingface(str(tmp_path))
    (tmp_path / "model.safetensors").unlink()
    np.save(tmp_path / "x.npy", np.zeros(3))
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")  # pickles are never opened
    with pytest.raises(CheckpointError, match="could not be loaded"):
        load_huggingface(str(tmp_path))


@pytest.mark.parametrize("around", [torch.nn.DataParallel, peft_model])
def test_wrapped_models_are_unwrapped(around):
    model, processor = tiny.vit()
    found = vlx.explain_label(wrap(around(model), processor), noise())
    assert np.array_equal(found.raw, vlx.explain_label(wrap(model, processor), noise()).raw)


def test_a_plain_model_of_transformers_is_explained_on_tensors():
    """By the tensors alone, or by all that its processor made."""
    model, processor = tiny.vit()
    inputs = processor(noise(), return_tensors="pt")
    expected = vlx.explain_label(wrap(model, processor), noise(), [1])
    for given in (inputs["pixel_values"], inputs):
        found = vlx.explain_model(model, given, 1)
        np.testing.assert_allclose(found.numpy(), expected.raw, rtol=1e-4, atol=1e-9)
