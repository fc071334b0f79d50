"""What windows are filled with is a colour of the picture, whatever the preprocessing."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage
from torch import nn

import vlx
from tests.adapters import small
from vlx.adapters.parts.classifier import Classifier
from vlx.errors import VlxError
from vlx.images.frame import Frame
from vlx.images.preprocess import AsIs, LongSide, Preprocess, imagenet
from vlx.methods.occlusion import of_pass
from vlx.methods.occlusion.fills import checked_fill, filling, subtracts_a_mean
from vlx.methods.occlusion.windows import Windows, occlusion

HALF = Preprocess(AsIs(), mean=(0.5,) * 3, std=(1.0,) * 3)
IMAGENET = Preprocess(AsIs())
CAFFE = Preprocess(AsIs(), mean=(103.939, 116.779, 123.68), std=(1.0,) * 3, scale=255.0, channels="BGR")
PLAIN = Preprocess(AsIs(), mean=(0.0,) * 3, std=(1.0,) * 3)
FILLS = (None, "mean", "blur", "zero", "#808080", "white", (200, 30, 90))


@pytest.mark.parametrize(
    ("preprocess", "data"),
    [
        (HALF, False),
        (IMAGENET, True),
        (CAFFE, True),
        (PLAIN, False),
        (Preprocess(mean=(0.5,) * 3, std=(0.5,) * 3), False),
        (Preprocess(mean=(127.5,) * 3, std=(127.5,) * 3, scale=255.0), False),
        (Preprocess(mean=(128.0,) * 3, std=(1.0,) * 3, scale=255.0), False),
        (Preprocess(mean=(0.0,) * 3, std=(1.0,) * 3, scale=255.0), False),
        (Preprocess(mean=(1.0,) * 3, std=(1.0,) * 3), False),
        (Preprocess(mean=(0.48145466, 0.4578275, 0.40821073), std=(0.268, 0.261, 0.275)), True),
        (Preprocess(mean=(117.0,) * 3, std=(1.0,) * 3, scale=255.0), True),
        (Preprocess(mean=(-3.0,) * 3), False),
    ],
)
def test_zero_is_the_mean_of_data_only_where_a_measured_colour_is_subtracted(preprocess, data):
    assert subtracts_a_mean(preprocess.colour) is data


@pytest.mark.parametrize(
    "preprocess", [HALF, IMAGENET, CAFFE, PLAIN], ids=["half", "imagenet", "caffe", "none"]
)
@pytest.mark.parametrize("rgb", [(128, 128, 128), (255, 0, 0), (10, 200, 90)])
def test_a_colour_becomes_what_a_picture_of_it_becomes(preprocess, rgb):
    pixels, _ = preprocess(Image.new("RGB", (4, 4), rgb))
    found = filling(np.zeros((3, 4, 4)), rgb, 3, preprocess.colour)
    assert found == pytest.approx(pixels[:, 0, 0].numpy(), abs=1e-4)


def test_what_there_is_to_fill_with():
    pixels, _ = IMAGENET(small.photos((20, 30))[0])
    image = pixels.numpy()
    assert filling(image, "zero", 5).tolist() == [0, 0, 0]
    assert filling(image, None, 5, IMAGENET.colour).tolist() == [0, 0, 0]
    mean = image.mean((1, 2))
    for fill, colour in (("mean", None), (None, None), (None, HALF.colour), (None, PLAIN.colour)):
        assert filling(image, fill, 5, colour) == pytest.approx(mean, abs=1e-5)
    blurred = filling(image, "blur", 5)
    assert blurred == pytest.approx(ndimage.gaussian_filter(image, (0, 5, 5), mode="nearest"))
    assert blurred.std((1, 2)).max() < 0.5 * image.std((1, 2)).min()


def test_padding_has_no_part_in_the_mean():
    preprocess = Preprocess(LongSide(40), (40, 40), mean=(0.5,) * 3, std=(1.0,) * 3)
    pixels, frame = preprocess(Image.new("RGB", (40, 10), "white"))
    shown = of_pass._shown(frame, pixels.numpy())
    assert shown.sum() == 400
    assert filling(pixels.numpy(), "mean", 5, None, shown) == pytest.approx([0.5] * 3)
    other = Frame.resized((9, 9), (3, 3))
    assert of_pass._shown(other, pixels.numpy()).all()


@pytest.mark.parametrize(
    ("given", "kept"),
    [("#808080", (128, 128, 128)), ("grey", (128, 128, 128)), ("White", (255, 255, 255)),
     ((1, 2, 3), (1, 2, 3)),
     (np.array([1, 2, 3]), (1, 2, 3)), ([0, 0, 0], (0, 0, 0)), ("blur", "blur"), (None, None),
     ("rgb(5, 6, 7)", (5, 6, 7))],
)  # fmt: skip
def test_fills_that_are_taken(given, kept):
    assert checked_fill(given) == kept


@pytest.mark.parametrize(
    "given",
    ["purpel", "", "#80808080", "#80", (1, 2), (1, 2, 3, 4), (0.5, 0.5, 0.5), (256, 0, 0), (-1, 0, 0), 0,
     0.5, True, ["mean"], "Mean", object()],
)  # fmt: skip
def test_fills_that_are_refused_say_what_would_work(given):
    with pytest.raises(VlxError, match="give mean, blur, zero, a colour such as '#808080'"):
        checked_fill(given)


@pytest.mark.parametrize(
    "fill", [float("nan"), np.zeros(2), np.zeros((4, 4)), np.zeros((1, 3, 4, 4)), np.full(3, np.inf)]
)
def test_a_fill_that_does_not_fit_the_image_is_refused(fill):
    with pytest.raises(VlxError, match="give one value, one for each channel, or an image of that shape"):
        occlusion(np.zeros((3, 4, 5)), lambda images: images.sum((1, 2, 3)), size=2, stride=2, fill=fill)


def classifier(preprocess, chained=True):
    torch.manual_seed(0)
    layers = [
        nn.Conv2d(3, 6, 5, 2, 2), nn.ReLU(), nn.Conv2d(6, 8, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 3, 1, 1), nn.Flatten(1), nn.LazyLinear(2),
    ]  # fmt: skip
    network = (nn.Sequential(*layers) if chained else Steps(layers)).double().eval()
    network(torch.zeros(1, 3, 40, 48, dtype=torch.float64))
    return Classifier(network, ("dog", "cat"), preprocess, layer=("" if chained else "layers.") + "5")


class Steps(nn.Module):
    """The same layers in no chain, so that every image is read in full."""

    def __init__(self, layers):
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, pixels):
        for layer in self.layers:
            pixels = layer(pixels)
        return pixels


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("preprocess", [HALF, CAFFE], ids=["half", "caffe"])
def test_what_changed_alone_gives_what_hiding_in_full_gives(fill, preprocess):
    (photo,) = small.photos((40, 48))
    method = vlx.occlusion_with(size=9, stride=8, fill=fill)
    fast, full = (
        vlx.explain(classifier(preprocess, chained).read([photo]), [vlx.label("cat")], method)[0].raw[0]
        for chained in (True, False)
    )
    assert np.abs(full).max() > 1e-3
    assert fast == pytest.approx(full, abs=1e-9)
    # By hand: one window, filled in terms of the picture.
    model = classifier(preprocess, chained=False)
    run = model.read([photo])
    pixels = run.below.pixels[0].clone()
    hidden = filling(pixels.numpy(), checked_fill(fill), 9, preprocess.colour)
    hidden = torch.tensor(hidden if hidden.ndim == 3 else hidden[:, None, None]).expand_as(pixels)
    pixels[:, 15:24, 15:24] = hidden[:, 15:24, 15:24]
    with torch.no_grad():
        fall = run.scores[0, 0, 1] - model.network(pixels[None])[0, 1]
    centres = range(*_centres(40))
    assert 19 in centres
    assert full[19, 19] == pytest.approx(float(fall), abs=1e-9)


def _centres(length):
    count = (length - 1) // 8 + 1
    return (length - 1 - (count - 1) * 8) // 2, length, 8


def test_a_square_of_the_background_alone_is_no_object():
    """A network that fires at grey sees the square itself; the picture has no grey."""
    photo = Image.new("RGB", (48, 40), "white")
    photo.paste((255, 0, 0), (8, 8, 20, 20))

    class Grey(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Conv2d(3, 1, 1)

        def forward(self, pixels):
            red = (pixels[:, 0] - pixels[:, 1]).clamp(min=0)
            grey = (pixels.abs().amax(1) < 0.1).float()
            return (red + 3 * grey + 0 * self.first(pixels)[:, 0]).sum((1, 2))[:, None]

    model = Classifier(Grey().eval(), ("thing",), HALF, layer="first")
    run = model.read([photo])
    maps = {
        fill: vlx.explain(run, [vlx.label("thing")], vlx.occlusion_with(size=9, stride=4, fill=fill))
        for fill in (None, "zero", "white", "#808080")
    }
    peaks = {fill: np.unravel_index(found[0].raw[0].argmax(), (40, 48)) for fill, found in maps.items()}
    for fill in (None, "white"):
        assert 8 <= peaks[fill][0] < 20, fill
        assert 8 <= peaks[fill][1] < 20, fill
    assert maps[None][0].raw.min() > -10
    for fill in ("zero", "#808080"):  # the score rises: the square is what it fires at
        assert maps[fill][0].raw.min() < -100, fill


def test_a_colour_needs_a_model_that_says_what_it_becomes():
    run = classifier(HALF).read(small.photos((40, 48)))
    run = replace(run, below=replace(run.below, colour=None))
    with pytest.raises(
        VlxError, match=r"colour #808080 becomes in its input .* hide with mean, blur or zero"
    ):
        vlx.explain(run, [vlx.label("cat")], vlx.occlusion_with(size=9, fill="grey"))
    for fill in ("mean", "blur", "zero", None):
        vlx.explain(run, [vlx.label("cat")], vlx.occlusion_with(size=9, stride=20, fill=fill))


@pytest.mark.parametrize(
    ("shape", "fitted"),
    [((224, 224), (35, 8)), ((480, 640), (35, 8)), ((64, 64), (10, 2)), ((32, 32), (5, 1)),
     ((28, 28), (4, 1)), ((64, 300), (10, 8)), ((112, 112), (18, 4)), ((1, 1), (1, 1)), ((3, 224), (1, 8))],
)  # fmt: skip
def test_windows_shrink_with_the_input(shape, fitted):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Windows().fitted(shape) == fitted


@pytest.mark.parametrize(
    ("size", "shape"), [(35, (64, 64)), (33, (64, 200)), (20, (32, 32)), (90, (100, 224))]
)
def test_a_window_that_hides_most_of_the_input_is_warned_about(size, shape):
    with pytest.warns(RuntimeWarning, match=f"windows of {size} pixels hide most of an input"):
        assert Windows(size, 8).fitted(shape) == (size, 8)


def test_small_inputs_are_hidden_in_small_windows():
    model = classifier(Preprocess(AsIs(), mean=(0.5,) * 3, std=(1.0,) * 3))
    (found,) = vlx.explain(model.read(small.photos((40, 48))), [vlx.label("cat")], vlx.occlusion)
    (other,) = vlx.explain(
        model.read(small.photos((40, 48))), [vlx.label("cat")], vlx.occlusion_with(size=6, stride=2)
    )
    assert np.array_equal(found.raw, other.raw)


@pytest.mark.parametrize(
    ("name", "windows"),
    [
        ("occlusion_blur", Windows(fill="blur")),
        ("occlusion_48_16", Windows(48, 16)),
        ("occlusion_48_16_mean", Windows(48, 16, fill="mean")),
        ("occlusion_35_8_808080", Windows(35, 8, fill=(128, 128, 128))),
    ],
)
def test_occlusion_is_known_by_what_it_hides_with(name, windows):
    assert vlx.method_named(name).name == name
    assert vlx.method_named(name).windows == windows
    made = vlx.occlusion_with(size=48, stride=16, fill="mean")
    assert vlx.method_named(made.name) == made


@pytest.mark.parametrize(
    "name", ["occlusion_", "occlusion_35", "occlusion_0_8", "occlusion_gray", "occlusion_35_8_"]
)
def test_other_names_of_occlusion_are_refused(name):
    with pytest.raises(VlxError, match="no method"):
        vlx.method_named(name)


@pytest.mark.parametrize("given", [{"size": 0}, {"stride": 0}, {"batch": 0}, {"size": -3}])
def test_windows_of_nothing_are_refused(given):
    with pytest.raises(VlxError, match="must be 1 or more"):
        vlx.occlusion_with(**given)


def test_the_usual_preparation_says_its_colours():
    assert imagenet().colour((0.485, 0.456, 0.406)).tolist() == pytest.approx([0, 0, 0], abs=1e-6)
