"""ResNets from weights alone, against torchvision's own and against ones written by hand."""

import pytest
import torch
import torchvision

from tests.adapters.tiny_resnet import by_index, tiny_resnet
from vlx.adapters.nets.resnet import averaged, channels_of, resnet_map
from vlx.errors import CheckpointError

PIXELS = torch.rand(2, 3, 65, 97, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def same(found: torch.nn.Module, expected: torch.nn.Module) -> bool:
    found = found.double().eval()
    return torch.allclose(found(PIXELS), expected(PIXELS), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("bottleneck", [True, False])
@pytest.mark.parametrize("caffe", [True, False])
def test_depth_and_widths_come_from_the_weights(bottleneck, caffe):
    expected = tiny_resnet(bottleneck=bottleneck, caffe=caffe)
    found = resnet_map(expected.state_dict(), "x.pth", caffe=caffe)
    assert same(found, expected)
    assert channels_of(found) == (12 if bottleneck else 3)
    assert [name for name, _ in found.named_children()][-1] == "layer4"


def test_the_two_kinds_differ():
    state = tiny_resnet().state_dict()
    plain, caffe = (resnet_map(state, "x.pth", caffe=kind).double().eval() for kind in (False, True))
    pixels = PIXELS[:, :, :64, :96]
    assert plain(pixels).shape == caffe(pixels).shape
    assert (plain(pixels) - caffe(pixels)).abs().max() > 0.05


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_torchvision_agrees(name):
    torch.manual_seed(0)
    network = torchvision.models.get_model(name).eval()
    found = averaged(resnet_map(network.state_dict(), name))
    network = network.double()
    network.fc = torch.nn.Identity()
    assert same(found, network)


def test_old_files_and_names_by_place():
    expected = tiny_resnet()
    state = {k: v for k, v in expected.state_dict().items() if not k.endswith("num_batches_tracked")}
    assert same(resnet_map(by_index(state), "x.pth"), expected)
    assert same(
        resnet_map({**state, "fc.weight": torch.zeros(5, 12), "fc.bias": torch.zeros(5)}, "x.pth"), expected
    )


def test_other_networks_are_told():
    state = dict(tiny_resnet().state_dict())
    with pytest.raises(CheckpointError, match=r"^vgg.pth holds no ResNet: no convolution 'conv1.weight'$"):
        resnet_map({"features.0.weight": torch.zeros(2, 3, 3, 3)}, "vgg.pth")
    with pytest.raises(CheckpointError, match="holds no ResNet"):
        resnet_map({**state, "conv1.weight": torch.tensor(1.0)}, "x.pth")
    with pytest.raises(CheckpointError, match=r"x.pth does not fit .* 1 unknown \(aux.weight\)"):
        resnet_map({**state, "aux.weight": torch.zeros(1)}, "x.pth")
    with pytest.raises(CheckpointError, match="1 missing"):
        resnet_map({k: v for k, v in state.items() if k != "layer3.0.bn2.bias"}, "x.pth")
    with pytest.raises(CheckpointError, match="of another shape"):
        resnet_map({**state, "layer2.1.conv1.weight": torch.zeros(3, 8, 1, 1)}, "x.pth")
