"""The study of bias: its scenes are what they claim, what it finds is what was planted, and it goes on."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.conftest import Run
from vlx.errors import VlxError
from vlx.studies.bias.crossed import crossed_mean
from vlx.studies.bias.finder import EVEN, first_named, moves, parts
from vlx.studies.bias.learned import Recipe, evidence, fixed_part, learned, log_odds, new_head, whole
from vlx.studies.bias.measured import CLASS, REACH, Seen, divided, measured, probes_of
from vlx.studies.bias.study import BiasSettings, bias_study
from vlx.studies.bias.world import (
    CLASSES,
    REGIONS,
    VALUES,
    balanced_cases,
    changed,
    drawn,
    evened,
    other_class,
    planted,
    pool_of,
    rebalanced,
)

BESIDE = ("ground", "neighbour", "other object")
SMALL = BiasSettings(("neighbour",), 0.9, 20, 1, 8, 8, recipe=Recipe(epochs=3))


def test_every_attribute_has_both_values_equally_often_in_each_class():
    cases = balanced_cases([1], 12)
    for name in VALUES:
        assert set(Counter((case.label, case.values[name]) for case in cases).values()) == {6}


def test_a_case_shows_what_its_values_say():
    for case in balanced_cases([2], 6):
        item, neighbour, other = case.scene.items
        told = {name: VALUES[name][value] for name, value in case.values.items()}
        assert item.category.name == CLASSES[case.label]
        assert (neighbour.category.name, other.category.name) == (told["neighbour"], told["other object"])
        assert (case.scene.ground, item.colour) == (told["ground"], told["colour"])
        assert (item.col < 112) == (told["side"] == "left")


@pytest.mark.parametrize("name", VALUES)
def test_a_change_changes_one_thing(name: str):
    case = balanced_cases([3], 4)[1]
    other = changed(case, name)
    assert {key for key in VALUES if other.values[key] != case.values[key]} == {name}
    assert other.label == case.label
    assert changed(other, name).scene.ground == case.scene.ground
    same = [a == b for a, b in zip(case.scene.items, other.scene.items, strict=True)]
    parts_changed = {"ground": 0, "side": 3}.get(name, 1)
    assert same.count(False) == parts_changed


def test_the_other_class_differs_in_its_object_alone():
    case = balanced_cases([3], 4)[0]
    other = other_class(case)
    assert other.scene.items[1:] == case.scene.items[1:]
    assert other.scene.items[0].category.name == CLASSES[1 - case.label]


def test_splits_are_as_biased_as_they_say():
    pool = pool_of([4], 0.9, 20)
    split = planted(pool, "colour", 0.9, 20, [0])
    agree = Counter((pool[at].label, pool[at].agrees("colour")) for at in split)
    assert agree == {(0, True): 18, (0, False): 2, (1, True): 18, (1, False): 2}
    even = rebalanced(pool, split, "colour", [0])
    assert len(set(even)) == len(split)
    assert set(Counter((pool[at].label, pool[at].values["colour"]) for at in even).values()) == {10}
    assert len(set(even) & set(split)) == 2 * (10 + 2)  # the rare ones stay, and half of the others
    weights = evened(pool, split, "colour")
    for label in (0, 1):
        of = [
            weights[n]
            for n, at in enumerate(split)
            if (pool[at].label, pool[at].agrees("colour")) == (label, True)
        ]
        assert sum(of) == pytest.approx(1)
    with pytest.raises(VlxError, match="too few"):
        planted(pool[:4], "colour", 0.9, 20, [0])


def test_parts_of_a_scene_are_all_of_it():
    masks = np.zeros((4, 60, 60), bool)
    masks[0, 10, 10] = masks[1, 10, 30] = masks[2, 50, 50] = True
    masks[3] = ~masks.any(0)
    found = divided(masks)
    assert np.allclose(found.sum(0), 1)
    assert found[0, 10, 10] == 1
    assert found[:3, 10, 20].tolist() == [0.5, 0.5, 0]  # within reach of both
    assert found[3, 10, 30 + REACH + 1] == 1


@pytest.fixture(scope="module")
def probes():
    return probes_of(fixed_part(), balanced_cases([5], 4))


@pytest.mark.usefixtures("emoji_font")
def test_the_fixed_part_with_a_head_is_the_whole_network(probes):
    head, below = new_head(0), fixed_part()
    pixels = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(head(below(pixels)), whole(head, below)(pixels), atol=1e-5)


@pytest.mark.usefixtures("emoji_font")
def test_evidence_adds_up_to_the_log_odds(probes):
    head = new_head(0)
    bias = head.classifier[0].bias.detach().double()
    total = evidence(head, probes.features).sum((1, 2)) + float(bias[1] - bias[0])
    assert np.allclose(total, log_odds(head, probes.features), atol=1e-4)


@pytest.mark.usefixtures("emoji_font")
def test_measured_facts_are_of_json_and_leave_the_network_as_it_was(probes):
    head = new_head(0)
    before = {key: value.clone() for key, value in head.state_dict().items()}
    row = json.loads(json.dumps(measured(head, Seen(probes.cases, probes.features), probes, 0)))
    assert all(torch.equal(value, before[key]) for key, value in head.state_dict().items())
    assert set(row["changed"]) == {*VALUES, CLASS}
    shares = np.array([row["shares"][name] for name in REGIONS], float)
    assert np.allclose(shares.sum(0)[~np.isnan(shares[0])], 1, atol=1e-4)
    assert np.allclose(sum(np.array(row["activation"][name]) for name in REGIONS), 1, atol=1e-4)


def row_that_goes_by(weights: dict[str, float], cases) -> dict[str, object]:
    """What is measured of a score that is the weighted sum of the values of attributes, each in its place."""

    def value(case, name: str) -> int:
        return case.label if name == CLASS else case.values[name]

    def score(case) -> float:
        return sum(weight * (value(case, name) - 0.5) for name, weight in weights.items())

    made = {name: [score(changed(case, name)) for case in cases] for name in VALUES}
    return {
        "probe": [score(case) for case in cases],
        "changed": {**made, CLASS: [score(other_class(case)) for case in cases]},
        "nats": {
            "object": [score(case) for case in cases],
            **{name: [weights.get(name, 0.0) * case.values[name] for case in cases] for name in BESIDE},
        },
    }  # fmt: skip


def test_what_a_score_goes_by_is_its_part_of_all():
    cases = balanced_cases([6], 32)
    row = row_that_goes_by({CLASS: 3.0, "neighbour": -1.0}, cases)
    found = {part.name: part for part in parts(moves([row], cases, "changing it"))}
    assert found["neighbour"].value == pytest.approx(0.25)
    assert found["neighbour"].interval == pytest.approx((0.25, 0.25))
    assert found["neighbour"].named
    assert found["ground"].value == pytest.approx(0)
    assert first_named(moves([row], cases, "changing it")) == "neighbour"
    assert parts(moves([row], cases, "maps"))[0].name == "neighbour"
    assert parts(moves([row], cases, "scores"))[0].name == "neighbour"


def test_nothing_is_named_where_the_class_alone_counts():
    cases = balanced_cases([6], 32)
    assert first_named(moves([row_that_goes_by({CLASS: 3.0}, cases)], cases, "changing it")) is None
    still = row_that_goes_by({}, cases)  # nothing moves the score: every part is even, and none is above
    assert [part.value for part in parts(moves([still], cases, "changing it"))] == pytest.approx([EVEN] * 6)
    assert first_named(moves([still], cases, "changing it")) is None


def test_means_that_draw_networks_and_scenes():
    values = np.array([[1.0, 0.0, 1.0, 0.0], [1.0, 1.0, 1.0, 0.0]])
    mean, (low, high) = crossed_mean(values)
    assert mean == values.mean()
    assert 0 <= low < mean < high <= 1
    weighed, (low, high) = crossed_mean(values, np.array([1.0, 0, 0, 1.0]))
    assert weighed == 0.5
    assert high <= 1
    alone, ends = crossed_mean(values[:1, :1])
    assert (alone, ends) == (1, (1, 1))


@pytest.mark.usefixtures("emoji_font")
def test_training_is_the_same_again_and_learns(probes):
    labels = np.array([case.label for case in probes.cases])
    state = torch.get_rng_state()
    first, again = (learned(probes.features, labels, None, 3, Recipe(epochs=40)) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert ((log_odds(first, probes.features) > 0) == labels).all()
    weighed = learned(probes.features, labels, np.where(labels == 0, 1.0, 1e-9), 3, Recipe(epochs=40))
    assert (log_odds(weighed, probes.features) < 0).all()  # scenes without weight teach nothing


@pytest.mark.usefixtures("emoji_font")
def test_the_study_goes_on_and_tells_the_same(tmp_path: Path):
    whole_run = bias_study(SMALL, tmp_path / "whole", lambda _line: None)
    lines: list[str] = []

    def stops(line: str) -> None:
        lines.append(line)
        if len(lines) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bias_study(SMALL, tmp_path / "cut", stops)
    again: list[str] = []
    gone_on = bias_study(SMALL, tmp_path / "cut", again.append)
    assert gone_on.tables == whole_run.tables
    assert not any("balanced" in line and "re" not in line for line in again)
    assert (tmp_path / "cut" / "report.html").is_file()
    assert whole_run.number("going by neighbour alone").control
    assert whole_run.pictures[-1].title.startswith("What networks go by")
    with pytest.raises(VlxError, match="other settings"):
        bias_study(replace(SMALL, seed=1), tmp_path / "cut", lambda _line: None)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"attributes": ("grund",)}, "near names: ground"),
        ({"attributes": ()}, "no attribute"),
        ({"strength": 1.2}, "give .5"),
        ({"images": 11}, "even number"),
        ({"test": 9}, "multiple of 4"),
        ({"trainings": 0}, "1 or more"),
    ],
)
def test_settings_that_make_no_study_are_one_line(tmp_path: Path, given: dict[str, object], said: str):
    with pytest.raises(VlxError, match=said):
        bias_study(replace(SMALL, **given), tmp_path, lambda _line: None)


def test_command_says_what_is_wrong(run: Run, tmp_path: Path):
    status, _, err = run("study", "bias", "--attribute", "grund", "--out", tmp_path / "a")
    assert status != 0
    assert len(err.strip().splitlines()) == 1
    status, _, err = run("study", "bias", "--of", "car", "--out", tmp_path / "b")
    assert status != 0
    assert "--model" in err


def test_scenes_cover_no_object(emoji_font: Path):
    del emoji_font
    for case in balanced_cases([7], 4):
        _, masks = drawn(case)
        assert all(mask.any() for mask in masks)
