"""CNN+LSTM captioners: both classic forms, any backbone, and maps that lie where the evidence is."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import vlx
from tests.adapters import small
from tests.adapters.conformance import CAPTION_CHECKS, CHECKS, SIGNED, Case, stepped
from vlx.adapters.nets.recurrent import caption_network
from vlx.adapters.parts.captioner import CNNLSTMCaptioner
from vlx.errors import LayerError, TextError, VlxError
from vlx.images.preprocess import LongSide, Preprocess, ShortSide, Squash, stack_images

FORMS = {"neuraltalk2": small.NEURALTALK2, "Show and Tell": small.SHOW_AND_TELL}
SAID = ("a dog on the grass", "red bike", "the cat on a red red bike")
form = pytest.mark.parametrize("vocabulary", FORMS.values(), ids=FORMS.keys())


def case(vocabulary) -> Case:
    model = small.captioner(vocabulary)
    return Case(model, model.network, small.photos((32, 32), (48, 60), (70, 40)), SAID)


@form
@pytest.mark.parametrize("check", [*CHECKS, *CAPTION_CHECKS])
def test_conforms(check, vocabulary):
    check(case(vocabulary))


@form
def test_gradients_equal_one_uncut_backward_a_word(vocabulary):
    whole = case(vocabulary).item(0)
    model, (text,) = whole.adapter, whole.texts
    ids = [vocabulary.names.index(word) for word in text.split()]
    pixels, _ = stack_images(model.preprocess, whole.images, next(model.network.parameters()))
    inputs = pixels.clone().requires_grad_()
    scores = torch.log_softmax(model.network(inputs, torch.tensor([ids])), -1)
    explained = [vlx.word(at) for at in range(len(ids))]
    (result,) = vlx.explain(whole.read(), explained, vlx.gradient)
    for at, index in enumerate(ids):
        (expected,) = torch.autograd.grad(scores[0, at, index], inputs, retain_graph=True)
        assert expected.abs().max() > 0
        torch.testing.assert_close(torch.from_numpy(result.raw[at]), expected[0].float())


@form
def test_what_it_writes_is_greedy_and_ends(vocabulary):
    whole = case(vocabulary)
    for image, said in zip(whole.images, whole.adapter.generate(whole.images), strict=True):
        ids = [vocabulary.names.index(word) for word in said.split()]
        best = [int(row.argmax()) for row in stepped(whole.adapter, image, ids)]
        assert best[: len(ids)] == ids
        assert best[-1] == vocabulary.end or len(ids) == whole.adapter.steps


def test_unknown_words_are_reported_and_read_as_unknown():
    model, (image,) = small.captioner(), small.photos((32, 32))
    run = model.read([image], ["A zebra on the zebra, dog!"])
    (reading,) = run.readings
    assert reading.unknown == ("zebra",)
    assert reading.text == "a zebra on the zebra dog"
    unknown = model.vocabulary.names.index("UNK")
    assert [word.ids[0] == unknown for word in reading.words] == [False, True, False, False, True, False]
    explanation = vlx.explain_caption(model, image, "a zebra", words=["zebra"])
    assert explanation.unknown == ("zebra",)


def test_a_model_without_an_unknown_token_refuses_unknown_words():
    model, (image,) = small.captioner(small.SHOW_AND_TELL), small.photos((32, 32))
    with pytest.raises(TextError, match=r"knows no word 'dogg' among its 15; near names: dog"):
        model.read([image], ["a dogg"])


def test_what_does_not_fit_is_told():
    model, images = small.captioner(), small.photos((32, 32), (40, 40))
    with pytest.raises(TextError, match="1 captions for 2 images"):
        model.read(images, ["a dog"])
    with pytest.raises(TextError, match="holds no word"):
        model.read(images, ["a dog", "..."])
    with pytest.raises(VlxError, match="no images"):
        model.read([], [])
    with pytest.raises(LayerError, match=r"near names: features\.4"):
        small.captioner(layer="feature.4")
    network = caption_network(small.cnn(), 12, 15, start=0)
    with pytest.raises(VlxError, match=r"token 0, the vocabulary with 1: .*start=1"):
        CNNLSTMCaptioner(network, small.SHOW_AND_TELL, small.PREPROCESS)
    short = CNNLSTMCaptioner(caption_network(small.cnn(), 12, 9), small.NEURALTALK2, small.PREPROCESS)
    with pytest.raises(VlxError, match="14 names for 9 choices"):
        short.read(images[:1], ["a dog"])


class Red(nn.Module):
    """A CNN whose one channel is how red each cell of 4 x 4 pixels is, averaged into a vector of 1."""

    def __init__(self) -> None:
        super().__init__()
        self.look = nn.Conv2d(3, 1, 4, stride=4)
        self.relu = nn.ReLU()

    def forward(self, pixels: Tensor) -> Tensor:
        return self.relu(self.look(pixels)).mean((2, 3))


def red_finder(preprocess: Preprocess) -> CNNLSTMCaptioner:
    model = small.captioner(backbone=Red(), features=1, preprocess=preprocess, layer="relu")
    with torch.no_grad():
        model.network.cnn.look.weight.copy_(torch.tensor([1.0, -0.5, -0.5]).view(1, 3, 1, 1) / 16)
        model.network.cnn.look.bias.fill_(-0.01)
    return model


WAYS = {
    "squashed": Squash((64, 64)),
    "shorter side": ShortSide(64),
    "longer side, padded": LongSide(64),
}


@pytest.mark.parametrize("size", [(120, 200), (210, 130)])
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
@pytest.mark.parametrize("place", [(20, 20), (95, 95), (60, 110), (90, 48)])
def test_a_red_patch_is_found_where_it_is(place, way, size):
    """The centre of mass of the map lies on the patch, in pixels of a picture that is not square."""
    window = None if isinstance(way, Squash) else (56, 56) if isinstance(way, ShortSide) else (64, 64)
    plain = Preprocess(way, window, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    picture = np.full((*size, 3), 128, np.uint8)
    row, col = place
    picture[row - 10 : row + 10, col - 10 : col + 10] = (255, 0, 0)
    model = red_finder(plain)
    run = model.read([Image.fromarray(picture)], ["a dog"])
    maps = [vlx.explain(run, [target])[0].maps[0] for target in (vlx.word(0), -vlx.word(0))]
    seen = run.frames[0].covered().numpy()
    patch = np.zeros(size, bool)
    patch[row - 10 : row + 10, col - 10 : col + 10] = True
    if not seen[patch].any():
        assert not any(plane.any() for plane in maps)
        return
    assert sum(bool(plane.any()) for plane in maps) == 1  # the patch speaks for the word, or against it
    plane = max(maps, key=lambda plane: plane.sum())
    assert not plane[~seen].any()
    rows, cols = np.indices(size)
    both = patch & seen
    for axis in (rows, cols):
        centre = float((plane * axis).sum() / plane.sum())
        assert abs(centre - axis[both].mean()) < 6
    assert both.ravel()[plane.argmax()]


def test_layers_by_name_and_by_index():
    by_name = small.captioner(layer="features.0")
    by_index = small.captioner(layer=0)
    assert by_name.layer == by_index.layer == "features.0"
    assert small.captioner().layer == "features"  # what the pooling reads
    image, text = small.photos((32, 32)), ["a dog"]
    maps = [
        vlx.explain(model.read(image, text), [vlx.caption()], SIGNED)[0].raw for model in (by_name, by_index)
    ]
    assert maps[0].shape == (1, 16, 16)
    assert np.array_equal(*maps)
