"""The layers of networks from the pixels up, and one target at each of them."""

from pathlib import Path

import pytest
import torch
from torch import nn

import vlx
from tests.explained import caption, photo
from tests.network.plain import state
from vlx.adapters.parts.classifier import Classifier
from vlx.errors import VlxError
from vlx.images.preprocess import Preprocess, Squash
from vlx.passes.stages import stages
from vlx.show.figures import layer_figure


def of(net: nn.Module, layer: str | None = None, side: int = 64) -> list[str]:
    model = Classifier(net, list("abc"), Preprocess(Squash((side, side))), layer=layer)
    before = str(state(net))
    found = stages(model.read([photo()]))
    assert str(state(net)) == before
    for name in found:
        model.at(name).read([photo()])
    return found


def test_a_chain_has_the_map_after_each_convolution_and_its_relu():
    from torchvision.models import vgg11

    net = vgg11(num_classes=3, init_weights=False)
    relus = [f"features.{at}" for at, layer in enumerate(net.features) if isinstance(layer, nn.ReLU)]
    assert of(net) == relus
    assert of(net, "features.7") == ["features.1", "features.4", "features.7"]


def test_shortcuts_and_branches_give_the_map_after_each_block():
    from torchvision.models import googlenet, resnet18

    blocks = [f"layer{stage}.{block}" for stage in (1, 2, 3, 4) for block in (0, 1)]
    assert of(resnet18(num_classes=3)) == ["relu", *blocks[:-1], "layer4"]
    found = of(googlenet(num_classes=3, aux_logits=False, init_weights=False))
    inceptions = [f"inception{name}" for name in ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b")]
    assert found == ["conv1", "conv2", "conv3", *inceptions]


def test_a_pass_without_a_way_from_its_pixels_is_refused():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with vlx.capture(net, "1") as seen:
        scores = net(torch.rand(1, 3, 8, 8))[:, None]
    said = vlx.Reading("label", (), vlx.Choices(list("abcd")))
    run = vlx.Pass(seen.features, scores, (said,), (vlx.Frame.resized((8, 8), (8, 8)),), quantity="logit")
    with pytest.raises(VlxError, match="no way from its pixels to layer"):
        stages(run)


def test_layers_are_drawn_with_a_panel_each():
    one = caption()
    few, many = layer_figure([one]), layer_figure([one] * 9, ["like the last 0.5"] * 9)
    assert many.width > few.width
    assert many.height > few.height
    with pytest.raises(VlxError, match="no layers to draw"):
        layer_figure([])
    with pytest.raises(VlxError, match="one photo"):
        layer_figure([one, caption(image=photo(20, 30))])


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    photo().save(path)
    return path


def test_the_command_prints_a_row_a_layer_and_draws(run, picture, tmp_path):
    asked = "--caption", "a dog", "--word", "dog", "--out", tmp_path
    status, out, err = run("layers", "scenes/captioner", picture, *asked)
    assert (status, err) == (0, "")
    lines = [line.split() for line in out.splitlines()]
    assert lines[1][0] == "layer"
    assert len(lines) > 4
    assert lines[-1][1:4] == ["14", "x", "14"]
    assert float(lines[-1][5]) == 1
    assert (tmp_path / "photo_layers.png").stat().st_size > 10_000


def test_the_command_takes_answers_and_named_layers(run, picture):
    asked = "layers", "scenes/vqa", picture, "--question", "what colour is the bus ?", "--answer", "red"
    status, out, err = run(*asked)
    assert (status, err) == (0, "")
    names = [line.split()[0] for line in out.splitlines()[2:]]
    assert "red" in out.splitlines()[0]
    status, out, err = run(*asked, "--layer", names[1], "--layer", names[-1])
    assert [line.split()[0] for line in out.splitlines()[2:]] == [names[1], names[-1]]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["scenes/vqa"], "answers questions: give one"),
        (["scenes/captioner", "--layer", "nowhere"], "no layer 'nowhere'"),
        (["scenes/captioner", "--method", "grad_cem"], "no method 'grad_cem'"),
    ],
)
def test_what_cannot_be_done_is_one_line(run, picture, given, told):
    model, *rest = given
    status, _, err = run("layers", model, picture, *rest)
    assert status == 1
    assert told in err
    assert err.count("\n") == 1
