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
from vlx.adapters.huggingface import load_huggingface, wrap
from vlx.errors import CheckpointError, LayerError, TextError, UnknownChoice, VlxError

CHECKS = (conformance.check_parts, conformance.check_batch, conformance.check_nothing_stays)


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
