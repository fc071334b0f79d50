"""What is said and asked about a scene is true of it: every claim is read back and looked up in the plan."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.scenes.said import Claim, read_caption, read_phrase
from vlx.scenes import scene_random
from vlx.scenes.inventory import BY_NAME, CATEGORIES, GROUNDS, Category
from vlx.scenes.language import Asked, captions, questions, region_caption
from vlx.scenes.plan import SIDE, Item, Scene, plan_scene
from vlx.scenes.texts import told

COUNT = 1500


@pytest.fixture(scope="module")
def stories() -> list[tuple[Scene, list[str], list[Asked]]]:
    return [told(21, index) for index in range(COUNT)]


def item(name: str, col: float, glyph: int = 0, colour: str | None = None) -> Item:
    category = BY_NAME[name]
    return Item(category, category.glyphs[glyph], 60, 112.0, col, 0.0, False, colour)


def of(scene: Scene, name: str) -> list[int]:
    """Where the objects of a category stand among a scene's."""
    return [at for at, one in enumerate(scene.items) if one.category.name == name]


def told_apart(claims: Sequence[Claim], items: Sequence[Item]) -> bool:
    """Whether each claim is true of as many objects as it names, and no object is left over."""
    each = [claim for claim in claims for _ in range(claim.count)]
    return len(each) == len(items) and any(
        all(claim.category == one.category.name and claim.holds(one) for claim, one in pairs)
        for pairs in (list(zip(each, turned, strict=True)) for turned in permutations(items))
    )


# ---- the reader of captions ---------------------------------------------------------------------


def test_captions_are_read_as_a_person_would():
    said = read_caption("there is a red car, another blue car, a puppy and a pair of scissors on the grass")
    assert (said.opening, said.verb, said.ground) == ("there is", "", "grass")
    assert [(c.again, c.category, c.colour, c.noun) for c in said.claims] == [
        (False, "car", "red", "car"), (True, "car", "blue", "car"), (False, "dog", None, "puppy"),
        (False, "scissors", None, "scissors"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    ["a elephant is on the grass", "two dog are on the grass", "a dog , a cat on the sea", "dog on the sand",
     "a dog and a cat", "an dog in the sea", "a scissors on the road", "a dog, a cat on the road"],
)  # fmt: skip
def test_the_reader_refuses_broken_captions(text):
    with pytest.raises((AssertionError, KeyError)):
        read_caption(text)


def test_the_reader_sees_lies():
    dogs = [item("dog", 50.0, glyph=1), item("dog", 150.0)]
    dog, another, puppy, cat = map(read_phrase, ("a dog", "another dog", "a puppy", "a cat"))
    assert told_apart([dog, another], dogs)
    assert not told_apart([puppy, puppy], dogs)  # one of them is grown up
    assert not told_apart([dog, dog, dog], dogs)
    assert not told_apart([cat, dog], dogs)
    two, three, puppies = map(read_phrase, ("two dogs", "three dogs", "two puppies"))
    assert told_apart([two], dogs)
    assert not told_apart([three], dogs)
    assert not told_apart([puppies], dogs)
    red, blue = item("car", 50.0, colour="red"), item("car", 90.0, colour="blue")
    assert told_apart([read_phrase("a car"), read_phrase("another red car")], [red, blue])
    assert not told_apart([read_phrase("a red car"), read_phrase("another red car")], [red, blue])


# ---- captions -----------------------------------------------------------------------------------


def test_five_captions_a_scene_say_all_that_is_there_and_nothing_else(stories):
    for scene, said, _ in stories:
        assert len(said) == 5
        for text in said:
            caption = read_caption(text)
            assert caption.ground == scene.ground
            assert told_apart(caption.claims, scene.items), (text, scene)


def test_only_a_noun_that_was_said_before_is_another(stories):
    for _, said, _ in stories:
        for text in said[:4]:
            nouns = [claim.noun for claim in read_caption(text).claims]
            assert [claim.again for claim in read_caption(text).claims] == [
                noun in nouns[:at] for at, noun in enumerate(nouns)
            ]


def test_the_fifth_caption_counts_and_no_other(stories):
    for scene, said, _ in stories:
        *plain, counting = map(read_caption, said)
        assert all(claim.count == 1 for caption in plain for claim in caption.claims)
        assert len(counting.claims) == len({one.category.id for one in scene.items})
        assert not any(claim.again for claim in counting.claims)


def test_objects_are_named_in_any_order(stories):
    """Of two different objects each comes first about half the time."""
    first = [
        read_caption(text).claims[0].category == scene.items[0].category.name
        for scene, said, _ in stories
        if len(scene.items) == 2 and len({one.category.id for one in scene.items}) == 2
        for text in said
    ]
    assert len(first) > 500
    assert sum(first) / len(first) == pytest.approx(0.5, abs=0.05)


def test_verbs_agree_with_their_subjects(stories):
    for scene, said, _ in stories:
        for text in said:
            caption = read_caption(text)
            several = len(scene.items) > 1
            assert caption.verb in ("", *(("are", "stand") if several else ("is", "stands"))), text


def test_the_five_captions_have_five_forms(stories):
    for _, said, _ in stories:
        forms = {(read.opening[:5], read.verb[:5]) for read in map(read_caption, said)}
        assert len(forms) == 5


def test_synonyms_plurals_and_colours_are_all_used(stories):
    claims = [claim for _, said, _ in stories for text in said for claim in read_caption(text).claims]
    singular = {claim.noun for claim in claims if claim.count == 1}
    plural = {claim.noun for claim in claims if claim.count > 1}
    nouns = [n for c in CATEGORIES for n in (*c.nouns, *(n for g in c.glyphs for n in g.nouns))]
    assert {noun[0] for noun in nouns} == singular
    assert len(plural & {noun[1] for noun in nouns}) > 60
    coloured = Counter(claim.colour for claim in claims if BY_NAME[claim.category].colours)
    assert min(coloured[colour] for colour in ("red", "yellow", "green", "blue", "purple")) > 50
    assert coloured[None] > 300


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.integers(0, 5))
def test_words_depend_on_their_own_random_numbers_alone(index, seed):
    scene = plan_scene(scene_random(seed, index))
    first, again, other = (
        (captions(scene, random), questions(scene, random))
        for random in map(np.random.default_rng, (index, index, index + 1))
    )
    assert first == again
    assert len(captions(scene, np.random.default_rng(0), 3)) == 3
    assert captions(scene, np.random.default_rng(0), 3) == captions(scene, np.random.default_rng(0), 5)[:3]
    assert len(other[0]) == 5


def test_a_regions_caption_is_true_of_its_object(stories):
    random = np.random.default_rng(0)
    for scene, _, _ in stories[:300]:
        for one in scene.items:
            claim = read_phrase(region_caption(one, random))
            assert claim.holds(one)
            assert claim.category == one.category.name
            assert claim.colour == one.colour


# ---- questions ----------------------------------------------------------------------------------

SINGULAR = {category.nouns[0][0]: category for category in CATEGORIES}
PLURAL = {category.nouns[0][1]: category for category in CATEGORIES}
PLACES = {place: ground for ground, place in GROUNDS.items()}


def answered(scene: Scene, question: str) -> tuple[str, str, set[int]]:
    """The kind of a question, its answer, and the objects one looks at: found in the plan alone."""

    def only(category: Category) -> int:
        (at,) = of(scene, category.name)
        return at

    everything = set(range(len(scene.items)))
    if found := re.fullmatch(r"what is ((?:on|in) the \w+) \?", question):
        assert PLACES[found[1]] == scene.ground
        (name,) = {one.category.name for one in scene.items}
        return "what", name, everything
    if found := re.fullmatch(r"what colour is the (.+) \?", question):
        at = only(SINGULAR[found[1]])
        return "colour", str(scene.items[at].colour), {at}
    if found := re.fullmatch(r"how many (.+) are there \?", question):
        there = of(scene, PLURAL[found[1]].name)
        return "count", str(len(there)), set(there)
    if found := re.fullmatch(r"is there (an|a pair of|a) (.+) \?", question):
        name = SINGULAR[found[2]].name
        assert found[1] == ("a pair of" if name == "scissors" else "an" if name[0] in "aeiou" else "a")
        there = of(scene, name)
        return ("presence", "yes", set(there)) if there else ("presence", "no", everything)
    if found := re.fullmatch(r"where is the (.+) \?", question):
        at = only(SINGULAR[found[1]])
        share = scene.items[at].col / SIDE
        assert not 0.4 <= share <= 0.6, "neither on the left nor on the right"
        return "side", "left" if share < 0.5 else "right", {at}
    found = re.fullmatch(r"what is to the left of the (.+) \?", question)
    assert found, f"no question of the scenes: {question!r}"
    right = scene.items[only(SINGULAR[found[1]])]
    (at,) = (at for at, one in enumerate(scene.items) if one.col < right.col)
    assert right.col - scene.items[at].col >= 0.2 * SIDE, "hardly to the left"
    return "left of", scene.items[at].category.name, {at}


def test_every_answer_is_right_and_its_objects_are_looked_at(stories):
    for scene, _, asked in stories:
        for one in asked:
            kind, answer, look = answered(scene, one.question)
            assert (one.kind, one.answer, set(one.look)) == (kind, answer, look), (one, scene)
            assert one.look


def test_at_most_one_question_of_a_kind_a_scene_and_six_kinds_in_all(stories):
    kinds = Counter(one.kind for _, _, asked in stories for one in asked)
    assert set(kinds) == {"what", "colour", "count", "presence", "side", "left of"}
    assert min(kinds.values()) > COUNT / 20
    for _, _, asked in stories:
        assert len({one.kind for one in asked}) == len(asked) >= 1


def test_no_answer_is_a_safe_guess(stories):
    answers: dict[str, Counter[str]] = {}
    for _, _, asked in stories:
        for one in asked:
            answers.setdefault(one.kind, Counter())[one.answer] += 1
    share = {kind: max(found.values()) / sum(found.values()) for kind, found in answers.items()}
    assert set(answers["presence"]) == {"yes", "no"}
    assert set(answers["count"]) == {"1", "2", "3", "4"}
    assert share["presence"] == pytest.approx(0.5, abs=0.05)
    assert share["side"] == pytest.approx(0.5, abs=0.05)
    assert share["colour"] < 0.3
    assert share["count"] < 0.7
    assert share["what"] < 0.1
    assert share["left of"] < 0.1


def test_questions_worked_by_hand():
    scene = Scene("sand", (item("dog", 30.0), item("bus", 180.0, colour="blue")), 0)
    asked = {one.kind: one for one in questions(scene, np.random.default_rng(0))}
    left_of = Asked("what is to the left of the bus ?", "dog", "left of", (0,))
    assert asked["left of"] == left_of
    assert asked["colour"] == Asked("what colour is the bus ?", "blue", "colour", (1,))
    assert "what" not in asked  # two categories: no one answer
    assert asked["side"].answer == {0: "left", 1: "right"}[asked["side"].look[0]]
    twice = replace(scene, items=(item("dog", 30.0), item("dog", 180.0)))
    asked = {one.kind: one for one in questions(twice, np.random.default_rng(0))}
    assert asked["what"] == Asked("what is on the sand ?", "dog", "what", (0, 1))
    assert asked["count"] == Asked("how many dogs are there ?", "2", "count", (0, 1))
    assert not {"side", "left of", "colour"} & set(asked)  # which of the two?


def test_no_side_is_asked_of_what_stands_in_the_middle():
    for seed in range(20):
        scene = Scene("sea", (item("dog", 112.0), item("cat", 120.0)), 0)
        kinds = {one.kind for one in questions(scene, np.random.default_rng(seed))}
        assert not {"side", "left of"} & kinds
