"""neuraltalk2's checkpoints: written as published, read, and compared with its equations written out."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import vlx
from tests.adapters import published, small
from tests.adapters.conformance import CAPTION_CHECKS, CHECKS, SIGNED, Case, check_patch
from tests.adapters.files.refusals import checked_refusal
from tests.adapters.files.t7_writer import Function, write_t7
from vlx.adapters.families.neuraltalk2 import load_neuraltalk2
from vlx.adapters.parts.captioner import CNNLSTMCaptioner
from vlx.adapters.parts.resampling import torch7, torch7_bytes
from vlx.errors import LayerError, TextError, VlxError
from vlx.images.preprocess import stack_images

WORDS, END = published.WORDS, len(published.WORDS)
SAID = ("a dog on the grass", "red bike", "the cat on a red red bike")
PHOTOS = small.photos((80, 90), (97, 64), (120, 130))


def written(path: Path, tensors: dict[str, Tensor], *, gpu: bool = True, **given: Any) -> Path:
    value = published.neuraltalk2_value(tensors, gpu=gpu, **given)
    return write_t7(path / "model_id1-501-1448236541.t7", value, cuda=gpu)


@pytest.fixture(scope="module")
def tensors() -> dict[str, Tensor]:
    return published.neuraltalk2_tensors()


@pytest.fixture(scope="module")
def file(tensors, tmp_path_factory) -> Path:
    return written(tmp_path_factory.mktemp("neuraltalk2"), tensors, steps=7)


def loaded(file: Path, **given: Any) -> CNNLSTMCaptioner:
    """In double precision, so that no sum's order matters."""
    model = load_neuraltalk2(file, **given)
    model.network.double()
    return model


@pytest.fixture(scope="module")
def model(file) -> CNNLSTMCaptioner:
    return loaded(file)


@pytest.mark.parametrize("check", [*CHECKS, *CAPTION_CHECKS])
def test_conforms(check, model, file):
    if check is check_patch:  # relu5_3 sees all of 64 pixels
        model = loaded(file, layer="relu3_3")
    check(Case(model, model.network, PHOTOS, SAID))


def equations(tensors: dict[str, Tensor], features: Tensor, ids: list[int]) -> list[Tensor]:
    """Log-probabilities of each next word, from relu5_3 of one image: misc/LanguageModel.lua step by step."""
    vector = published.vgg_vector(tensors, features)[0]
    weight, bias = published.weights(tensors, "embed", vector)
    image = (weight @ vector + bias).clamp(min=0)
    decoder, added = published.weights(tensors, "decoder", vector)
    layers = sum(name.startswith("i2h") for name in tensors) // 2
    size = tensors["decoder.weight"].shape[1]
    state = [(torch.zeros(size).double(), torch.zeros(size).double())] * layers
    rows: list[Tensor] = []
    for said in (None, END, *ids):  # the image, START, the words; lookup[M + 1] is START
        x = image if said is None else tensors["lookup.weight"].double()[said]
        for layer in range(layers):
            state[layer] = published.torch7_cell(tensors, layer + 1, x, *state[layer])
            x = state[layer][1]
        rows.append(torch.log_softmax(decoder @ x + added, 0))
    return rows[1:]  # what the step of the image says is not used


def own_pixels(model: CNNLSTMCaptioner, image: Image.Image) -> Tensor:
    return stack_images(model.preprocess, [image], torch.zeros(1).double())[0]


VARIANTS = {
    "saved on a GPU": {},
    "converted for the CPU": {"gpu": False},
    "kernels in rows": {"gpu": False, "rows": True},
    "two layers": {"layers": 2},
    "nodes without names": {"names": False},
    "modules without nodes": {"nodes": False, "layers": 2},
}


@pytest.mark.parametrize("given", VARIANTS.values(), ids=VARIANTS.keys())
def test_scores_are_those_of_its_equations(given, tmp_path):
    given = dict(given)
    tensors = published.neuraltalk2_tensors(layers=given.pop("layers", 1))
    model = loaded(written(tmp_path, tensors, **given))
    for image, text in zip(PHOTOS, SAID, strict=True):
        ids = [WORDS.index(word) for word in text.split()]
        features = published.vgg_features(tensors, own_pixels(model, image))
        run = model.read([image], [text])
        torch.testing.assert_close(run.features.detach(), features, rtol=1e-10, atol=1e-12)
        expected = torch.stack(equations(tensors, features, ids))
        torch.testing.assert_close(run.scores[0].detach(), expected, rtol=0, atol=1e-10)
        assert float(expected.exp().max()) > 0.3  # not flat: a wrong order of gates would show


def test_maps_are_those_of_its_equations(tensors, model):
    """Grad-CAM of every word and of the caption, with one backward for each through the literal model."""
    for image, text in zip(PHOTOS, SAID, strict=True):
        ids = [WORDS.index(word) for word in text.split()]
        features = published.vgg_features(tensors, own_pixels(model, image)).requires_grad_()
        rows = equations(tensors, features, ids)
        words = [rows[at][index] for at, index in enumerate(ids)]
        targets = [*(vlx.word(at) for at in range(len(ids))), vlx.caption()]
        (found,) = vlx.explain(model.read([image], [text]), targets, SIGNED)
        for raw, y in zip(found.raw, (*words, sum(words)), strict=True):
            (slope,) = torch.autograd.grad(y, features, retain_graph=True)
            plane = (slope.mean((2, 3), keepdim=True) * features).sum(1)[0].detach()
            assert plane.abs().max() > 0
            np.testing.assert_allclose(raw, plane, rtol=1e-5, atol=1e-6 * float(plane.abs().max()))


def sampled(score: Any, steps: int) -> list[int]:
    """Greedy sampling: always so many words; what follows the first END is not read."""
    said: list[int] = []
    for _ in range(steps):
        said.append(int(score(said)[-1].argmax()))
    return said[: said.index(END)] if END in said else said


def beam_sampled(score: Any, width: int, steps: int) -> list[int]:
    """sample_beam: candidates beam by beam, ended beams noted and left in their places."""
    beams: list[tuple[float, list[int]]] = [(0.0, [])]
    done: list[tuple[float, list[int]]] = []
    for at in range(steps):
        candidates = []
        for total, words in beams:
            best = score(words)[-1].topk(width)
            candidates += [
                (total + p, [*words, w]) for p, w in zip(best[0].tolist(), best[1].tolist(), strict=True)
            ]
        beams = sorted(candidates, key=lambda found: -found[0])[:width]
        done += [found for found in beams if found[1][-1] == END or at == steps - 1]
    words = max(done, key=lambda found: found[0])[1]
    return words[: words.index(END)] if END in words else words


@pytest.mark.parametrize("seed", range(4))
def test_it_writes_what_its_own_code_writes(seed, tmp_path):
    tensors = published.neuraltalk2_tensors(seed=seed)
    model = loaded(written(tmp_path, tensors, steps=6))
    said: set[str] = set()
    for image in PHOTOS:
        features = published.vgg_features(tensors, own_pixels(model, image))

        def score(words: list[int], features: Tensor = features) -> list[Tensor]:
            return equations(tensors, features, words)

        expected = [sampled(score, 6), *(beam_sampled(score, width, 6) for width in (2, 3))]
        found = [model.generate([image]), *(model.generate([image], width) for width in (2, 3))]
        assert [text for (text,) in found] == [" ".join(WORDS[at] for at in ids) for ids in expected]
        said |= {text for (text,) in found}
    assert any(said)


def test_it_stops_after_as_many_words_as_it_was_trained_on(model):
    assert model.steps == 7


def test_images_are_prepared_as_published(model):
    """Squashed to 32 pixels more, the window at pixel 15 (16, counted from 1), RGB less VGG's mean."""
    for image in PHOTOS:
        pixels = torch7_bytes(np.asarray(image, np.float32), (96, 96))[15:79, 15:79]
        expected = torch.from_numpy(pixels - np.array([123.68, 116.779, 103.939])).permute(2, 0, 1)
        found, frame = model.preprocess(image)
        torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-3)
        assert frame.input_size == (64, 64)
        assert frame.box[0] == pytest.approx(15 / 96 * image.height)
        assert frame.box[3] == pytest.approx(79 / 96 * image.width)


def test_images_can_be_prepared_as_the_demo_of_the_paper_does(file):
    model = loaded(file, channels="bgr")
    for image in PHOTOS:
        pixels = torch7(np.asarray(image, np.float32), (64, 64))[..., ::-1]
        expected = torch.from_numpy(pixels - np.array([103.939, 116.779, 123.68])).permute(2, 0, 1)
        found, frame = model.preprocess(image)
        torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-3)
        assert frame.box == (0.0, 0.0, float(image.height), float(image.width))
    with pytest.raises(VlxError, match="no order of channels 'gbr'"):
        load_neuraltalk2(file, channels="gbr")


def test_the_published_size_asks_for_256_and_224_pixels(tmp_path):
    """Seven places a side, as fc6 of the published file reads."""
    tensors = published.neuraltalk2_tensors(places=7, channels=(2, 2, 2, 2, 2), fc=(3, 3))
    model = loaded(written(tmp_path, tensors))
    check_patch(Case(model, model.network, PHOTOS[:2], SAID[:2]))
    assert model.preprocess.resize.size == (256, 256)
    assert model.preprocess.window == (224, 224)
    assert model.read(PHOTOS[:1], ["a dog"]).features.shape == (1, 2, 14, 14)
    assert model.steps == 16


def test_the_layer_of_the_paper_and_others(model, file):
    assert model.layer == loaded(file, layer=29).layer == "relu5_3"  # 30, counted from 1
    assert loaded(file, layer="pool5").read(PHOTOS[:1], ["a dog"]).features.shape[2:] == (2, 2)
    assert model.name == "neuraltalk2/model_id1-501-1448236541"
    with pytest.raises(LayerError, match=r"no layer 'conv5_4' .*near names: conv5_3"):
        loaded(file, layer="conv5_4")


def test_words_are_read_as_it_reads_them(model):
    run = model.read(PHOTOS[:1], ["A zebra, on the T-shirt!"])
    (reading,) = run.readings
    assert [word.text for word in reading.words] == ["a", "zebra", "on", "the", "tshirt"]
    assert [word.ids for word in reading.words] == [(0,), (9,), (3,), (4,), (8,)]
    assert [word.steps for word in reading.words] == [(0,), (1,), (2,), (3,), (4,)]
    assert reading.unknown == ("zebra",)
    assert reading.end is not None
    assert (reading.end.steps, reading.end.ids) == ((5,), (END,))
    assert list(reading.choices.names) == [*WORDS, "END"]


def test_a_vocabulary_without_rare_words_has_no_unknown_token(tmp_path):
    words = WORDS[:-1]
    tensors = published.neuraltalk2_tensors(words=words)
    model = load_neuraltalk2(written(tmp_path, tensors, words=words))
    with pytest.raises(TextError, match="knows no word 'zebra' among its 10"):
        model.read(PHOTOS[:1], ["a zebra"])


def test_weights_may_share_one_storage_and_functions_may_lie_between(tensors, file, tmp_path):
    """getParameters lays all weights into one vector; GPU files hold functions of Lua."""
    flat = torch.cat([tensor.flatten() for tensor in tensors.values()])
    places = np.cumsum([0, *(tensor.numel() for tensor in tensors.values())])
    shared = {
        name: flat[start : start + tensor.numel()].view(tensor.shape)
        for (name, tensor), start in zip(tensors.items(), places[:-1].tolist(), strict=True)
    }
    value = published.neuraltalk2_value(shared)
    value["protos"]["lm"].fields["core"].fields["apply"] = Function(upvalues=value["protos"]["cnn"])
    model = loaded(write_t7(tmp_path / "flat.t7", value, cuda=True))
    run, own = (m.read(PHOTOS[:1], SAID[:1]) for m in (model, loaded(file)))
    assert torch.equal(run.scores.detach(), own.scores.detach())


def test_it_is_explained_with_one_call(file, tmp_path):
    PHOTOS[2].save(tmp_path / "photo.png")
    explanation = vlx.explain_caption(load_neuraltalk2(file), tmp_path / "photo.png", "a dog on the grass")
    assert explanation.map("dog").shape == (120, 130)
    assert explanation.provenance.layer == "relu5_3"
    assert len(explanation.targets) == 6


def damaged(value: dict[str, Any], at: str, new: Any) -> dict[str, Any]:
    """A checkpoint with one part replaced, or left out where the new one is None."""
    *path, last = at.split(".")
    inside: Any = value
    for key in path:
        inside = inside.fields if hasattr(inside, "fields") else inside
        inside = inside[int(key)] if key.isdigit() and isinstance(inside, list) else inside[key]
    inside = inside.fields if hasattr(inside, "fields") else inside
    if new is None:
        del inside[int(last) if isinstance(inside, list) else last]
    else:
        inside[int(last) if isinstance(inside, list) else last] = new
    return value


WRONG = [
    ("protos", None, r"is no checkpoint of neuraltalk2: protos is missing"),
    ("protos.lm", None, r"protos\.lm is missing"),
    ("protos.lm", "text", r"protos\.lm is no LanguageModel"),
    ("protos.cnn.modules", None, r"protos\.cnn\.modules is missing"),
    ("protos.cnn.modules.2", None, r"is no VGG-16 with an embedding: it has a ReLU for a Spatial"),
    ("protos.cnn.modules.39", None, r"is no VGG-16 with an embedding: it has 39 modules, not 40"),
    ("protos.cnn.modules.0.weight", None, r"protos\.cnn\.modules\.1\.weight is missing"),
    ("protos.cnn.modules.0.weight", torch.ones(3, 28), r"modules\.1\.weight holds no kernels of 3 x 3"),
    ("protos.cnn.modules.0.weight", torch.ones(7, 3, 3, 3), r"layers that do not fit one another: .*"),
    ("protos.cnn.modules.0.bias", torch.ones(4), r"1 of another shape \(conv1_1\.bias \(4,\) for \(3,\)\)"),
    ("protos.cnn.modules.32.weight", torch.ones(9, 21), r"'fc6' of 21 inputs, no square map of 5 channels"),
    ("protos.cnn.modules.38.weight", torch.ones(5, 9), r"image_embedding\.0\.weight \(5, 9\) for \(5, 8\)"),
    ("protos.lm.lookup_table.weight", torch.ones(9, 5), r"vocab holds more words than the 8"),
    ("protos.lm.lookup_table.weight", torch.ones(13, 5), r"vocab\.11 is missing"),
    ("protos.lm.core.forwardnodes.1.data.module.weight", torch.ones(7, 5), r"lstm\.weight_ih_l0"),
    ("protos.lm.core.forwardnodes.1.data.module.weight", torch.ones(0), r"is no tensor of 2 sides"),
    ("protos.lm.seq_length", "long", r"protos\.lm\.seq_length is no whole number"),
    ("vocab.3", None, r"vocab\.3 is missing"),
    ("vocab.3", 7, r"vocab\.3 is no text"),
    ("vocab", None, r": vocab is missing"),
]


@pytest.mark.parametrize(("at", "new", "message"), WRONG)
def test_a_file_with_a_wrong_part_is_refused_in_one_line(at, new, message, tensors, tmp_path):
    value = damaged(published.neuraltalk2_value(tensors), at, new)
    path = write_t7(tmp_path / "wrong.t7", value, cuda=True)
    told = checked_refusal(lambda: load_neuraltalk2(path))
    assert str(path) in told
    assert re.search(message, told), told


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.6, 0.95, 0.9999])
def test_a_truncated_file_is_refused_in_one_line(share, file, tmp_path):
    whole = file.read_bytes()
    path = tmp_path / "cut.t7"
    path.write_bytes(whole[: int(share * len(whole))])
    assert "truncated" in checked_refusal(lambda: load_neuraltalk2(path))


def test_files_of_other_kinds_are_refused_in_one_line(tmp_path):
    torch.save({"a": torch.ones(2)}, tmp_path / "model.pth")
    assert "Torch7" in checked_refusal(lambda: load_neuraltalk2(tmp_path / "model.pth"))
    flat = write_t7(tmp_path / "lstm.t7", {"embedding_w_q": torch.ones(4)})
    assert "protos is missing" in checked_refusal(lambda: load_neuraltalk2(flat))
    only = write_t7(tmp_path / "tensor.t7", torch.ones(4))
    assert "protos is missing" in checked_refusal(lambda: load_neuraltalk2(only))
    assert "none.t7" in checked_refusal(lambda: load_neuraltalk2(tmp_path / "none.t7"))
