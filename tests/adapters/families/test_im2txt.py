"""im2txt's checkpoints: written as published, read, and compared with its equations written out."""

import heapq
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import vlx
from tests.adapters import small
from tests.adapters.conformance import CAPTION_CHECKS, CHECKS, SIGNED, Case, check_patch
from tests.adapters.files.refusals import checked_refusal
from tests.adapters.files.tensorflow_writer import write_checkpoint
from tests.adapters.published import made
from tests.adapters.slim import Slim
from vlx.adapters.families import im2txt
from vlx.adapters.families.im2txt import im2txt_tokens, load_im2txt
from vlx.adapters.parts.captioner import CNNLSTMCaptioner
from vlx.adapters.parts.resampling import tensorflow1
from vlx.images.preprocess import Squash, stack_images

WORDS = ("a", "<S>", "</S>", ".", "dog", "cat", "on", "the", "grass", "red", "bike", "n't")
ROWS = len(WORDS) + 3
"""Of the checkpoint: it has more than words, as the published one."""
SAID = ("a dog on the grass .", "red bike", "the cat on a red red bike .")
PHOTOS = small.photos((80, 90), (97, 64), (120, 130))
LSTMS = (
    ("lstm/BasicLSTMCell/Linear/Matrix", "lstm/BasicLSTMCell/Linear/Bias"),
    ("lstm/basic_lstm_cell/weights", "lstm/basic_lstm_cell/biases"),
    ("lstm/basic_lstm_cell/kernel", "lstm/basic_lstm_cell/bias"),
)


def made_tensors(
    *, lstm: tuple[str, str] = LSTMS[1], embedding: int = 5, hidden: int = 6, seed: int = 0
) -> Slim:
    """A whole model; the vision part makes its own weights on the first run."""
    generator = torch.Generator().manual_seed(seed)
    slim = Slim(generator=generator)
    features = slim.features(torch.zeros(1, 3, 139, 139)).shape[1]
    slim.tensors |= {
        "image_embedding/weights": made(generator, embedding, features, like=6.0).T.contiguous(),
        "seq_embedding/map": made(generator, ROWS, embedding, like=2.0),
        lstm[0]: made(generator, 4 * hidden, embedding + hidden, like=1.5).T.contiguous(),
        lstm[1]: made(generator, 4 * hidden, like=2.0),
        "logits/weights": made(generator, ROWS, hidden, like=6.0).T.contiguous(),
        "logits/biases": made(generator, ROWS),
        "global_step": torch.tensor(2_000_000),
    }
    unsaid = [1, *range(len(WORDS) + 1, ROWS)]  # <S> and the rows beyond the words, as in a trained model
    slim.tensors["logits/biases"][unsaid] = -40.0
    slim.tensors["logits/biases"][2] = 0.5  # </S>
    return slim


def written(folder: Path, tensors: dict[str, Tensor], words: tuple[str, ...] = WORDS) -> tuple[Path, Path]:
    counts = folder / "word_counts.txt"
    counts.write_text("".join(f"{word} {1000 - at}\n" for at, word in enumerate(words)), encoding="utf-8")
    return write_checkpoint(folder / "model.ckpt-2000000", tensors), counts


@pytest.fixture(scope="module")
def slim() -> Slim:
    return made_tensors()


@pytest.fixture(scope="module")
def files(slim, tmp_path_factory) -> tuple[Path, Path]:
    return written(tmp_path_factory.mktemp("im2txt"), slim.tensors)


def loaded(files: tuple[Path, Path], *, side: int = 139, **given: Any) -> CNNLSTMCaptioner:
    """In double precision, so that no sum's order matters, on smaller images."""
    model = load_im2txt(*files, **given)
    model.network.double()
    larger = Squash((side + 47, side + 47))
    model.preprocess = replace(model.preprocess, resize=larger, window=(side, side))
    return model


@pytest.fixture(scope="module")
def model(files) -> CNNLSTMCaptioner:
    return loaded(files)


@pytest.mark.parametrize("check", [*CHECKS, *CAPTION_CHECKS])
def test_conforms(check, model, files):
    if check is check_patch:  # Mixed_7c sees all of so small an image
        wide = loaded(files, side=299, layer="Mixed_5d")
        check(Case(wide, wide.network, PHOTOS[:1], SAID[:1]))
    else:
        check(Case(model, model.network, PHOTOS, SAID, beside=1e-8))


def equations(tensors: dict[str, Tensor], features: Tensor, ids: list[int]) -> list[Tensor]:
    """Log-probabilities of each next word, from Mixed_7c of one image: BasicLSTMCell step by step."""
    vector = features.mean((2, 3))[0]
    kernel, bias = next((tensors[m].to(vector), tensors[b].to(vector)) for m, b in LSTMS if m in tensors)
    hidden = len(bias) // 4
    c = h = torch.zeros(hidden).to(vector)
    logits, biases = tensors["logits/weights"].to(vector), tensors["logits/biases"].to(vector)
    rows: list[Tensor] = []
    for said in (None, 1, *ids):  # the image sets the state; <S>; the words
        x = vector @ tensors["image_embedding/weights"].to(vector)
        x = x if said is None else tensors["seq_embedding/map"].to(vector)[said]
        i, j, f, o = (torch.cat([x, h]) @ kernel + bias).split(hidden)
        c = c * torch.sigmoid(f + 1.0) + torch.sigmoid(i) * torch.tanh(j)
        h = torch.tanh(c) * torch.sigmoid(o)
        rows.append(torch.log_softmax(h @ logits + biases, 0))
    return rows[1:]


def own_features(model: CNNLSTMCaptioner, slim: Slim, row: int) -> Tensor:
    pixels, _ = stack_images(model.preprocess, [PHOTOS[row]], torch.zeros(1).double())
    return slim.features(pixels)


@pytest.mark.parametrize("lstm", LSTMS)
def test_scores_are_those_of_its_equations(lstm, tmp_path):
    slim = made_tensors(lstm=lstm)
    model = loaded(written(tmp_path, slim.tensors))
    for row, text in enumerate(SAID):
        ids = [WORDS.index(word) for word in text.split()]
        features = own_features(model, slim, row)
        run = model.read([PHOTOS[row]], [text])
        torch.testing.assert_close(run.features.detach(), features, rtol=1e-9, atol=1e-11)
        expected = torch.stack(equations(slim.tensors, features, ids))
        torch.testing.assert_close(run.scores[0].detach(), expected, rtol=0, atol=1e-9)
        assert float(expected.exp().max()) > 0.3


def test_the_whole_image_of_299_pixels_is_seen_as_published(slim, files):
    """The convolution of each pool stands on averages of what is there, not of padding."""
    model = loaded(files, side=299)
    features = own_features(model, slim, 0)
    assert features.shape[2:] == (8, 8)
    assert len(slim.tensors) == 383  # as the published checkpoint
    found = model.read(PHOTOS[:1], SAID[:1]).features.detach()
    torch.testing.assert_close(found, features, rtol=1e-9, atol=1e-11)
    assert features.std() > 0.01


def test_maps_are_those_of_its_equations(slim, model):
    ids = [WORDS.index(word) for word in SAID[0].split()]
    features = own_features(model, slim, 0).detach().requires_grad_()
    rows = equations(slim.tensors, features, ids)
    words = [rows[at][index] for at, index in enumerate(ids)]
    targets = [*(vlx.word(at) for at in range(len(ids))), vlx.caption()]
    (found,) = vlx.explain(model.read(PHOTOS[:1], SAID[:1]), targets, SIGNED)
    for raw, y in zip(found.raw, (*words, sum(words)), strict=True):
        (slope,) = torch.autograd.grad(y, features, retain_graph=True)
        plane = (slope.mean((2, 3), keepdim=True) * features).sum(1)[0].detach()
        assert plane.abs().max() > 0
        np.testing.assert_allclose(raw, plane, rtol=1e-5, atol=1e-6 * float(plane.abs().max()))


def beam_searched(score: Any, width: int, steps: int) -> list[int]:
    """caption_generator.py: two heaps of the best so many, partial and complete captions."""
    partial: list[tuple[float, list[int]]] = [(0.0, [])]
    complete: list[tuple[float, list[int]]] = []

    def push(heap: list[tuple[float, list[int]]], item: tuple[float, list[int]]) -> None:
        heapq.heappush(heap, item) if len(heap) < width else heapq.heappushpop(heap, item)

    for _ in range(steps):
        previous, partial = partial, []
        for total, words in previous:
            probabilities = score(words)[-1].exp()
            for word in probabilities.argsort(descending=True)[:width].tolist():
                p = float(probabilities[word])
                if p < 1e-12:
                    continue
                item = (total + math.log(p), [*words, word])
                push(complete if word == 2 else partial, item)
        if not partial:
            break
    _, words = max(complete or partial)
    return [word for word in words if word != 2]


@pytest.mark.parametrize("seed", range(2))
def test_it_writes_what_its_own_code_writes(seed, tmp_path):
    slim = made_tensors(seed=seed)
    model = loaded(written(tmp_path, slim.tensors))
    said: set[str] = set()
    for row, image in enumerate(PHOTOS):
        features = own_features(model, slim, row)

        def score(words: list[int], features: Tensor = features) -> list[Tensor]:
            return equations(slim.tensors, features, words)

        names = (*WORDS, "<UNK>")
        for width in (1, 2, 3):
            expected = " ".join(names[at] for at in beam_searched(score, width, 19))
            assert model.generate([image], width) == [expected]
            said.add(expected)
        assert model.generate([image]) == model.generate([image], 3)  # as published
    assert len(said) > 1


def test_images_are_prepared_as_published(files):
    """346 pixels by TensorFlow 1, the window of 299 at pixel 23, from -1 to 1."""
    model = load_im2txt(*files)
    for image in PHOTOS:
        pixels = tensorflow1(np.asarray(image, np.float32) / 255, (346, 346))[23:322, 23:322]
        expected = torch.from_numpy((pixels - 0.5) * 2).permute(2, 0, 1)
        found, frame = model.preprocess(image)
        torch.testing.assert_close(found, expected.float(), rtol=0, atol=1e-5)
        assert frame.box[1] == pytest.approx(23 / 346 * image.width)


def test_words_are_read_as_published(model):
    run = model.read(PHOTOS[:1], ["A zebra isn't on the grass."])
    (reading,) = run.readings
    assert [word.text for word in reading.words] == ["a", "zebra", "is", "n't", "on", "the", "grass", "."]
    assert [word.ids[0] for word in reading.words] == [0, 12, 12, 11, 6, 7, 8, 3]
    assert [word.steps for word in reading.words] == [(at,) for at in range(8)]
    assert reading.unknown == ("zebra", "is")
    assert reading.end is not None
    assert reading.end.ids == (2,)
    assert list(reading.choices.names) == [*WORDS, *["<UNK>"] * 3]
    (written,) = model.read(PHOTOS[:1], ["a <UNK> on the grass ."]).readings
    assert (written.words[1].ids, written.unknown) == ((12,), ())
    assert im2txt_tokens("a <UNK> on the grass .") == ["a", "<UNK>", "on", "the", "grass", "."]


def test_words_that_python_3_wrote_as_bytes_are_read(slim, tmp_path):
    words = tuple(str(word.encode()) for word in WORDS)
    assert words[1] == "b'<S>'"
    assert words[-1] == 'b"n\'t"'
    model = load_im2txt(*written(tmp_path, slim.tensors, words))
    assert tuple(model.vocabulary.names[: len(WORDS)]) == WORDS
    assert (model.vocabulary.start, model.vocabulary.end, model.vocabulary.unknown) == (1, 2, len(WORDS))


def test_a_file_may_name_the_unknown_word_itself(slim, tmp_path):
    model = load_im2txt(*written(tmp_path, slim.tensors, ("<UNK>", *WORDS)))
    assert (model.vocabulary.start, model.vocabulary.unknown) == (2, 0)


def test_it_is_explained_with_one_call(model, files, tmp_path):
    PHOTOS[2].save(tmp_path / "photo.png")
    explanation = vlx.explain_caption(load_im2txt(*files), tmp_path / "photo.png", "a dog on the grass .")
    assert explanation.map("dog").shape == (120, 130)
    assert explanation.raw.shape == (7, 8, 8)
    assert explanation.provenance.layer == "Mixed_7c"
    for beam in (None, 1, 2, 3):
        own = vlx.explain_caption(model, PHOTOS[0], beam=beam)
        assert " ".join(own.words) == model.generate([PHOTOS[0]], beam or 3)[0]


FIRST = "InceptionV3/Conv2d_1a_3x3"
WRONG = [
    ({"seq_embedding/map": None}, r"is no im2txt: it has no seq_embedding/map of 2 sides"),
    ({LSTMS[1][0]: None}, r"it has no lstm/basic_lstm_cell/kernel of 2 sides; near names: .*biases"),
    ({"logits/biases": torch.ones(2, 3)}, r"it has no logits/biases of 1 sides"),
    ({"logits/biases": torch.ones(3)}, r"vocabulary\.bias \(3,\) for \(15,\)"),
    ({LSTMS[1][0]: torch.ones(3, 24)}, r"does not fit this CaptionNetwork: .*lstm\.weight_"),
    ({"image_embedding/weights": torch.ones(3, 5)}, r"image_embedding\.0\.weight \(5, 3\) for"),
    (
        {f"{FIRST}/weights": None},
        r"Inception v3 of slim: it has 0 convolutions in Conv2d_1a_3x3, not 1",
    ),
    (
        {f"{FIRST}/BatchNorm/beta": None},
        r"it has no InceptionV3/Conv2d_1a_3x3/BatchNorm/beta of 1",
    ),
    (
        {f"{FIRST}/weights": torch.ones(5, 5, 3, 3)},
        r"Conv2d_1a_3x3\.conv\.weight \(3, 3, 5, 5\) for \(3, 3, 3, 3\)",
    ),
    ({f"{FIRST}/weights": torch.ones(3, 3, 2, 3)}, r"holds layers that do not fit one another"),
    ({f"{FIRST}/BatchNorm/moving_mean": torch.ones(9)}, r"bn\.running_mean \(9,\) for"),
]


@pytest.mark.parametrize(("changes", "message"), WRONG)
def test_a_wrong_checkpoint_is_refused_in_one_line(changes, message, slim, files, monkeypatch):
    tensors = {name: value for name, value in {**slim.tensors, **changes}.items() if value is not None}
    monkeypatch.setattr(im2txt, "read_checkpoint", lambda _prefix: tensors)
    told = checked_refusal(lambda: load_im2txt(*files))
    assert str(files[0]) in told
    assert re.search(message, told), told


@pytest.mark.parametrize("suffix", [".index", ".data-00000-of-00001"])
def test_a_truncated_checkpoint_is_refused_in_one_line(suffix, slim, tmp_path):
    prefix, counts = written(tmp_path, slim.tensors)
    file = Path(f"{prefix}{suffix}")
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    assert "truncated" in checked_refusal(lambda: load_im2txt(prefix, counts))
    file.unlink()
    assert file.name.partition("-")[0] in checked_refusal(lambda: load_im2txt(prefix, counts))


WRONG_WORDS = [
    (b"", r"truncated"),
    (b"a 10\n</S> 3\n", r"is truncated or no word_counts\.txt: it has no <S>"),
    (b"a 10\n\n<S> 3\n</S> 3\n", r"its line 2 is empty"),
    (b"<S> 3\n\xff\xfe 3\n</S> 3\n", r"is no word_counts\.txt"),
    (b"<S> 3\n</S> 3\n" + b"a 1\n" * 20, r"has 22 words, the checkpoint 15: are they of one model"),
]


@pytest.mark.parametrize(("text", "message"), WRONG_WORDS)
def test_wrong_words_are_refused_in_one_line(text, message, files, tmp_path):
    (tmp_path / "word_counts.txt").write_bytes(text)
    told = checked_refusal(lambda: load_im2txt(files[0], tmp_path / "word_counts.txt"))
    assert re.search(message, told), told
