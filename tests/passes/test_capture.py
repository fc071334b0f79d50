"""Manners: a model is the same before and after, and nothing below the layer is recorded."""

import gc
from collections import namedtuple

import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import vlx
from tests import tiny
from vlx.errors import LayerError
from vlx.passes.at_layer import output_at
from vlx.passes.capture import capture
from vlx.passes.mean_gradient import on_maps
from vlx.passes.prepare import prepared
from vlx.passes.site import Site, find_layer

IDS = torch.tensor([[1, 2, 4]])


def state_of(model: nn.Module) -> tuple[object, ...]:
    """Everything a visitor could leave behind on a model or in the process."""
    hooks = [
        (len(m._forward_hooks), len(m._forward_pre_hooks), len(m._backward_hooks),
         len(m._forward_hooks_always_called), len(m._forward_hooks_with_kwargs))
        for m in model.modules()
    ]  # fmt: skip
    parameters = [(p.requires_grad, p.grad is None, p._version, p.sum().item()) for p in model.parameters()]
    flags = (
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.backends.mkldnn.enabled,
        torch.backends.cudnn.enabled,
        torch.backends.cudnn.benchmark,
        torch.backends.cudnn.deterministic,
    )
    return [m.training for m in model.modules()], parameters, hooks, flags


class Broken(nn.Module):
    """Fails when asked to, wherever it stands."""

    def forward(self, x):
        raise ZeroDivisionError("broken on purpose")


PLACES = ["cnn.features.0", "cnn.features.3", "cnn.fc", "lstm", "vocabulary", "words"]


@settings(max_examples=40, deadline=None)
@given(
    training=st.booleans(),
    frozen=st.sets(st.integers(0, 8)),
    broken=st.sampled_from([None, *PLACES]),
    grad=st.sampled_from(["on", "off", "inference"]),
    guided=st.booleans(),
)
def test_a_model_is_as_it_was(training, frozen, broken, grad, guided):
    model = tiny.captioner().train(training)
    model.cnn.features[1].train(not training)
    for index, parameter in enumerate(model.parameters()):
        parameter.requires_grad_(index not in frozen)
    model.vocabulary.weight.grad = torch.ones_like(model.vocabulary.weight)
    handle = None
    if broken:
        handle = model.get_submodule(broken).register_forward_pre_hook(lambda m, i: Broken()(i))
    before = state_of(model)
    mode = {"on": torch.enable_grad, "off": torch.no_grad, "inference": torch.inference_mode}[grad]
    raised = False
    with mode():
        before_inside = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
        try:
            run = tiny.caption_pass(model, tiny.pixels_of(1), [[1, 2, 4]])
            vlx.explain(run, [vlx.word(0), vlx.caption()], vlx.guided_grad_cam if guided else vlx.grad_cam)
        except ZeroDivisionError:
            raised = True
        assert (torch.is_grad_enabled(), torch.is_inference_mode_enabled()) == before_inside
    assert raised is (broken is not None)
    assert state_of(model) == before
    assert torch.equal(model.vocabulary.weight.grad, torch.ones_like(model.vocabulary.weight))
    if handle:
        handle.remove()


def test_the_state_check_can_fail():
    model = tiny.captioner()
    before = state_of(model)
    model.cnn.features[1].eval()
    assert state_of(model) != before


@pytest.mark.parametrize("frozen", [True, False])
def test_nothing_below_the_layer_is_saved(frozen):
    model = tiny.captioner().requires_grad_(not frozen)
    saved: list[torch.Size] = []

    def pack(tensor):
        saved.append(tensor.shape)
        return tensor

    layer_done: list[int] = []
    handle = model.cnn.features[3].register_forward_hook(lambda *_: layer_done.append(len(saved)))
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        tiny.caption_pass(model, tiny.pixels_of(1), [[1, 2]])
    handle.remove()
    assert layer_done == [0]
    assert saved


def test_nothing_stays_alive():
    model = tiny.captioner()
    gc.collect()

    def tensors() -> int:
        gc.collect()
        return sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())

    vlx.explain(tiny.caption_pass(model, tiny.pixels_of(1), [[1, 2]]), [vlx.caption()])
    before = tensors()
    result = vlx.explain(tiny.caption_pass(model, tiny.pixels_of(1), [[1, 2]]), [vlx.caption()])
    assert tensors() == before
    assert len(result) == 1


def test_the_named_layer_means_its_own_output():
    """conv5_3 of VGG-16 stands before an in-place ReLU, which other libraries let overwrite it."""
    torch.manual_seed(0)
    network = torchvision.models.vgg11(weights=None, num_classes=5).eval()
    pixels = torch.randn(1, 3, 64, 64)
    conv = network.features[18]
    with capture(network, conv) as seen:
        network(pixels)
    with torch.no_grad():
        expected = network.features[:19](pixels)
    torch.testing.assert_close(seen.features.detach(), expected)
    assert float(seen.features.detach().min()) < 0


def test_a_layer_that_runs_twice_must_be_told_apart():
    relu = nn.ReLU()
    network = nn.Sequential(nn.Conv2d(3, 4, 3), relu, nn.Conv2d(4, 5, 3), relu)
    pixels = torch.randn(1, 3, 8, 8)
    with pytest.raises(LayerError, match="call=0"), capture(network, relu):
        network(pixels)
    with capture(network, Site(relu, call=0)) as first:
        network(pixels)
    with capture(network, Site(relu, call=1)) as second:
        network(pixels)
    assert first.features.shape[1] == 4
    assert second.features.shape[1] == 5
    assert output_at(network, Site(relu, call=1), pixels).shape[1] == 5


def test_layers_by_name_index_and_module():
    model = tiny.captioner()
    name, module = find_layer(model, "cnn.features.3")
    assert module is model.cnn.features[3]
    assert find_layer(model, module) == (name, module)
    assert find_layer(model, 3) == (name, module)
    assert find_layer(model, -1)[1] is model.vocabulary


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("cnn.featuers.3", "near names: cnn.features.3"),
        (99, "no layer 99"),
        (nn.ReLU(), "not a layer of this Captioner"),
    ],
)
def test_an_unknown_layer_is_told(layer, message):
    with pytest.raises(LayerError, match=message):
        find_layer(tiny.captioner(), layer)


def test_a_layer_that_is_not_reached_is_told():
    model = tiny.captioner()
    model.spare = nn.Conv2d(3, 3, 1)
    with pytest.raises(LayerError, match="spare was not reached"), capture(model, "spare"):
        model(tiny.pixels_of(1), IDS)
    with pytest.raises(LayerError, match="spare was not reached"):
        output_at(model, "spare", tiny.pixels_of(1), IDS)


def test_a_layer_off_the_path_is_told():
    class Forked(tiny.Captioner):
        def __init__(self):
            super().__init__()
            self.side = nn.Conv2d(3, 3, 1)

        def forward(self, pixels, ids):
            self.side(pixels)
            return super().forward(pixels, ids)

    with pytest.raises(LayerError, match="side"):
        tiny.caption_pass(Forked().double(), tiny.pixels_of(1), [[1, 2]], layer="side")


def test_a_layer_without_rows_and_columns_is_told():
    run = tiny.caption_pass(tiny.captioner(), tiny.pixels_of(1), [[1, 2]], layer="cnn.fc")
    with pytest.raises(LayerError, match="no rows and columns"):
        vlx.explain(run, [vlx.caption()])


@pytest.mark.parametrize("vocabulary", [None, "vocabulary"])
@pytest.mark.parametrize("everywhere", [None, on_maps])
def test_the_shortcuts_are_those_that_were_asked_for(vocabulary, everywhere):
    model = tiny.captioner()
    with capture(model, Site("cnn.features.3", everywhere=everywhere), vocabulary=vocabulary) as seen:
        assert (seen.shortcuts.cut, seen.shortcuts.everywhere) == (None, None)
        model(tiny.pixels_of(1), IDS)
    assert (seen.shortcuts.cut is None) == (vocabulary is None)
    assert (seen.shortcuts.everywhere is None) == (everywhere is None)


def test_the_users_exception_passes_through_capture():
    model = tiny.captioner()
    with pytest.raises(KeyError, match="mine"), capture(model, "cnn.features.3"):
        raise KeyError("mine")


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_plain_kernels_run_only_inside_the_rnn(kind):
    rnn = kind(3, 4, batch_first=True)
    seen: list[bool] = []
    model = nn.Sequential(nn.Linear(3, 3), rnn)
    model[0].register_forward_hook(lambda *_: seen.append(torch.backends.mkldnn.enabled))
    inside: list[bool] = []
    rnn.register_forward_pre_hook(lambda *_: inside.append(torch.backends.mkldnn.enabled))
    enabled = torch.backends.mkldnn.enabled
    with prepared(model):
        model(torch.randn(1, 2, 3))
        assert torch.backends.mkldnn.enabled is enabled
        with torch.no_grad():
            model(torch.randn(1, 2, 3))
    assert seen == [enabled] * 2
    assert inside == [False, enabled]  # where nothing is recorded the fused kernel is as good, and faster


High = namedtuple("High", "high low")


class Several(nn.Module):
    """Gives two maps in a container."""

    def __init__(self, give):
        super().__init__()
        torch.manual_seed(0)
        self.cnn, self.give = nn.Conv2d(3, 4, 3), give

    def forward(self, x):
        return self.give(self.cnn(x))


@pytest.mark.parametrize(
    ("give", "field", "kind"),
    [
        (lambda maps: (maps, 2 * maps), None, tuple),
        (lambda maps: [maps, 2 * maps], None, list),
        (lambda maps: High(maps, 2 * maps), None, High),
        (lambda maps: High(2 * maps, maps), "low", High),
        (lambda maps: {"high": maps, "low": 2 * maps}, "high", dict),
    ],
)
def test_of_several_outputs_one_is_explained_and_all_stay_what_they_are(give, field, kind):
    net, x = nn.Sequential(Several(give)), torch.randn(1, 3, 8, 8)
    with capture(net, Site("0", field=field)) as seen:
        output = net(x)
    assert type(output) is kind
    torch.testing.assert_close(seen.features.detach(), net[0].cnn(x).detach())
    first = list(output.values() if kind is dict else output)[1 if field == "low" else 0]
    (slope,) = torch.autograd.grad(first.sum(), seen.features)
    assert torch.equal(slope, torch.ones_like(slope))
    if kind is High:
        told = "gives no tensor 'middle'; its fields are high, low"
        with pytest.raises(LayerError, match=told), capture(net, Site("0", field="middle")):
            net(x)


def test_features_keep_their_graph_where_maps_are_to_be_differentiated():
    net, x = (
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True)),
        torch.randn(1, 3, 8, 8).requires_grad_(),
    )
    with capture(net, "0", create_graph=True) as seen:
        output = net(x)
        assert all(parameter.requires_grad for parameter in net.parameters())
    assert not seen.features.is_leaf
    assert bool((seen.features < 0).any())  # what the layer gave, not what became of it in place
    assert torch.autograd.grad(output.sum(), x, retain_graph=True)[0].any()
    assert torch.autograd.grad(output.sum(), seen.features)[0].any()


def test_a_layer_that_ran_without_gradients_is_explained_from_there_on():
    class Frozen(tiny.Captioner):
        def forward(self, pixels, ids):
            own = self.cnn.forward
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(self.cnn, "forward", torch.no_grad()(own))
                return super().forward(pixels, ids)

    assert tiny.caption_pass(Frozen().double(), tiny.pixels_of(1), [[1, 2]], layer="cnn").batch == 1


def test_the_vocabulary_is_one_product_for_all_items():
    """Rows that an LSTM gave time first are laid out anew: else its weights are read once for each item."""
    seen = tiny.caption_pass(tiny.captioner(), tiny.pixels_of(3), [[1, 2], [2, 4], [4, 1]]).shortcuts.cut
    assert not seen.above.is_contiguous()
    assert seen.leaf.is_contiguous()
    assert torch.equal(seen.above, seen.leaf)
