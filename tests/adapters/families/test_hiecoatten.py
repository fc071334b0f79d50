"""HieCoAttenVQA as an adapter: its published files, its answers, and where it looks."""

import copy
import json
import os
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import vlx
from tests.adapters import published, small
from tests.adapters.conformance import CHECKS, Case, check_patch
from tests.adapters.files.caffe_writer import write_caffemodel
from tests.adapters.files.t7_writer import write_t7
from tests.adapters.nets.test_coattention import literal_logits, network, published_vectors
from tests.adapters.nets.test_lua import network as pre_activation
from tests.adapters.tiny_resnet import tiny_resnet
from vlx.adapters.families.hiecoatten import RESIDUAL, VGG, load_eye, load_hiecoatten
from vlx.adapters.nets.caffe import VGG19
from vlx.adapters.nets.coattention import CoAttentionNetwork
from vlx.adapters.parts.coattention import CoAttentionAnswerer, spread_of
from vlx.errors import CheckpointError, LayerError, TextError, UnknownChoice
from vlx.images.preprocess import Squash

SPOKEN = ("is", "the", "dog", "red", "what", "colour", "?", "a", "cat", "bike", "UNK")
ANSWERS = ("yes", "no", "red", "blue", "two")
ASKED = ("Is the dog red?", "what colour ?", "is the zebra on a red, red bike ?")
STEPS = 8
PHOTOS = small.photos((64, 64), (90, 70), (48, 99))


def eye(channels: int = 5) -> nn.Sequential:
    """A small CNN that ends in a map."""
    torch.manual_seed(2)
    layers = OrderedDict(
        conv=nn.Conv2d(3, 6, 5, 4, 2), relu=nn.ReLU(), last=nn.Conv2d(6, channels, 3, 2, 1), end=nn.ReLU()
    )
    return nn.Sequential(layers)


def write(
    folder: Path,
    variant: str = "Alternating",
    *,
    features: int = 5,
    cuda: bool = True,
    sharp: float = 1.0,
    **options,
) -> CoAttentionNetwork:
    """Write checkpoint and vocabulary; give the network that was written, without its CNN."""
    torch.manual_seed(6)
    own = CoAttentionNetwork(
        nn.Identity(), features, len(SPOKEN) + 1, len(ANSWERS),
        variant=variant, hidden=8, last=16, layers=2, steps=STEPS,
    )  # fmt: skip
    with torch.no_grad():
        for parameter in own.parameters():
            parameter.mul_(1.5)
        for level in (own.of_words, own.of_phrases, own.of_question):
            for name, layer in level.named_children():
                if name.endswith("score"):
                    layer.weight.mul_(sharp)
    stated = {"seq_length": STEPS, "vocab_size": len(SPOKEN), "atten_type": variant, **options}
    table = {
        **published_vectors(own),
        "lmOpt": {key: value for key, value in stated.items() if value is not None},
    }
    write_t7(folder / "model.t7", {key: detached(value) for key, value in table.items()}, cuda=cuda)
    words = {str(at): word for at, word in enumerate(SPOKEN, 1)}
    answers = {str(at): answer for at, answer in enumerate(ANSWERS, 1)}
    facts = {"ix_to_word": words, "ix_to_ans": answers, "unique_img_train": [], "uniuqe_img_test": []}
    (folder / "vqa_data_prepro.json").write_text(json.dumps(facts))
    return own.double().eval().requires_grad_(False)


def detached(value):
    return value.detach().float().contiguous() if isinstance(value, torch.Tensor) else value


def loaded(folder: Path, cnn=None, **options) -> CoAttentionAnswerer:
    chosen = eye() if cnn is None else cnn
    return load_hiecoatten(folder / "model.t7", folder / "vqa_data_prepro.json", chosen, **options)


def small_images(model: CoAttentionAnswerer, side: tuple[int, int] = (32, 40)) -> CoAttentionAnswerer:
    """The same model in double precision on smaller images."""
    model.network.double()
    model.preprocess = replace(model.preprocess, resize=Squash(side))
    return model


@pytest.mark.parametrize("cuda", [True, False])
@pytest.mark.parametrize("variant", ["Alternating", "Parallel"])
def test_answers_are_those_of_the_published_equations(tmp_path, variant, cuda):
    own = write(tmp_path, variant, cuda=cuda)
    own.cnn = eye().double().requires_grad_(False)
    model = small_images(loaded(tmp_path))
    encoded = ([1, 2, 3, 4, 7], [5, 6, 7], [1, 2, 11, 11, 8, 4, 11, 4])  # the last one goes on
    run = model.read(PHOTOS, ASKED)
    assert run.quantity == "logit"
    for row, ids in enumerate(encoded):
        pixels, _ = model.preprocess(PHOTOS[row])
        expected = literal_logits(own, pixels.double(), ids)
        torch.testing.assert_close(run.scores[row, 0].detach(), expected, rtol=1e-9, atol=1e-9)
        best = ANSWERS[int(expected.argmax())]
        explained = vlx.explain_answer(model, PHOTOS[row], ASKED[row])
        assert explained.predicted[0][0] == best == explained.targets[0].name
    assert [reading.unknown for reading in run.readings] == [(), (), ("zebra", "on", ",")]


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> dict[str, CoAttentionAnswerer]:
    found = {}
    for variant in ("Alternating", "Parallel"):
        folder = tmp_path_factory.mktemp("hiecoatten")
        write(folder, variant)
        found[variant] = small_images(loaded(folder))
    return found


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("variant", ["Alternating", "Parallel"])
def test_conforms(models, variant, check):
    model = copy.deepcopy(models[variant])
    if check is check_patch:
        model = small_images(model, (96, 96))
    check(Case(model, model.network, PHOTOS, ASKED))


def test_any_answer_can_be_forced(models):
    model = models["Alternating"]
    forced = vlx.explain_answer(model, PHOTOS[0], ASKED[0], list(ANSWERS))
    assert [target.name for target in forced.targets] == list(ANSWERS)
    assert len({str(raw.tolist()) for raw in forced.raw}) == len(ANSWERS)
    assert sum(target.probability for target in forced.targets) == pytest.approx(1.0, abs=1e-6)
    against = vlx.explain_answer(model, PHOTOS[0], ASKED[0], targets=[-vlx.answer("red")])
    assert against.targets[0].score == pytest.approx(-forced.targets[2].score)
    with pytest.raises(UnknownChoice, match="knows no answer 'bleu' among its 5; near names: blue"):
        model.read(PHOTOS[:1], ASKED[:1]) and vlx.explain_answer(model, PHOTOS[0], ASKED[0], ["bleu"])


def test_maps_are_exact_gradients(models):
    """Through the attention of all three levels, which also sees what it attends to."""
    model = models["Parallel"]
    run = model.read(PHOTOS[:1], ASKED[:1])
    (result,) = vlx.explain(run, [vlx.answer("two")], vlx.gradient)
    pixels, _ = model.preprocess(PHOTOS[0])
    inputs = pixels[None].double().requires_grad_()
    ids = torch.tensor([[1, 2, 3, 4, 7]])
    (expected,) = torch.autograd.grad(model.network(inputs, ids, torch.tensor([5]))[0, 4], inputs)
    torch.testing.assert_close(torch.from_numpy(result.raw[0]), expected[0].float())


def test_the_same_model_at_other_layers(models):
    model = models["Alternating"]
    assert model.layer == "end"
    sides = {}
    for layer in ("end", "last", "relu", "conv", 0):
        other = model.at(layer)
        assert other.network is model.network
        result = vlx.explain_answer(other, PHOTOS[0], ASKED[0], ["red", "no"])
        assert (
            result.targets[0].score
            == vlx.explain_answer(model, PHOTOS[0], ASKED[0], ["red"]).targets[0].score
        )
        assert np.abs(result.raw).max() > 0
        sides[result.provenance.layer] = result.raw.shape[1:]
    assert sides == {"end": (4, 5), "last": (4, 5), "relu": (8, 10), "conv": (8, 10)}
    with pytest.raises(LayerError, match="near names: relu"):
        model.at("rel")


def test_attention_is_given_for_each_level(models):
    model = models["Alternating"]
    found = model.attention(PHOTOS, ASKED)
    assert found.shape == (3, 3, 4, 5)
    torch.testing.assert_close(found.sum((2, 3)), torch.ones(3, 3, dtype=torch.float64))
    pixels = torch.stack([model.preprocess(image)[0] for image in PHOTOS]).double()
    ids = torch.tensor([[1, 2, 3, 4, 7], [5, 6, 7, 0, 0]])
    with torch.no_grad():
        features = model.network.cnn(pixels[:2])
        levels = model.network.levels(features, *model.network.asked(ids, torch.tensor([5, 3])))
    for at, level in enumerate(levels):
        torch.testing.assert_close(found[at, :2], level.places.unflatten(1, (4, 5)))


def test_spread_tells_peaks_from_flat_maps():
    flat, peak, two = torch.full((4, 5), 0.05), torch.zeros(4, 5), torch.zeros(4, 5)
    peak[1, 2] = 1.0
    two[0, 0] = two[3, 4] = 0.5
    assert spread_of(torch.stack([flat, peak, two])).tolist() == pytest.approx([1.0, 0.05, 0.1])


def test_weights_in_wrong_places_are_seen_by_their_flat_attention(tmp_path):
    """The order in which the code makes its layers is another than that of the file: held against it."""
    own = write(tmp_path, sharp=60.0)
    right = small_images(loaded(tmp_path)).attention(PHOTOS, ASKED)
    assert spread_of(right).mean() < 0.5
    block = {name: value for name, value in own.of_words.state_dict().items()}
    made = [f"{layer}.{kind}" for layer, _ in own.of_words.named_children() for kind in ("weight", "bias")]
    vectors = {**published_vectors(own)}
    for name in ("wparams", "pparams", "qparams"):
        level = {"wparams": own.of_words, "pparams": own.of_phrases, "qparams": own.of_question}[name]
        state = level.state_dict()
        head = vectors[name][: -sum(value.numel() for value in block.values())]
        vectors[name] = torch.cat([head, *(state[part].flatten() for part in made)]).float().contiguous()
    table = {name: vector.float() for name, vector in vectors.items()}
    write_t7(tmp_path / "model.t7", {**table, "lmOpt": {"seq_length": STEPS}})
    wrong = small_images(loaded(tmp_path)).attention(PHOTOS, ASKED)
    assert spread_of(wrong).mean() > 1.5 * spread_of(right).mean()


# The CNNs.


def vgg_file(folder: Path, *, blocks=VGG19) -> tuple[Path, dict[str, torch.Tensor]]:
    tensors = published.vgg_tensors(blocks)
    layers = dict.fromkeys(name.rpartition(".")[0] for name in tensors)
    held = {layer: (tensors[f"{layer}.weight"], tensors[f"{layer}.bias"]) for layer in layers}
    return write_caffemodel(folder / "vgg19.caffemodel", held, v1=True), tensors


def test_vgg_is_read_up_to_pool5(tmp_path):
    path, tensors = vgg_file(tmp_path)
    found = load_eye(path, residual=False)
    pixels = 100 * torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    expected = nn.functional.max_pool2d(published.vgg_features(tensors, pixels), 2)
    torch.testing.assert_close(found(pixels), expected)
    write(tmp_path)
    model = loaded(tmp_path, path)
    assert (model.layer, model.preprocess, model.name) == ("pool5", VGG, "hiecoatten/model")
    assert model.at("relu5_4").read(PHOTOS[:1], ASKED[:1]).features.shape == (1, 5, 28, 28)
    run = model.read(PHOTOS[:1], ASKED[:1])
    assert run.features.shape == (1, 5, 14, 14)
    assert run.below.pixels.shape == (1, 3, 448, 448)
    names = [f"features.{at}" for at, kind in enumerate(vgg_plan()) if kind == "conv"]
    renamed = dict(zip((name for name in tensors if "conv" in name and "weight" in name), names, strict=True))
    state = {
        f"{renamed[name.replace('bias', 'weight')]}.{name.rpartition('.')[2]}": value
        for name, value in tensors.items()
        if "conv" in name
    } | {
        f"classifier.{at}.{kind}": tensors[f"{layer}.{kind}"]
        for layer, at in (("fc6", 0), ("fc7", 3))
        for kind in ("weight", "bias")
    }
    torch.save(state, tmp_path / "vgg19.pth")
    torch.testing.assert_close(load_eye(tmp_path / "vgg19.pth", residual=False)(pixels), expected)


def test_one_question_over_the_layers_on_the_command_line(tmp_path, run):
    """The paper's figure of a co-attention model: shallow to deep, beside one another."""
    folder, out = tmp_path / "model", tmp_path / "out"
    folder.mkdir()
    write(folder)
    vgg_file(folder)
    PHOTOS[0].save(tmp_path / "photo.png")
    layers = ("relu3_4", "relu4_4", "pool5")
    chosen = [part for layer in layers for part in ("--layer", layer)]
    asked = (tmp_path / "photo.png", "is the dog red ?", "--answer", "yes", "--answer", "no")
    model = ("--model", f"hiecoatten:{folder}", "--no-evidence")
    status, told, _ = run("vqa", *asked, *model, *chosen, "--out", out)
    assert status == 0
    assert told.splitlines()[1].split() == ["answer", "score", "probability", *layers]
    made = [vlx.load_explanation(out / f"photo-{layer}") for layer in layers]
    assert [one.raw.shape for one in made] == [(2, 112, 112), (2, 56, 56), (2, 14, 14)]
    assert len({one.targets for one in made}) == 1  # the same model: the same scores
    with Image.open(out / "photo-comparison.png") as picture:
        assert picture.height > 2 * picture.width / 3


def vgg_plan() -> list[str]:
    """The kinds of torchvision's layers of VGG-19, in order."""
    return [kind for count in VGG19 for kind in (*("conv", "relu") * count, "pool")]


def test_resnets_are_read_up_to_their_average(tmp_path):
    write_t7(tmp_path / "resnet.t7", pre_activation().written())
    write(tmp_path, features=6, feature_type="Residual")
    model = loaded(tmp_path, tmp_path / "resnet.t7")
    assert (model.layer, model.preprocess) == ("8", RESIDUAL)
    run = model.read(PHOTOS[:1], ASKED[:1])
    assert run.below.pixels.shape == (1, 3, 448, 448)
    torch.testing.assert_close(
        run.features.detach(), pre_activation()(run.below.pixels), rtol=1e-3, atol=1e-4
    )
    shapes = [
        model.at(layer).read(PHOTOS[:1], ASKED[:1]).features.shape[2:] for layer in ("2", "4", "5", "8")
    ]
    assert shapes == [(224, 224), (57, 57), (57, 57), (57, 57)]
    write(tmp_path, features=12, feature_type="Residual")
    torch.save(tiny_resnet().float().state_dict(), tmp_path / "resnet.pth")
    other = loaded(tmp_path, tmp_path / "resnet.pth")
    assert other.layer == "layer4"
    assert other.read(PHOTOS[:1], ASKED[:1]).features.shape == (1, 12, 14, 14)


def test_preparation():
    image = Image.effect_noise((448, 448), 60).convert("RGB")
    raw = torch.from_numpy(np.array(image)).permute(2, 0, 1).float()
    blue_first, _ = VGG(image)
    torch.testing.assert_close(blue_first, raw.flip(0) - torch.tensor(VGG.mean)[:, None, None])
    red_first, frame = RESIDUAL(image)
    mean, std = (torch.tensor(values)[:, None, None] for values in (RESIDUAL.mean, RESIDUAL.std))
    torch.testing.assert_close(red_first, (raw / 255 - mean) / std)
    assert RESIDUAL.mean == (0.485, 0.456, 0.406)
    assert frame.input_size == (448, 448)
    wide, frame = VGG(image.resize((900, 300)))
    assert wide.shape == (3, 448, 448)
    assert frame.box == (0, 0, 300, 900)


# Files that do not fit.


def refusal(folder: Path, cnn=None) -> str:
    with pytest.raises(CheckpointError) as caught:
        loaded(folder, cnn)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_released_checkpoint_may_say_little(tmp_path):
    write(tmp_path, seq_length=None, atten_type=None)
    model = loaded(tmp_path)
    assert model.network.steps == 26
    assert model.preprocess is VGG


def test_files_of_another_training_are_told(tmp_path):
    write(tmp_path, features=6)
    told = refusal(tmp_path)
    assert "model.t7 attends to maps of 6 channels if its words are the 11 of" in told
    assert "but the CNN gives 5: one of the two is not of its training" in told
    write(tmp_path)
    words = json.loads((tmp_path / "vqa_data_prepro.json").read_text())
    words["ix_to_word"]["12"] = "more"
    (tmp_path / "vqa_data_prepro.json").write_text(json.dumps(words))
    assert "attends to maps of 4 channels if its words are the 12 of" in refusal(tmp_path)
    words["ix_to_ans"]["6"] = "more"
    (tmp_path / "vqa_data_prepro.json").write_text(json.dumps(words))
    assert "do not end in 6 answers: give the vqa_data_prepro json" in refusal(tmp_path)
    write(tmp_path, atten_type="Parallel")
    assert "fit no HieCoAttenVQA as 'Parallel' attention" in refusal(tmp_path)
    write(tmp_path, seq_length=1e12)
    assert "is no HieCoAttenVQA model: lmOpt.seq_length is 1000000000000, not from 1 to 1000" in refusal(
        tmp_path
    )
    write(tmp_path, feature_type=7)
    assert "lmOpt.feature_type is no text" in refusal(tmp_path)


def test_other_cnns_are_told(tmp_path):
    write(tmp_path)
    path, _ = vgg_file(tmp_path, blocks=(2, 2, 3, 3, 3))
    assert "vgg19.caffemodel is no VGG-19: it has no layer conv5_4" in refusal(tmp_path, path)
    write(tmp_path, feature_type="Residual")
    assert "vgg19.caffemodel" in refusal(tmp_path, path)
    write_t7(tmp_path / "resnet.t7", {"state": 1})
    assert "resnet.t7 is no ResNet of fb.resnet.torch: what it holds is no Sequential" in refusal(
        tmp_path, tmp_path / "resnet.t7"
    )


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ("{", "is truncated or no JSON"),
        ("[]", "does not say ix_to_word: give the model's vqa_data_prepro.json"),
        ('{"ix_to_word": {"1": "a"}}', "does not say ix_to_ans"),
        ('{"ix_to_word": {"0": "a"}, "ix_to_ans": {"1": "b"}}', "does not number ix_to_word from 1 to 1"),
        ('{"ix_to_word": {"1": 7}, "ix_to_ans": {"1": "b"}}', "does not number ix_to_word from 1 to 1"),
    ],
)
def test_other_vocabularies_are_told(tmp_path, facts, told):
    write(tmp_path)
    (tmp_path / "vqa_data_prepro.json").write_text(facts)
    assert told in refusal(tmp_path)


def test_other_checkpoints_are_told(tmp_path):
    write(tmp_path)
    whole = (tmp_path / "model.t7").read_bytes()
    for share in (0.01, 0.5, 0.99):
        (tmp_path / "model.t7").write_bytes(whole[: int(share * len(whole))])
        assert "truncated" in refusal(tmp_path)
    os.truncate(tmp_path / "model.t7", 1 << 20)
    assert "truncated at exactly 1,048,576 bytes" in refusal(tmp_path)
    write_t7(tmp_path / "model.t7", {"protos": {}})
    assert "model.t7 is no HieCoAttenVQA model: wparams is missing" in refusal(tmp_path)
    write_t7(tmp_path / "model.t7", {"wparams": 7})
    assert "wparams is no tensor of 1 sides" in refusal(tmp_path)


def test_what_does_not_fit_is_told(models):
    model = models["Alternating"]
    with pytest.raises(TextError, match="1 questions for 2 images"):
        model.read(PHOTOS[:2], ASKED[:1])
    with pytest.raises(TextError, match="holds no word"):
        model.read(PHOTOS[:1], [" "])
    bare = network()
    bare.cnn = nn.Identity()
    with pytest.raises(LayerError, match="Identity has no layers"):
        CoAttentionAnswerer(bare, model.vocabulary, ANSWERS, VGG)


def test_the_last_layer_is_the_map_that_is_attended(tmp_path):
    write(tmp_path)
    vgg_file(tmp_path)
    model = vlx.load(f"hiecoatten:{tmp_path}")
    assert model.at("last").layer == model.layer == "pool5"
    assert model.at("last/2").layer == "relu5_4"
