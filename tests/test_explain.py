"""Explaining captions, answers and classes: what is chosen, what comes out, what is refused."""

import math

import numpy as np
import pytest
import torch
from PIL import Image

import vlx
from tests import tiny
from tests.explained import photo
from tests.speakers import ANSWERS, Chooser, Speaker
from vlx.images.preprocess import Preprocess, Squash

SIGNED = vlx.grad_cam_with(rectify=False)  # linear in the target


def literal_grad_cam(model: tiny.Captioner, image: Image.Image, caption: str, step: int, choice: int):
    """Equations 1 and 2 of the paper as loops, and y; the network run by hand above its layer."""
    model = model.eval()
    pixels, _ = Preprocess(Squash((tiny.SIZE, tiny.SIZE)))(image)
    with torch.no_grad():
        features = model.cnn.features[:4](pixels[None].double())
    features.requires_grad_()
    seen = torch.relu(model.cnn.fc(model.cnn.features[4](features).flatten(1)))
    ids = torch.tensor([[0, *map(tiny.WORDS.index, caption.split())]])
    out, _ = model.lstm(torch.cat([seen[:, None], model.words(ids)], 1))
    y = torch.log_softmax(model.vocabulary(out[0, 1 + step]), -1)[choice]
    (gradient,) = torch.autograd.grad(y, features)
    features, y = features.detach(), y.detach()
    _, channels, rows, cols = features.shape
    plane = np.zeros((rows, cols))
    for k in range(channels):
        alpha = 0.0
        for i in range(rows):
            for j in range(cols):
                alpha += float(gradient[0, k, i, j]) / (rows * cols)
        for i in range(rows):
            for j in range(cols):
                plane[i, j] += alpha * float(features[0, k, i, j])
    return np.maximum(plane, 0), float(y)


def test_every_word_then_the_caption_each_as_the_papers_loops_say():
    speaker, image = Speaker(), photo()
    found = vlx.explain_caption(speaker, image)
    words = ["a", "dog", "on", "grass"]
    assert [target.name for target in found.targets] == [*words, "caption"]
    assert [target.words for target in found.targets] == [(0,), (1,), (2,), (3,), (0, 1, 2, 3)]
    assert found.words == tuple(words)
    total = 0.0
    for step, word in enumerate(words):
        expected, y = literal_grad_cam(speaker.model, image, speaker.says, step, tiny.WORDS.index(word))
        np.testing.assert_allclose(found.raw[step], expected, rtol=1e-4, atol=1e-9)
        assert found.targets[step].score == pytest.approx(y)
        assert found.targets[step].probability == pytest.approx(math.exp(y))
        total += y
    assert found.targets[-1].score == pytest.approx(total)
    assert found.targets[-1].probability == pytest.approx(math.exp(total))
    assert any(found.evidence)


def test_where_an_explanation_comes_from_is_written_down():
    found = vlx.explain_caption(Speaker(), photo(), method=vlx.guided_grad_cam)
    made = found.provenance
    assert (made.model, made.layer, made.method) == ("speaker", "cnn.features.3", "guided_grad_cam")
    assert (made.score, made.guided_relus > 0) == ("log-probability", True)
    assert {"vlx", "torch"} <= set(made.versions)
    assert made.versions["torch"].startswith(torch.__version__.split("+")[0])
    assert found.raw.shape == (5, 3, tiny.SIZE, tiny.SIZE)
    assert found.frame == vlx.Frame.resized((60, 90), (tiny.SIZE, tiny.SIZE))
    assert found.image.size == (90, 60)


def test_a_given_caption_is_read_and_none_is_written():
    speaker = Speaker()
    found = vlx.explain_caption(speaker, photo(), "a red bike")
    assert found.words == ("a", "red", "bike")
    assert speaker.beams == []
    vlx.explain_caption(speaker, photo(), beam=3)
    assert speaker.beams == [3]


def test_words_and_phrases_can_be_picked():
    found = vlx.explain_caption(Speaker(), photo(), words=["grass", 1, -2, "dog on"])
    assert [target.name for target in found.targets] == ["grass", "dog", "on", "dog on"]
    assert [target.words for target in found.targets] == [(3,), (1,), (2,), (1, 2)]
    everything = vlx.explain_caption(Speaker(), photo())
    for mine, theirs in ((0, 3), (1, 1), (2, 2)):
        np.testing.assert_allclose(found.raw[mine], everything.raw[theirs], rtol=1e-5)
    one, other = everything.targets[1].score, everything.targets[2].score
    assert found.targets[3].score == pytest.approx(one + other)


def test_contrast_counterfactual_and_end_token():
    word, end = vlx.word("dog"), vlx.caption(end=True)
    targets = [
        word, vlx.word("dog", instead="cat"), word - vlx.word("dog", instead="cat"), -word, 2 * word,
        vlx.caption(), end, end - vlx.caption(), word.named("why a dog"),
    ]  # fmt: skip
    found = vlx.explain_caption(Speaker(), photo(), targets=targets, method=SIGNED)
    names = ["dog", "cat", "dog - cat", "not dog", "2 × (dog)", "caption", "caption", "caption - caption"]
    assert [target.name for target in found.targets] == [*names, "why a dog"]
    scores, maps = np.array([target.score for target in found.targets]), found.raw
    for at, sum_of in {2: (0, 1), 7: (6, 5)}.items():
        np.testing.assert_allclose(maps[at], maps[sum_of[0]] - maps[sum_of[1]], atol=1e-6)
        assert scores[at] == pytest.approx(scores[sum_of[0]] - scores[sum_of[1]])
    np.testing.assert_allclose(maps[3], -maps[0], atol=1e-7)
    np.testing.assert_allclose(maps[4], 2 * maps[0], atol=1e-6)
    assert [target.probability is None for target in found.targets] == [
        False, False, True, True, True, False, False, True, False,
    ]  # fmt: skip
    expected, y = literal_grad_cam(Speaker().model, photo(), "a dog on grass", 1, tiny.WORDS.index("cat"))
    assert scores[1] == pytest.approx(y)
    np.testing.assert_allclose(np.maximum(maps[1], 0), expected, rtol=1e-4, atol=1e-7)
    _, last = literal_grad_cam(Speaker().model, photo(), "a dog on grass", 4, 0)
    assert scores[7] == pytest.approx(last)  # the end token alone


def test_the_picture_may_be_a_file_an_image_or_an_array(tmp_path):
    photo().save(tmp_path / "photo.png")
    given = (photo(), tmp_path / "photo.png", str(tmp_path / "photo.png"), np.asarray(photo()))
    first, *others = (vlx.explain_caption(Speaker(), image).raw for image in given)
    assert all(np.array_equal(first, other) for other in others)


SAID = ("a dog", "a red bike on grass", "cat")
IMAGES = (photo(60, 90), photo(31, 20), photo(50, 50).rotate(90))


@pytest.mark.parametrize("method", [vlx.grad_cam, vlx.guided_grad_cam, vlx.gradient], ids=lambda m: m.name)
def test_many_at_once_equal_one_by_one(method):
    together = vlx.explain_captions(Speaker(), IMAGES, SAID, method=method)
    assert len(together) == 3
    for found, image, said in zip(together, IMAGES, SAID, strict=True):
        alone = vlx.explain_caption(Speaker(), image, said, method=method)
        assert found.raw.shape == alone.raw.shape
        np.testing.assert_allclose(found.raw, alone.raw, rtol=1e-4, atol=1e-6 * np.abs(alone.raw).max())
        assert [t.name for t in found.targets] == [t.name for t in alone.targets]
        assert [t.score for t in found.targets] == pytest.approx([t.score for t in alone.targets])
        assert found.frame == alone.frame
        assert found.raw.base is None  # keeps nothing of the others alive


def test_one_run_of_the_network_serves_all_words_and_images():
    speaker, runs = Speaker(), list[int]()
    speaker.model.cnn.register_forward_hook(lambda *_: runs.append(1))
    found = vlx.explain_captions(speaker, IMAGES, SAID)
    assert len(runs) == 1
    assert all(one.provenance.batched for one in found)


@pytest.mark.parametrize("chunk", [1, 2, 100])
def test_chunks_change_nothing(chunk):
    whole, parts = (vlx.explain_caption(Speaker(), photo(), chunk=size) for size in (None, chunk))
    np.testing.assert_allclose(parts.raw, whole.raw, rtol=1e-5)


def test_each_item_may_have_its_own_targets():
    run = Speaker().read(IMAGES, SAID)
    lists = [[vlx.word("dog")], [vlx.word(0), vlx.phrase("red bike"), vlx.caption()], [vlx.word("cat")]]
    found = vlx.explain(run, lists)
    assert [len(one.targets) for one in found] == [1, 3, 1]
    whole = vlx.explain_captions(Speaker(), IMAGES, SAID)
    np.testing.assert_allclose(found[0].raw[0], whole[0].raw[1], rtol=1e-5)
    np.testing.assert_allclose(found[2].raw[0], whole[2].raw[0], rtol=1e-5)


def test_the_predicted_answer_or_those_asked_for():
    model = Chooser(ANSWERS, "answer")
    logits = model.read([photo()], ["?"]).scores[0, 0].detach()
    shares = torch.softmax(logits, 0)
    best = int(logits.argmax())
    found = vlx.explain_answer(model, photo(), "what is it ?")
    assert [target.name for target in found.targets] == [ANSWERS[best]]
    assert found.targets[0].score == pytest.approx(float(logits[best]))
    assert found.targets[0].probability == pytest.approx(float(shares[best]))
    assert found.prompt == "what is it ?"
    assert found.words == ()
    assert [name for name, _ in found.predicted] == [ANSWERS[i] for i in logits.argsort(descending=True)[:5]]
    assert [p for _, p in found.predicted] == pytest.approx(shares.sort(descending=True).values[:5].tolist())
    forced = vlx.explain_answer(model, photo(), "what is it ?", ["Red", "blue"])
    assert [target.name for target in forced.targets] == ["red", "blue"]
    contrast = vlx.answer("red") - vlx.answer("blue")
    one = vlx.explain_answer(model, photo(), "?", targets=[contrast], method=SIGNED)
    two = vlx.explain_answer(model, photo(), "?", ["red", "blue"], method=SIGNED)
    np.testing.assert_allclose(one.raw[0], two.raw[0] - two.raw[1], atol=1e-7)
    assert one.targets[0].probability is None


def test_a_linear_head_on_pooled_features_is_cam():
    """With global average pooling, Grad-CAM is CAM over the number of places (paper section 3.1)."""
    model = Chooser(ANSWERS, "label")
    found = vlx.explain_label(model, photo(), ["dog", 0], method=SIGNED)
    features = model.read([photo()]).features[0].detach()
    for at, row in ((0, ANSWERS.index("dog")), (1, 0)):
        gradient = model.top.weight[row][:, None, None] * (features > 0) / features[0].numel()
        expected = (gradient.mean((1, 2), keepdim=True) * features).sum(0)
        np.testing.assert_allclose(found.raw[at], expected.detach(), rtol=1e-5, atol=1e-9)
    assert [target.name for target in found.targets] == ["dog", "yes"]
    assert vlx.explain_label(model, photo()).targets[0].name == found.predicted[0][0]
