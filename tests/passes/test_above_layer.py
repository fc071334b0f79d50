"""What the graph above a layer tells of a mean over its places."""

import pytest
import torch
import torchvision
from torch import nn

import vlx
from tests.adapters import small
from tests.network.plain import Plain
from tests.passes.test_chosen_layer import Shrinking
from tests.passes.test_default_layer import ChannelGate, Gate
from vlx.adapters.parts.classifier import Classifier
from vlx.errors import Doubt
from vlx.images import Preprocess, Squash
from vlx.methods.cam import kept_by_mean
from vlx.passes.above_layer import convolutions_follow, is_averaged

PHOTOS = small.photos((64, 64), (50, 70))


def passed_of(net: nn.Module, layer: str | None = None, *, side: int = 64) -> vlx.Pass:
    preprocess = Preprocess(Squash((side, side)))
    classes = net(torch.zeros(2, 3, side, side)).shape[1]
    return Classifier(net.eval(), [str(at) for at in range(classes)], preprocess, layer=layer).read(PHOTOS)


class Flat(nn.Module):
    """A dense layer with weights of its own for every place."""

    def __init__(self, side: int = 16):
        super().__init__()
        torch.manual_seed(3)
        self.cnn = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU())
        self.fc = nn.Linear(6 * side * side, 4)

    def forward(self, x):
        return self.fc(self.cnn(x).flatten(1))


@pytest.mark.parametrize("name", ["resnet18", "vgg11", "mobilenet_v2", "densenet121", "squeezenet1_1"])
def test_convolutions_follow_all_but_the_last_map(name):
    net = torchvision.models.get_model(name, weights=None, num_classes=3)
    assert not convolutions_follow(passed_of(net))
    assert convolutions_follow(passed_of(net, "last/2"))


def test_a_block_that_adds_to_its_input_leaves_a_way_around():
    net = torchvision.models.resnet18(num_classes=3)
    assert not convolutions_follow(passed_of(net, "layer4.0"))
    assert convolutions_follow(passed_of(net, "layer3"))


@pytest.mark.parametrize("make", [Gate, ChannelGate])
def test_gates_are_no_maps_of_their_own(make):
    assert not convolutions_follow(passed_of(make(), "cnn", side=16))


def test_a_mean_behind_the_layer_is_told_without_gradients():
    assert is_averaged(passed_of(Plain(), "cnn", side=16))
    assert is_averaged(passed_of(torchvision.models.resnet18(num_classes=3)))
    assert not is_averaged(passed_of(Flat(), side=16))
    assert not is_averaged(passed_of(Gate(), "cnn", side=16))
    assert not is_averaged(passed_of(torchvision.models.vgg11(num_classes=3)))
    assert not is_averaged(small.vqa().read(PHOTOS, ["is there a dog ?"] * 2))


def test_what_a_mean_keeps_by_hand_and_as_a_cosine():
    gradients = torch.randn(2, 3, 5, 4, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for index in ((0, 0), (1, 2)):
        own = gradients[index]
        same = own.mean((1, 2), keepdim=True).expand_as(own)
        cosine = torch.nn.functional.cosine_similarity(own.flatten(), same.flatten(), 0)
        assert torch.allclose(kept_by_mean(own), cosine)
        rest = (own - same).square().sum() / own.square().sum()
        assert torch.allclose(kept_by_mean(own) ** 2 + rest, torch.ones((), dtype=torch.float64))
    assert kept_by_mean(gradients).shape == (2, 3)
    assert kept_by_mean(torch.ones(1, 2, 3, 3)).item() == 1
    assert kept_by_mean(1e-30 * torch.ones(1, 2, 3, 3)).item() == 1
    assert kept_by_mean(torch.tensor([[[1.0, -1.0]]])).item() == 0
    assert kept_by_mean(torch.zeros(1, 2, 2)).isnan()


def test_gradients_that_have_nothing_to_do_with_one_another_keep_one_over_the_root_of_their_places():
    random = torch.randn(2000, 14, 14, generator=torch.Generator().manual_seed(0))
    assert abs(float(kept_by_mean(random)) - 1 / 14) < 0.005


def test_the_number_is_1_behind_a_mean_and_low_behind_a_dense_layer():
    (found, other) = vlx.explain(passed_of(Plain(), "cnn", side=16), [vlx.label(0), vlx.label(1)])
    assert [target.kept for target in (*found.targets, *other.targets)] == [1, 1, 1, 1]
    assert found.doubts == () and found.provenance.below_last is None  # noqa: PT018
    run = passed_of(Flat(), side=16)
    assert [target.kept for one in vlx.explain(run, vlx.label(0)) for target in one.targets] == [None, None]
    first, _ = vlx.explain(run, [vlx.label(0), vlx.label(1)], kept=True)
    whole, _ = vlx.explain(run, [vlx.label(0), vlx.label(1)], evidence=True)
    assert first.targets[1].kept is None
    assert first.targets[0].kept == pytest.approx(whole.targets[0].kept)
    assert all(target.kept < 0.2 for target in whole.targets)
    (line,) = whole.doubts
    assert "keeps" in line and "hires_cam and integrated_gradients do not average" in line  # noqa: PT018
    hires, _ = vlx.explain(run, vlx.label(0), "hires_cam", evidence=True)
    assert hires.targets[0].kept is None


def test_the_number_is_that_of_the_gradients_of_each_method():
    run = passed_of(Flat(), side=16)
    expected = []
    for target in (0, 1):
        (gradient,) = torch.autograd.grad(run.scores[0, 0, target], run.features, retain_graph=True)
        expected.append(float(kept_by_mean(gradient[0])))
    ((plain, guided, hires), _) = vlx.explain(
        run, [vlx.label(0), vlx.label(1)], ["grad_cam", "guided_grad_cam", "hires_cam"]
    )
    for found in (plain, guided):
        assert [target.kept for target in found.targets] == pytest.approx(expected)
    assert hires.targets[0].kept is None


def test_no_evidence_has_no_number():
    run = passed_of(Flat(), side=16)
    blank, _ = vlx.explain(run, vlx.label(0) - vlx.label(0), evidence=True)
    assert blank.targets[0].kept is None


def test_below_the_last_map_one_line_warns_and_the_result_says_so(tmp_path):
    run = passed_of(Shrinking(), "two", side=16)
    with pytest.warns(Doubt, match="convolutions follow layer two, where the mean over places") as told:
        (found, hires), _ = vlx.explain(run, vlx.label(0), ["grad_cam", "hires_cam"])
    assert len(told) == 1
    assert found.provenance.below_last is True
    assert found.doubts[0] == str(told[0].message)
    assert hires.provenance.below_last is None
    assert hires.doubts == ()
    found.save(tmp_path / "one")
    back = vlx.load_explanation(tmp_path / "one")
    assert back.provenance == found.provenance
    assert back.targets == found.targets
    hires.save(tmp_path / "two")
    told_of = (tmp_path / "two.json").read_text()
    assert "below_last" not in told_of
    assert "kept" not in told_of


def test_a_plain_network_warns_too_and_methods_without_a_mean_do_not(recwarn):
    x = torch.randn(2, 3, 16, 16)
    vlx.explain_model(Shrinking(), x, 1, "two", method="hires_cam")
    vlx.explain_model(Shrinking(), x, 1)
    assert not recwarn.list
    with pytest.warns(Doubt, match="convolutions follow layer two"):
        vlx.explain_model(Shrinking(), x, 1, "two")
    with pytest.warns(Doubt):
        vlx.explain_model(Shrinking(), x, 1, "two", create_graph=True)
