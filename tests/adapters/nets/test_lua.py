"""ResNets of fb.resnet.torch, rebuilt from Torch7 files and held against the same layers in PyTorch."""

import pytest
import torch
from torch import nn

from tests.adapters import lua_networks as lua
from tests.adapters.files.t7_writer import write_t7
from vlx.adapters.files.torch7.fields import Field
from vlx.adapters.files.torch7.reader import Lua, read_t7
from vlx.adapters.nets.lua import torch_modules
from vlx.errors import CheckpointError

PIXELS = torch.rand(2, 3, 21, 26, generator=torch.Generator().manual_seed(1))


def batch_norm(channels: int) -> nn.BatchNorm2d:
    layer = nn.BatchNorm2d(channels, eps=1e-3)
    for tensor in (layer.weight, layer.bias, layer.running_mean, layer.running_var):
        nn.init.uniform_(tensor, 0.2, 1.3)
    return layer


class PreActivation(nn.Module):
    """A small ResNet whose blocks normalise first, as ResNet-200's: the last map is normalised again."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 7, 2, 3, bias=False)
        self.norms = nn.ModuleList(batch_norm(n) for n in (4, 4, 2, 6, 6))
        self.convs = nn.ModuleList([nn.Conv2d(4, 2, 3, 2, 1, bias=False), nn.Conv2d(2, 6, 3, 1, 1)])
        self.shortcut = nn.Conv2d(4, 6, 1, 2)
        self.last = nn.Conv2d(6, 6, (1, 3), 1, (0, 1), groups=2)

    def forward(self, pixels):
        seen = nn.functional.max_pool2d(self.norms[0](self.stem(pixels)).relu(), 3, 2, 1, ceil_mode=True)
        way = self.norms[1](seen).relu()
        way = self.convs[1](self.norms[2](self.convs[0](way)).relu())
        seen = way + self.shortcut(seen)
        seen = self.last(self.norms[3](seen).relu()) + seen
        return self.norms[4](seen).relu()

    def written(self):
        first = lua.sequential(
            lua.norm(self.norms[1]), lua.relu(), lua.convolution(self.convs[0]),
            lua.norm(self.norms[2]), lua.relu(), lua.convolution(self.convs[1], kind="nn.SpatialConvolution"),
        )  # fmt: skip
        second = lua.sequential(lua.norm(self.norms[3]), lua.relu(), lua.convolution(self.last))
        return lua.sequential(
            lua.convolution(self.stem), lua.norm(self.norms[0]), lua.relu(), lua.max_pool(3, 2, 1, ceil=True),
            lua.sequential(lua.residual(first, lua.convolution(self.shortcut))),
            lua.sequential(lua.residual(second, Lua("nn.Identity", {}))),
            Lua("nn.Copy", {}), lua.norm(self.norms[4]), lua.relu(), *lua.classifier(),
        )  # fmt: skip


def network() -> PreActivation:
    torch.manual_seed(0)
    return PreActivation().eval().requires_grad_(False)


def rebuilt(value: object) -> nn.Sequential:
    return torch_modules(Field(value, "x.t7 is no ResNet"), before="SpatialAveragePooling")


@pytest.mark.parametrize("cuda", [True, False])
def test_a_file_becomes_the_network_it_was(tmp_path, cuda):
    written = network()
    found = rebuilt(read_t7(write_t7(tmp_path / "resnet.t7", written.written(), cuda=cuda))).eval()
    torch.testing.assert_close(found(PIXELS), written(PIXELS), rtol=1e-5, atol=1e-5)
    names = [name for name, _ in found.named_children()]
    assert names == [str(at) for at in range(9)]
    assert isinstance(found[-1], nn.ReLU)


def test_old_files_keep_the_inverse_deviation_and_flat_kernels():
    written = network()
    value = written.written()
    stem, normal = value.fields["modules"][1], value.fields["modules"][2]
    stem.fields["weight"] = stem.fields["weight"].flatten(1)
    variance = normal.fields.pop("running_var")
    normal.fields["running_std"] = (variance + normal.fields["eps"]) ** -0.5
    torch.testing.assert_close(rebuilt(value).eval()(PIXELS), written(PIXELS), rtol=1e-4, atol=1e-4)


def refusal(value: object) -> str:
    with pytest.raises(CheckpointError) as caught:
        rebuilt(value)
    assert str(caught.value).startswith("x.t7 is no ResNet: ")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_no_such_network_is_told():
    whole = network().written()
    assert "what it holds is no Sequential" in refusal(Lua("nn.gModule", {}))
    assert "what it holds is no Sequential" in refusal({"modules": {}})
    assert "has no SpatialAveragePooling" in refusal(lua.sequential(lua.relu()))
    pool = lua.classifier()[0]
    assert "is a Tanh, which is not known" in refusal(lua.sequential(Lua("nn.Tanh", {}), pool))
    assert "adds nothing up" in refusal(lua.sequential(Lua("nn.CAddTable", {}), pool))
    loose = Lua("nn.ConcatTable", {"modules": lua.table(lua.relu(), lua.relu())})
    assert "is not added up by a CAddTable after it" in refusal(lua.sequential(loose, lua.relu(), pool))
    for field, value, told in (
        ("weight", torch.zeros(3), "weight is no tensor of 4 sides"),
        ("kH", 0, "holds no kernels of 0 x 7"),
        ("dW", -1, "dW is no whole number"),
        ("groups", 3, "gives 4 channels in 3 groups"),
        ("bias", torch.zeros(3), "of another shape"),
    ):
        stem = whole.fields["modules"][1]
        changed = Lua(stem.class_name, {**stem.fields, field: value})
        assert told in refusal(lua.sequential(changed, pool))
    assert "pools over nothing" in refusal(lua.sequential(lua.max_pool(2, 2, 2), pool))
    normal = lua.norm(batch_norm(2))
    assert "eps is no small number" in refusal(
        lua.sequential(Lua(normal.class_name, {**normal.fields, "eps": "1"}), pool)
    )


def test_networks_that_hold_themselves_end():
    value = lua.sequential(lua.relu(), *lua.classifier())
    value.fields["modules"][1] = value
    assert "more than 100 deep" in refusal(value)
    inner = lua.relu()
    for _ in range(60):
        inner = lua.residual(inner, inner)
    many = Lua("nn.Sequential", {"modules": {1: inner, 2: lua.classifier()[0]}})
    assert "more than 20000 modules" in refusal(many)
