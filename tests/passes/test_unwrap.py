"""What training wraps around a network, or a part of it: explained as the network, or refused in one line."""

import pytest
import torch
import torch.distributed
from torch import nn
from torch.nn.parallel import DataParallel, DistributedDataParallel
from torch.optim.swa_utils import AveragedModel

import vlx
from tests.network.plain import Plain
from vlx.errors import LayerError, VlxError
from vlx.passes.unwrap import plain_name, unwrapped

X = torch.randn(2, 3, 12, 16, generator=torch.Generator().manual_seed(0))


class Scriptable(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.cnn, self.fc = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()), nn.Linear(8, 5)

    def forward(self, x):
        return self.fc(self.cnn(x).mean((2, 3)))


class Passing(DataParallel):
    """A subclass that changes nothing of what runs."""


class Doubling(DataParallel):
    def forward(self, x):
        return super().forward(2 * x)


def of_peft(name: str, **inside):
    """A stand-in of peft's: PeftModel holds LoraModel as base_model, which holds the network as model."""
    kind = type(name, (nn.Module,), {"__module__": "peft.peft_model"})
    made = kind()
    for key, value in inside.items():
        setattr(made, key, value)
    return made


class Config:
    def __init__(self, prompt=False):
        self.is_prompt_learning = prompt


def peft_model(net, prompt=False):
    inner = net if prompt else of_peft("LoraModel", model=net)
    return of_peft("PeftModel", base_model=inner, peft_config={"default": Config(prompt)})


WRAPPERS = [
    DataParallel,
    Passing,
    AveragedModel,
    lambda net: torch.compile(net, backend="eager"),
    lambda net: DataParallel(torch.compile(net, backend="eager")),
    peft_model,
    lambda net: DataParallel(peft_model(net)),
    lambda net: of_peft("LoraModel", model=net),
]


@pytest.mark.parametrize("wrap", WRAPPERS)
def test_wrapped_networks_are_explained_as_the_network(wrap):
    net = Plain()
    wrapped = wrap(net)
    expected = vlx.explain_model(net, X, [3, 1], "cnn.2")
    for layer in ("cnn.2", "module.cnn.2", net.cnn[2], unwrapped(wrapped).cnn[2]):
        if layer is net.cnn[2] and isinstance(wrapped, AveragedModel):
            continue  # holds a copy
        assert torch.equal(vlx.explain_model(wrapped, X, [3, 1], layer), expected)


def test_distributed_networks_are_explained_as_the_network(tmp_path):
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/group", rank=0, world_size=1)
    try:
        net = Plain()
        found = vlx.explain_model(DistributedDataParallel(net), X, 3)
        assert torch.equal(found, vlx.explain_model(net, X, 3))
    finally:
        torch.distributed.destroy_process_group()


@pytest.mark.parametrize("wrap", [DataParallel, lambda part: torch.compile(part, backend="eager")])
@pytest.mark.parametrize("layer", ["cnn.2", "cnn"])
def test_wrapped_parts_are_explained_as_written(wrap, layer):
    net = Plain()
    expected = vlx.explain_model(net, X, 3, layer, method="guided_backprop")
    net.cnn = wrap(net.cnn)
    net.eval()(X)  # compiled by now
    assert torch.equal(vlx.explain_model(net, X, 3, layer, method="guided_backprop"), expected)
    with vlx.capture(net, layer) as seen:
        net(X)
    assert seen.features.shape == (2, 8, 12, 16)


def test_parts_in_data_parallel_stay_on_their_devices():
    net = Plain()
    net.cnn = DataParallel(net.cnn)
    net.cnn.device_ids = [0, 1]  # as where there are two
    with vlx.prepared(net):
        assert net(X).shape == (2, 5)
    assert net.cnn.device_ids == [0, 1]


def test_what_is_not_the_network_that_runs_is_told():
    script, traced = torch.jit.script(Scriptable()), torch.jit.trace(Scriptable(), X)
    sharded = type("FullyShardedDataParallel", (nn.Module,), {})()
    for model, message in (
        (script, "is TorchScript, whose layers take no hooks"),
        (traced, "is TorchScript, whose layers take no hooks"),
        (DataParallel(script), "is TorchScript"),
        (sharded, "holds weights in shards: gather its state_dict"),
        (Doubling(Plain()), r"Doubling runs more than the network that it wraps: give its \.module"),
        (peft_model(Plain(), prompt=True), "learnt a prompt that it puts before its inputs"),
        (of_peft("PeftModel"), "holds no base model"),
    ):
        with pytest.raises(VlxError, match=message) as raised:
            vlx.explain_model(model, X, 3)
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize("layer", ["cnn", "cnn.0"])
def test_layers_of_torchscript_are_told(layer):
    net = Scriptable()
    net.cnn = torch.jit.script(net.cnn)
    with pytest.raises(LayerError, match=f"layer {layer} is TorchScript, which takes no hooks"):
        vlx.explain_model(net, X, 3, layer)
    with pytest.raises(LayerError, match="name one with layer="):
        vlx.explain_model(net, X, 3)


def test_a_scripted_head_is_differentiated():
    net = Scriptable()
    expected = vlx.explain_model(net, X, 3)
    net.fc = torch.jit.script(net.fc)
    assert torch.allclose(vlx.explain_model(net, X, 3), expected)
    assert all(parameter.requires_grad for parameter in net.parameters())


def test_plain_names():
    assert plain_name("module.features.module.29._orig_mod.conv") == "features.29.conv"
    assert plain_name("modules.module1.conv") == "modules.module1.conv"
