"""VQA_LSTM_CNN's files: written as published, read, and compared with its equations written out."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor

import vlx
from tests.adapters import published, small
from tests.adapters.conformance import CHECKS, SIGNED, Case, check_patch
from tests.adapters.files.refusals import checked_refusal
from tests.adapters.files.t7_writer import write_t7
from vlx.adapters.families.vqa_lstm_cnn import load_vqa_lstm_cnn
from vlx.adapters.nets.caffe import VGG16, VGG19
from vlx.adapters.parts.deeper_lstm import DeeperLSTM
from vlx.adapters.parts.resampling import torch7
from vlx.errors import UnknownChoice
from vlx.images.preprocess import stack_images

ASKED = ("What colour is the dog?", "is the bike red", "Is a zebra on the bike?")
IDS = ([1, 2, 0, 3, 5, 8], [0, 3, 6, 7], [0, 4, 10, 9, 3, 6, 8])
PHOTOS = small.photos((80, 90), (97, 64), (120, 130))


def torchvision_names(tensors: dict[str, Tensor], blocks: Sequence[int]) -> dict[str, Tensor]:
    """The weights of a VGG under the names that torchvision gives them."""
    with torch.device("meta"):
        network = torchvision.models.vgg16() if blocks == VGG16 else torchvision.models.vgg19()
    convolutions = [at for at, layer in enumerate(network.features) if isinstance(layer, torch.nn.Conv2d)]
    ours = [f"conv{block}_{at}" for block, count in enumerate(blocks, 1) for at in range(1, count + 1)]
    theirs = {name: f"features.{at}" for name, at in zip(ours, convolutions, strict=True)}
    theirs |= {"fc6": "classifier.0", "fc7": "classifier.3", "fc8": "classifier.6"}
    return {f"{theirs[name.split('.')[0]]}.{name.split('.')[1]}": value for name, value in tensors.items()}


@pytest.fixture(scope="module")
def vgg() -> dict[str, Tensor]:
    return published.vgg_tensors(VGG19, fc=(9, 8, 6))


@pytest.fixture(scope="module")
def tensors() -> dict[str, Tensor]:
    return published.vqa_tensors()


@pytest.fixture(scope="module")
def files(vgg, tensors, tmp_path_factory) -> tuple[Path, Path, Path]:
    """lstm.t7, data_prepro.json and VGG-19."""
    folder = tmp_path_factory.mktemp("vqa")
    weights = write_t7(folder / "lstm.t7", published.vqa_value(tensors), cuda=True)
    words = folder / "data_prepro.json"
    words.write_text(json.dumps(published.vqa_words()), encoding="utf-8")
    save_file(torchvision_names(vgg, VGG19), folder / "vgg19.safetensors")
    return weights, words, folder / "vgg19.safetensors"


def loaded(files: tuple[Path, Path, Path], **given: Any) -> DeeperLSTM:
    """In double precision, so that no sum's order matters."""
    model = load_vqa_lstm_cnn(*files, **given)
    model.network.double()
    return model


@pytest.fixture(scope="module")
def model(files) -> DeeperLSTM:
    return loaded(files)


@pytest.mark.parametrize("check", CHECKS)
def test_conforms(check, model, files):
    if check is check_patch:  # relu5_4 sees all of 64 pixels
        model = loaded(files, layer="relu3_4")
    check(Case(model, model.network, PHOTOS, ASKED))


def states(tensors: dict[str, Tensor], questions: Sequence[Sequence[int]]) -> list[Tensor]:
    """The state [c1, h1, c2, h2] after each question, right-aligned as in misc/RNNUtils.lua.

    The longest starts first; a shorter one joins, from a state of zeros, as many steps later as it is
    shorter. So all end together.
    """
    size = tensors["h2h_1.weight"].shape[1]
    weight, bias = tensors["embed.weight"].double(), tensors["embed.bias"].double()
    longest = max(map(len, questions))
    running = {row: [torch.zeros(size).double()] * 4 for row in range(len(questions))}
    for step in range(longest):
        for row, ids in enumerate(questions):
            at = step - (longest - len(ids))
            if at < 0:
                continue  # padding: it has not begun
            one_hot = torch.zeros(weight.shape[1]).double()
            one_hot[ids[at]] = 1.0
            c1, h1, c2, h2 = running[row]
            c1, h1 = published.torch7_cell(tensors, 1, torch.tanh(weight @ one_hot + bias), c1, h1)
            c2, h2 = published.torch7_cell(tensors, 2, h1, c2, h2)
            running[row] = [c1, h1, c2, h2]
    return [torch.cat(state) for state in running.values()]


def equations(tensors: dict[str, Tensor], vector: Tensor, state: Tensor) -> Tensor:
    """Scores of the answers from rectified fc7 and the state of the question (misc/netdef.lua)."""
    vector = vector / (vector.square().sum() + 1e-10).sqrt()
    layers = ("question", "image", "answers")
    question, image, answers = (published.weights(tensors, name, vector) for name in layers)
    joint = torch.tanh(question[0] @ state + question[1]) * torch.tanh(image[0] @ vector + image[1])
    return answers[0] @ joint + answers[1]


def own_features(model: DeeperLSTM, vgg: dict[str, Tensor], row: int) -> Tensor:
    pixels, _ = stack_images(model.preprocess, [PHOTOS[row]], torch.zeros(1).double())
    return published.vgg_features(vgg, pixels)


def test_scores_are_those_of_its_equations(tensors, vgg, model):
    run = model.read(PHOTOS, ASKED)
    for row, state in enumerate(states(tensors, IDS)):
        features = own_features(model, vgg, row)
        torch.testing.assert_close(run.features[row : row + 1].detach(), features, rtol=1e-10, atol=1e-12)
        expected = equations(tensors, published.vgg_vector(vgg, features)[0], state)
        torch.testing.assert_close(run.scores[row, 0].detach(), expected, rtol=0, atol=1e-10)
        assert expected.std() > 0.1
    assert run.quantity == "logit"


def test_maps_are_those_of_its_equations(tensors, vgg, model):
    """Every answer, forced: Grad-CAM with one backward for each through the literal model."""
    for row, state in enumerate(states(tensors, IDS)):
        features = own_features(model, vgg, row).requires_grad_()
        scores = equations(tensors, published.vgg_vector(vgg, features)[0], state)
        run = model.read([PHOTOS[row]], [ASKED[row]])
        (found,) = vlx.explain(run, [vlx.answer(name) for name in published.ANSWERS], SIGNED)
        for raw, y in zip(found.raw, scores, strict=True):
            (slope,) = torch.autograd.grad(y, features, retain_graph=True)
            plane = (slope.mean((2, 3), keepdim=True) * features).sum(1)[0].detach()
            assert plane.abs().max() > 0
            np.testing.assert_allclose(raw, plane, rtol=1e-5, atol=1e-6 * float(plane.abs().max()))


def test_images_are_prepared_as_published(model):
    for image in PHOTOS:
        pixels = torch7(np.asarray(image, np.float32), (64, 64))[..., ::-1]
        expected = torch.from_numpy(pixels - np.array([103.939, 116.779, 123.68])).permute(2, 0, 1)
        torch.testing.assert_close(model.preprocess(image)[0].double(), expected, rtol=0, atol=1e-3)


def test_questions_are_read_as_published(model):
    run = model.read(PHOTOS[:1], ["What Zebra is the red dog?"])
    assert run.readings[0].unknown == ("zebra",)
    long = " ".join(["dog"] * 25 + ["red"])
    texts = (long, f"{long} bike zebra", long[4:])
    scores = [model.read(PHOTOS[:1], [text]).scores.detach() for text in texts]
    assert torch.equal(scores[0], scores[1])  # words beyond 26 are not read
    assert not torch.equal(scores[0], scores[2])
    assert model.read(PHOTOS[:1], [f"{long} zebra"]).readings[0].unknown == ()


def test_it_is_explained_with_one_call(files, tmp_path):
    PHOTOS[1].save(tmp_path / "photo.png")
    model = load_vqa_lstm_cnn(*files)
    forced = vlx.explain_answer(model, tmp_path / "photo.png", "what colour is the dog ?", ["red", "blue"])
    assert forced.map("red").shape == (97, 64)
    assert forced.provenance.layer == "relu5_4"
    with pytest.raises(UnknownChoice, match="knows no answer 'green' among its 5"):
        vlx.explain_answer(model, tmp_path / "photo.png", "what colour ?", ["green"])
    free = vlx.explain_answer(model, tmp_path / "photo.png", "what colour is the dog ?")
    assert free.targets[0].name in published.ANSWERS


def test_the_same_model_on_vgg_16(tensors, files, tmp_path):
    small16 = published.vgg_tensors(VGG16, fc=(9, 8, 6))
    torch.save(torchvision_names(small16, VGG16), tmp_path / "vgg16.pth")
    model = loaded((files[0], files[1], tmp_path / "vgg16.pth"))
    assert model.layer == "relu5_3"
    features = own_features(model, small16, 0)
    expected = equations(tensors, published.vgg_vector(small16, features)[0], states(tensors, IDS[:1])[0])
    found = model.read(PHOTOS[:1], ASKED[:1]).scores[0, 0].detach()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


def test_the_published_sizes_are_those_of_the_released_vectors(tmp_path):
    """200 numbers a word, an LSTM of 512, 1024 joint ones: the lengths of the file that was released."""
    words, answers = 3, 1000
    lengths = {"embedding_w_q": 200 * words + 200, "encoder_w_q": 3_564_033, "multimodal_w": 7_318_504}
    value = {name: torch.zeros(length) for name, length in lengths.items()}
    write_t7(tmp_path / "lstm_cpu.t7", value)
    texts = published.vqa_words(("a", "b", "UNK"), [str(at) for at in range(answers)])
    (tmp_path / "data_prepro.json").write_text(json.dumps(texts), encoding="utf-8")
    cnn = published.vgg_tensors(VGG19, channels=(2, 2, 2, 2, 2), fc=(2, 4096), places=1)
    save_file(torchvision_names(cnn, VGG19), tmp_path / "vgg.safetensors")
    names = ("lstm_cpu.t7", "data_prepro.json", "vgg.safetensors")
    model = load_vqa_lstm_cnn(*(tmp_path / name for name in names))
    assert model.network.word_embedding.embedding_dim == 200
    assert model.network.lstm.hidden_size == 512
    assert model.network.answers.weight.shape == (1000, 1024)


def wrong_weights(tensors: dict[str, Tensor], change: str) -> Any:
    value = published.vqa_value(tensors)
    if change == "missing":
        del value["encoder_w_q"]
    elif change == "a matrix":
        value["multimodal_w"] = value["multimodal_w"][None]
    elif change == "empty":
        value["embedding_w_q"] = torch.empty(0)
    elif change == "no table":
        return torch.ones(5)
    else:
        name, by = change.split()
        value[name] = torch.cat([value[name], torch.ones(5)])[: len(value[name]) + int(by)]
    return value


WRONG_WEIGHTS = [
    ("missing", r"is no model of VQA_LSTM_CNN: encoder_w_q is missing"),
    ("a matrix", r"multimodal_w is no tensor of 1 sides"),
    ("empty", r"embedding_w_q is no tensor of 1 sides"),
    ("no table", r"embedding_w_q is missing"),
    ("embedding_w_q 1", r"embedding_w_q has 49 numbers, which do not fit 11 words"),
    ("encoder_w_q 1", r"encoder_w_q has \d+ numbers, which do not fit words embedded in 4 numbers"),
    ("encoder_w_q -1", r"encoder_w_q has \d+ numbers, which do not fit"),
    ("multimodal_w -143", r"multimodal_w is no tensor|multimodal_w has \d+ numbers"),
    ("multimodal_w -2", r"multimodal_w has \d+ numbers, which do not fit 8 features, 5 answers"),
]


@pytest.mark.parametrize(("change", "message"), WRONG_WEIGHTS)
def test_wrong_weights_are_refused_in_one_line(change, message, tensors, files, tmp_path):
    path = write_t7(tmp_path / "lstm.t7", wrong_weights(tensors, change))
    told = checked_refusal(lambda: load_vqa_lstm_cnn(path, *files[1:]))
    assert str(path) in told
    assert re.search(message, told), told


WRONG_WORDS = [
    ("", r"truncated"),
    ('{"ix_to_word": {"1": "a"', r"is truncated or no JSON text"),
    ("[" * 100_000, r"is truncated or no JSON text"),
    ("[1, 2]", r"is no data_prepro\.json: ix_to_word is missing"),
    ('{"ix_to_word": {"1": "a", "2": "b"}}', r"ix_to_ans is missing"),
    ('{"ix_to_word": {}, "ix_to_ans": {"1": "yes"}}', r"ix_to_word\.1 is missing"),
    ('{"ix_to_word": {"1": "a", "3": "b"}, "ix_to_ans": {"1": "yes"}}', r"ix_to_word\.2 is missing"),
    ('{"ix_to_word": {"1": 7}, "ix_to_ans": {"1": "yes"}}', r"ix_to_word\.1 is no text"),
    (
        json.dumps(published.vqa_words(published.ASKED[1:])),
        r"do not fit 10 words: are they of one model",
    ),
    (json.dumps(published.vqa_words(answers=published.ANSWERS[:3])), r"multimodal_w .* 3 answers"),
]


@pytest.mark.parametrize(("text", "message"), WRONG_WORDS)
def test_wrong_words_are_refused_in_one_line(text, message, files, tmp_path):
    (tmp_path / "data_prepro.json").write_text(text, encoding="utf-8")
    told = checked_refusal(lambda: load_vqa_lstm_cnn(files[0], tmp_path / "data_prepro.json", files[2]))
    assert re.search(message, told), told


def test_wrong_cnns_are_refused_in_one_line(vgg, files, tmp_path):
    def refused(tensors: dict[str, Tensor]) -> str:
        save_file(tensors, tmp_path / "cnn.safetensors")
        return checked_refusal(lambda: load_vqa_lstm_cnn(*files[:2], tmp_path / "cnn.safetensors"))

    named = torchvision_names(vgg, VGG19)
    assert "1 missing (conv2_2.bias)" in refused({n: v for n, v in named.items() if n != "features.7.bias"})
    assert "holds no layer 'fc7'" in refused({n: v for n, v in named.items() if "classifier.3" not in n})
    assert "unknown (more.weight)" in refused({**named, "more.weight": torch.ones(2)})
    assert "is no VGG-16, VGG-19" in refused({"fc7.weight": torch.ones(2, 2)})
    assert "holds no layer 'fc7'" in refused({"fc.weight": torch.ones(2, 2)})
    other = torchvision_names(published.vgg_tensors(VGG19, fc=(9, 7)), VGG19)
    assert "do not fit 7 features" in refused(other)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.7, 0.999])
def test_truncated_files_are_refused_in_one_line(share, files, tmp_path):
    for at, file in enumerate(files):
        whole = file.read_bytes()
        (tmp_path / file.name).write_bytes(whole[: int(share * len(whole))])
        given = [*files[:at], tmp_path / file.name, *files[at + 1 :]]
        assert "truncated" in checked_refusal(lambda given=given: load_vqa_lstm_cnn(*given))
