"""What is known of a model's modules is found once, and anew where they, their names or classes change."""

import copy
import gc
import weakref

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

import vlx
from vlx.passes.modules import modules_of


class Tree(nn.Module):
    """A module that stands at two places, and one that is not there."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.parts = nn.Sequential(nn.ReLU(), nn.Sequential(self.conv, nn.Flatten()))
        self.nothing = None
        self.register_module("absent", None)
        self.head = nn.Linear(4, 2)


def as_named(model: nn.Module) -> bool:
    """Whether modules and names are those that torch tells."""
    found = modules_of(model)
    named = list(model.named_modules())
    assert [found.name_of(one) for _, one in named] == [name for name, _ in named]
    return list(found.named.items()) == named


def relus(model: nn.Module) -> int:
    found = modules_of(model)
    count = sum(isinstance(one, nn.ReLU) for one in found.listed)
    assert (
        len(found.those("relus", lambda: [one for one in found.listed if isinstance(one, nn.ReLU)])) == count
    )
    return count


def replaced(model: Tree) -> None:
    model.parts[0] = nn.ReLU()


def another_class(model: Tree) -> None:
    model.parts[0] = nn.Sigmoid()


def renamed(model: Tree) -> None:
    part = model._modules.pop("head")
    model.top = part


def added(model: Tree) -> None:
    model.parts.append(nn.ReLU())


def removed(model: Tree) -> None:
    del model.parts[0]


def moved(model: Tree) -> None:
    model.parts[1][0], model.conv = model.conv, nn.Conv2d(3, 4, 3)


def cast(model: Tree) -> None:
    model.parts[0].__class__ = nn.Sigmoid


def parametrised(model: Tree) -> None:
    parametrize.register_parametrization(model.head, "weight", nn.Identity())


def swapped(model: Tree) -> None:
    parts = model.parts
    parts[0], parts[1] = parts[1], parts[0]


def filled(model: Tree) -> None:
    model.absent = nn.ReLU()


@pytest.mark.parametrize(
    "change",
    [replaced, another_class, renamed, added, removed, moved, cast, parametrised, swapped, filled],
    ids=lambda one: one.__name__,
)
def test_a_change_is_seen(change):
    model = Tree()
    assert as_named(model)
    assert relus(model) == 1
    assert modules_of(model).of_kind(nn.Linear) == [model.head]
    change(model)
    assert as_named(model)
    relus(model)
    assert modules_of(model).of_kind(nn.Linear) == [getattr(model, "head", None) or model.top]


def test_what_is_chosen_is_chosen_once():
    model, asked = Tree(), []

    def choose():
        asked.append(1)
        return [model.head]

    for _ in range(3):
        assert modules_of(model).those("heads", choose) == [model.head]
    assert len(asked) == 1
    other = copy.deepcopy(model)
    assert modules_of(other).those("heads", lambda: [other.head]) == [other.head]


def test_a_model_is_not_kept():
    model = Tree()
    as_named(model)
    kept = weakref.ref(model)
    del model
    gc.collect()
    assert kept() is None


def test_torchscript_is_told_as_torch_tells_it():
    model = nn.Sequential(torch.jit.script(nn.Sequential(nn.Linear(2, 2), nn.ReLU())), nn.ReLU())
    assert [name for name, _ in model.named_modules()] == list(modules_of(model).named)


def test_hooks_and_weights_between_two_captures_are_seen():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    net, pixels = net.double(), torch.rand(1, 3, 8, 8, dtype=torch.float64)

    def scores():
        with vlx.capture(net, "1"):
            return net(pixels).detach()

    first = scores()
    torch.testing.assert_close(first, net(pixels).detach())
    handle = net[1].register_forward_hook(lambda _module, _inputs, output: 2 * output)
    hooked = scores()
    assert not torch.allclose(hooked, first)
    torch.testing.assert_close(hooked, net(pixels).detach())
    handle.remove()
    net[4] = nn.Linear(4, 2).double()
    torch.testing.assert_close(scores(), net(pixels).detach())
    net[0].weight.data *= 2
    torch.testing.assert_close(scores(), net(pixels).detach())
    net[0].requires_grad_(False)
    net.train()
    scores()
    assert not net[0].weight.requires_grad
    assert net[4].weight.requires_grad
    assert net[1].training
