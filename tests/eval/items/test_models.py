"""Shuffled weights, precision, and what a model is."""

import copy
import threading
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from torch import nn

from tests.eval import small
from vlx.adapters.parts.classifier import Classifier
from vlx.errors import VlxError
from vlx.eval.items.models import (
    in_precision,
    networks,
    set_precision,
    shuffled,
    top_shuffled,
    type_of,
    types_of,
    weights_digest,
    with_controls,
)


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
    model, photo = small.load(name), Image.new("RGB", (60, 50), "olive")
    changed = entries(top_shuffled(model, lambda one: one.read([photo], ["a dog"]).scores))
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
    found = {name: type_of(small.load(name)) for name in small.MODELS}
    assert found == {
        name: next(one for one in ("captioner", "vqa", "classifier") if one in name) for name in small.MODELS
    }
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


def test_another_precision_is_a_copy_and_leaves_the_model_alone() -> None:
    model = small.captioner()
    before = weights_digest(model)
    assert in_precision(model, "float32") is model
    for precision in ("float64", "bfloat16", "float16"):
        changed = in_precision(model, precision)
        assert changed is not model
        assert weights_digest(changed) != before
    assert weights_digest(model) == before
    assert set_precision(model, "float64") is model
    odd = small.classifier()
    odd.network.register_buffer("scale", torch.ones(2, dtype=torch.float64))
    assert in_precision(odd, "float32") is not odd


def test_shuffled_copies_are_made_where_they_are_used_and_once() -> None:
    made: list[int] = []

    class Counted(type(small.classifier())):  # type: ignore[misc]
        def __deepcopy__(self, memo: dict[int, object]) -> object:
            made.append(1)
            network = copy.deepcopy(self.network, memo)
            return Counted(network, self.labels, self.preprocess, layer=self.layer)

    plain = small.classifier()
    models = with_controls(Counted(plain.network, plain.labels, plain.preprocess, layer="1"))
    assert made == []
    assert models.shuffled is models.shuffled is replace(models, taken_as="classifier").shuffled
    assert len(made) == 1
    photo = Image.new("RGB", (60, 50), "olive")

    def scores(model: object) -> torch.Tensor:
        return model.read([photo]).scores  # type: ignore[attr-defined]

    assert models.top_shuffled(scores) is models.top_shuffled(scores)
    assert len(made) == 2


def test_a_copy_with_one_layer_shuffled_shares_the_other_weights() -> None:
    model, photo = small.captioner(), Image.new("RGB", (60, 50), "olive")
    changed = top_shuffled(model, lambda one: one.read([photo], ["a dog"]).scores)
    mine, theirs = entries(model), entries(changed)
    apart = {name for name in mine if mine[name] is not theirs[name]}
    assert apart == {"vocabulary.weight", "vocabulary.bias"}


class Odd(nn.Module):
    """Holds its layers in another order than it uses them; some are used by nothing, or for nothing."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.kind = kind
        self.out = nn.Linear(6, 4)
        self.words = nn.Embedding(4, 6)
        self.cnn = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU())
        self.norm = nn.LayerNorm(4)
        self.spare = nn.Linear(6, 4)
        self.scale = nn.Parameter(torch.tensor(2.0))
        if kind == "tied":
            self.out.weight = self.words.weight

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        told = self.cnn(pixels).mean((2, 3))
        told = told + self.words(torch.zeros(len(told), dtype=torch.long))
        if self.kind == "functional":
            return nn.functional.linear(told, self.words.weight)
        if self.kind == "transposed":
            return told @ self.words.weight.t() * self.scale
        if self.kind == "dropped":
            found = self.out(told)
            self.spare(told)
            return found
        if self.kind == "norm":
            return self.norm(self.out(told))
        return self.out(told)


@pytest.mark.parametrize(
    ("kind", "last"),
    [
        ("plain", {"out.weight", "out.bias"}),
        ("tied", {"out.weight", "out.bias"}),  # as the words' weight is called, which it is too
        ("functional", {"words.weight"}),
        ("transposed", {"words.weight"}),
        ("dropped", {"out.weight", "out.bias"}),
        ("norm", {"out.weight", "out.bias"}),  # its weights are all alike: in any order they are the same
    ],
)
def test_the_last_layer_is_the_last_that_the_scores_use(kind: str, last: set[str]) -> None:
    classes = ("dog", "cat", "car", "bird")
    model = Classifier(Odd(kind), classes, small.PREPROCESS, layer="cnn.1")
    photo = Image.new("RGB", (60, 50), "olive")
    changed = top_shuffled(model, lambda one: one.read([photo]).scores)
    mine, theirs = dict(model.network.named_parameters()), dict(changed.network.named_parameters())
    assert {name for name in mine if mine[name] is not theirs[name]} == last
    assert not torch.equal(mine[min(last)], theirs[min(last)]) or len(last) > 1
    if kind == "tied":
        assert changed.network.out.weight is changed.network.words.weight
        assert not torch.equal(changed.network.out.weight, model.network.out.weight)


def test_a_model_that_cannot_be_copied_is_told_in_one_line() -> None:
    model = small.classifier()
    model.lock = threading.Lock()
    with pytest.raises(VlxError, match=r"Classifier cannot be copied .*_thread.lock"):
        shuffled(model)


def test_a_model_that_writes_answers_also_captions_unless_it_takes_no_question() -> None:
    class Writes:
        takes_prompt = True

        def read(self, images: object, captions: object, prompts: object = None) -> None: ...
        def respond(self, images: object, prompts: object, beam: int = 1) -> None: ...

    writes = Writes()
    assert types_of(writes) == ("responder",)
    writes.generate = lambda images: [""]  # type: ignore[attr-defined]
    assert types_of(writes) == ("captioner", "responder")
    writes.takes_prompt = False
    assert types_of(writes) == ("captioner",)
