"""Importances are Eq. 1 written literally; a decision is told in the neurons that the paper takes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from tests.eval import small
from tests.tiny import caption_pass, captioner, pixels_of
from vlx.errors import VlxError
from vlx.passes.targets import Term
from vlx.studies.neurons.agreement import chance, same, stable
from vlx.studies.neurons.concepts import Concept
from vlx.studies.neurons.explained import Neuron, Telling, Told, merged, sentence, tell
from vlx.studies.neurons.importance import importances
from vlx.studies.neurons.names import Name
from vlx.studies.neurons.zeroed import alike, without

DOG, CAT, RED = Concept("object", "dog"), Concept("object", "cat"), Concept("colour", "red")
NAMES = (Name(DOG, 0.3), None, Name(CAT, 0.2), Name(RED, 0.05), Name(DOG, 0.06), Name(CAT, 0.9))
ALPHA = np.array([0.5, 0.7, -0.1, 0.6, 0.4, -0.3])


def units(neurons: tuple[Neuron, ...]) -> list[int]:
    return [one.unit for one in neurons]


@pytest.mark.parametrize("cut", [True, False])
def test_importance_is_the_mean_gradient_of_a_loop(cut: bool):
    model = captioner()
    passed = caption_pass(model, pixels_of(2), [[2, 4, 5], [1, 3]], cut=cut)
    terms = [[(Term(1.0, 0, 2),), (Term(1.0, 2, 5), Term(-0.5, 1, 4))], [(Term(1.0, 1, 3),)]]
    found = importances(passed, terms)
    again = caption_pass(model, pixels_of(2), [[2, 4, 5], [1, 3]], cut=False)
    for item, targets in enumerate(terms):
        for at, target in enumerate(targets):
            score = sum(one.weight * again.scores[item, one.step, one.choice] for one in target)
            (slope,) = torch.autograd.grad(score, again.features, retain_graph=True)  # type: ignore[arg-type]
            rows, cols = slope.shape[2:]
            for unit in range(slope.shape[1]):
                total = sum(float(slope[item, unit, i, j]) for i in range(rows) for j in range(cols))
                assert float(found[at, item, unit]) == pytest.approx(total / (rows * cols), abs=1e-12)
    assert not found[1, 1].any(), "an item with fewer targets has zeros there"
    assert all(parameter.grad is None for parameter in model.parameters())


def test_importance_in_half_precision():
    model = small.classifier()
    model.network.to(torch.bfloat16)
    passed = model.read([Image.new("RGB", (40, 30), "red")])
    found = importances(passed, [[(Term(1.0, 0, 1),)]])
    assert found.dtype == torch.float32
    weight = model.network[4].weight[1].float()
    torch.testing.assert_close(found[0, 0] * 28 * 28, weight, rtol=0.01, atol=1e-3)


def test_named_units_are_dropped_after_they_are_taken_or_before():
    found = tell(ALPHA, NAMES, Telling(3, iou=0.05))
    assert units(found.persuasive) == [1, 3, 0]
    assert [one.name for one in found.persuasive] == [None, None, "dog"], "an IoU of .05 is not above .05"
    assert units(found.inhibitive) == [5, 2], "the most negative first"
    filtered = tell(ALPHA, NAMES, Telling(3, iou=0.05, order="filter"))
    assert units(filtered.persuasive) == [0, 4]
    assert [one.name for one in tell(ALPHA, NAMES, Telling(3, iou=0.04)).persuasive][1] == "red"
    assert merged(filtered.persuasive) == [("dog", 2)]


def test_importance_weighted_by_activation():
    activity = np.array([0.0, 1.0, 5.0, 1.0, 9.0, 1.0])
    found = tell(ALPHA, NAMES, Telling(2, weighted=True), activity)
    assert units(found.persuasive) == [4, 1]
    assert units(found.inhibitive) == [2, 5]
    with pytest.raises(VlxError, match="mean activation"):
        tell(ALPHA, NAMES, Telling(weighted=True))


def test_a_sign_is_kept_whatever_the_order():
    nothing = tell(np.zeros(6), NAMES)
    assert nothing == Told((), ())
    assert sentence("dog", nothing) == "“dog”: no neuron is persuasive. No neuron is inhibitive."
    positive = tell(np.abs(ALPHA), NAMES)
    assert positive.inhibitive == ()


def test_sentences():
    dog, cat, none = (
        Neuron(0, 1.0, "dog", "object", 0.1), Neuron(1, 0.5, "cat", "object", 0.1),
        Neuron(2, 0.1, None, "", 0.0),
    )  # fmt: skip
    assert sentence("a|b", Told((dog, none, cat, replace(dog, unit=4)), (none,))) == (
        "“a|b”: the neurons for dog (2) and cat are persuasive. "
        "The one neuron that is inhibitive has no name."
    )
    assert sentence("x", Told((none, none), (cat,))) == (
        "“x”: none of the 2 most persuasive has a name. The neuron for cat is inhibitive."
    )


@pytest.mark.parametrize(
    "how",
    [{"count": 0}, {"iou": 1.0}, {"iou": -0.1}, {"iou": float("nan")}],
)
def test_settings_that_mean_nothing(how: dict[str, object]):
    with pytest.raises(VlxError, match="give 1 or more"):
        Telling(**how)  # type: ignore[arg-type]


def test_names_of_another_layer():
    with pytest.raises(VlxError, match="6 names for 4 channels"):
        tell(ALPHA[:4], NAMES)


def test_chance_is_that_of_many_draws():
    random = np.random.default_rng(0)
    draws = [np.any(random.choice(20, 5, replace=False) < 3) for _ in range(4000)]
    assert chance(20, 3, 5) == pytest.approx(np.mean(draws), abs=0.03)


def test_stability_counts_units_that_both_halves_name():
    one = (Name(DOG, 0.5), Name(CAT, 0.5), None, Name(RED, 0.01))
    other = (Name(DOG, 0.5), Name(RED, 0.5), Name(DOG, 0.5), Name(RED, 0.5))
    assert stable(one, other, 0.05) == ([1.0, 0.0], 0.25)
    assert stable(one, (None,) * 4, 0.05) == ([], None)


def test_the_same_name_of_another_category_is_the_same_where_the_data_have_none_such():
    assert same(Concept("thing", "Dog"), DOG, ["object"])
    assert not same(Concept("colour", "dog"), DOG, ["object", "colour"])


def test_units_as_active_are_each_used_once():
    activity = np.array([1.0, 0.9, 0.95, 0.2, 0.0])
    assert alike([0, 1], [2, 3, 4], activity) == [2, 3]


def test_units_are_set_to_zero_in_a_copy():
    passed = small.classifier().read([Image.new("RGB", (40, 30), "red")])
    before = passed.features.detach().clone()
    changed = without(passed, [1, 4])
    assert not changed[[1, 4]].any()
    assert torch.equal(changed[[0, 2, 3, 5]], before[0, [0, 2, 3, 5]])
    assert torch.equal(passed.features.detach(), before)
