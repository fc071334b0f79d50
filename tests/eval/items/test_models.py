"""Shuffled weights, precision, and what a model is."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from tests.eval import small
from vlx.errors import VlxError
from vlx.eval.items.models import in_precision, networks, shuffled, type_of, weights_digest


def entries(model: object) -> dict[str, torch.Tensor]:
    return {name: value for network in networks(model) for name, value in network.named_parameters()}


def test_shuffling_keeps_the_values_and_loses_their_places() -> None:
    model = small.captioner()
    before = {name: value.detach().clone() for name, value in entries(model).items()}
    changed = entries(shuffled(model, 0))
    assert entries(model).keys() == changed.keys()
    for name, value in entries(model).items():
        assert torch.equal(value, before[name])  # the model itself is as it was
        assert torch.equal(value.flatten().sort().values, changed[name].flatten().sort().values)
    moved = [name for name, value in changed.items() if not torch.equal(value, before[name])]
    assert len(moved) >= len(changed) - 1
    again, other = entries(shuffled(model, 0)), entries(shuffled(model, 1))
    assert all(torch.equal(changed[name], again[name]) for name in changed)
    assert not all(torch.equal(changed[name], other[name]) for name in changed)


@pytest.mark.parametrize(("name", "last"), [("scenes/captioner", "vocabulary"), ("scenes/vqa", "answers")])
def test_the_top_is_the_layer_that_gives_the_scores(name: str, last: str) -> None:
    model = small.load(name)
    changed = entries(shuffled(model, 0, top=True))
    moved = {key for key, value in entries(model).items() if not torch.equal(value, changed[key])}
    assert f"{last}.weight" in moved
    assert all(key.startswith(last) for key in moved)


def test_a_shuffled_adapter_explains_its_own_network() -> None:
    model = small.captioner()
    changed = shuffled(model, 0)
    inner = set(map(id, changed.network.modules()))
    assert id(changed._module) in inner
    assert not inner & set(map(id, model.network.modules()))


def test_types_are_told_by_what_a_model_offers() -> None:
    assert [type_of(small.load(name)) for name in small.MODELS] == ["captioner", "vqa", "classifier"]
    with pytest.raises(VlxError, match="neither generate"):
        type_of(object())


def test_a_digest_tells_every_weight() -> None:
    model = small.vqa()
    first = weights_digest(model)
    assert weights_digest(small.vqa()) == first
    with torch.no_grad():
        model.network.answers.bias[0] += 1e-6
    assert weights_digest(model) != first
    assert weights_digest(in_precision(small.vqa(), "bfloat16")) != first


def test_precision_is_one_of_four() -> None:
    model = in_precision(small.captioner(), "float64")
    assert {value.dtype for value in entries(model).values()} == {torch.float64}
    with pytest.raises(VlxError, match="no precision 'half'; known: float64"):
        in_precision(model, "half")


def test_networks_are_counted_once_and_their_absence_is_told() -> None:
    inner = nn.Linear(2, 2)
    outer = nn.Sequential(inner)
    assert networks(SimpleNamespace(network=outer, layer=inner, name="x")) == [outer]
    assert networks(outer) == [outer]
    with pytest.raises(VlxError, match="nothing to shuffle"):
        shuffled(SimpleNamespace(name="x"))
