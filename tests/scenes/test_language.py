"""What is said and asked about a scene is true of it: every claim is read back and looked up in the plan."""

import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.scenes.said import Claim, read_caption, read_phrase
from vlx.scenes import scene_random
from vlx.scenes.catalogue import BY_NAME, CATEGORIES, GROUNDS, Category
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


def hits(claim: Claim, scene: Scene) -> bool:
    return claim.holds([scene.items[at] for at in of(scene, claim.category)])


# ---- the reader of captions ---------------------------------------------------------------------


def test_captions_are_read_as_a_person_would():
    said = read_caption("there are two red cars, a puppy and a pair of scissors on the grass")
    assert (said.opening, said.verb, said.ground) == ("there are", "", "grass")
    assert [(c.count, c.category, c.colour, c.noun) for c in said.claims] == [
        (2, "car", "red", "cars"), (1, "dog", None, "puppy"), (1, "scissors", None, "scissors"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    ["a elephant is on the grass", "two dog is on the grass", "a dog , a cat on the sea", "dog on the sand",
     "a dog and a cat", "an dog in the sea", "a scissors on the road", "a dog, a cat on the road"],
)  # fmt: skip
def test_the_reader_refuses_broken_captions(text):
    with pytest.raises((AssertionError, KeyError)):
        read_caption(text)


def test_the_reader_sees_lies():
    dogs = Scene("sea", (item("dog", 50.0, glyph=1), item("dog", 150.0)), 0)
    true, puppies, three, cats = map(read_phrase, ("two dogs", "two puppies", "three dogs", "two cats"))
    assert hits(true, dogs)
    assert not hits(puppies, dogs)  # one of them is grown up
    assert not hits(three, dogs)
    assert not hits(cats, dogs)
    red = Scene("sea", (item("car", 50.0, colour="red"),), 0)
    assert hits(read_phrase("a red car"), red)
    assert not hits(read_phrase("a blue car"), red)


# ---- captions -----------------------------------------------------------------------------------


def test_five_captions_a_scene_say_all_that_is_there_and_nothing_else(stories):
    for scene, said, _ in stories:
        assert len(said) == 5
        for text in said:
            caption = read_caption(text)
            assert caption.ground == scene.ground
            assert all(hits(claim, scene) for claim in caption.claims), (text, scene)
            named = [claim.category for claim in caption.claims]
            assert len(named) == len(set(named))
            assert set(named) == {one.category.name for one in scene.items}


def test_categories_are_named_from_left_to_right(stories):
    for scene, said, _ in stories:
        for text in said:
            lefts = [
                min(scene.items[at].col for at in of(scene, claim.category))
                for claim in read_caption(text).claims
            ]
            assert lefts == sorted(lefts), text


def test_verbs_agree_with_their_subjects(stories):
    for scene, said, _ in stories:
        for text in said:
            caption = read_caption(text)
            several = len(scene.items) > 1
            assert caption.verb in ("", *(("are", "stand") if several else ("is", "stands"))), text
            if caption.opening.startswith("there"):  # agrees with the first one named
                assert caption.opening == ("there are" if caption.claims[0].count > 1 else "there is")


def test_the_five_captions_have_five_forms(stories):
    for _, said, _ in stories:
        forms = {(read.opening[:5], read.verb[:5]) for read in map(read_caption, said)}
        assert len(forms) == 5


def test_synonyms_plurals_and_colours_are_all_used(stories):
    claims = [claim for _, said, _ in stories for text in said for claim in read_caption(text).claims]
    singular = {claim.noun for claim in claims if claim.count == 1}
    plural = {claim.noun for claim in claims if claim.count > 1}
    nouns = [n for c in CATEGORIES for n in (*c.nouns, *(n for g in c.glyphs for n in g.nouns))]
    assert {noun[0] for noun in nouns} - singular == set()
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
            assert claim.holds([one])
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
