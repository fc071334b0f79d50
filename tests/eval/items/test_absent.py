"""Words of absent categories: never of what the image shows, drawn by the item and the seed alone."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from vlx.errors import VlxError
from vlx.eval.data.lexicon import built_in, words_naming
from vlx.eval.items.absent import wrong_words
from vlx.eval.items.item import Item, digest
from vlx.eval.items.opened import LeftOut
from vlx.eval.items.options import Options
from vlx.passes.reading import Choices, Reading, Word

NAMES = (
    "a", "two", "dog", "dogs", "cat", "cats", "puppy", "horse", "bus", "buses", "kitten", "pizza", "##bear",
    "light", "sign", "sheep", "zebra", "zebra",
)  # fmt: skip


def reading(text: str, names: tuple[str, ...] = NAMES) -> Reading:
    words = tuple(Word(one, (at,), (names.index(one),)) for at, one in enumerate(text.split()))
    return Reading("caption", words, Choices(names))


def item(name: str = "1", shown: tuple[str, ...] | None = (), category: str = "dog") -> Item:
    return Item(name, Path("1.jpg"), "1", category=category, shown=shown)


def drawn(count: int = 3, given: Item | None = None, text: str = "a dog", seed: int = 0) -> list[str]:
    found = wrong_words(Options(seed=seed, wrong=count), given or item(), reading(text), 1)
    assert not isinstance(found, LeftOut)
    return found


def test_each_absent_category_stands_for_one_known_word_in_the_number_of_the_own() -> None:
    # no category of "light" or "sign" alone; ##bear goes on with a word; two choices are called zebra
    assert sorted(drawn(99)) == ["bus", "cat", "horse", "pizza", "sheep"]
    assert sorted(drawn(99, text="two dogs")) == ["buses", "cats", "horse", "pizza", "sheep"]


def test_what_the_image_shows_and_the_own_category_are_never_drawn() -> None:
    for name in range(50):
        found = drawn(3, item(str(name), shown=("cat", "bus")))
        assert sorted(found) == ["horse", "pizza", "sheep"]
        assert "dog" not in found
        assert "puppy" not in found


def test_draws_are_without_replacement_and_all_categories_alike() -> None:
    counts = Counter(word for name in range(600) for word in drawn(2, item(str(name))))
    assert all(len(set(drawn(2, item(str(name))))) == 2 for name in range(20))
    assert set(counts) == {"bus", "cat", "horse", "pizza", "sheep"}
    assert max(counts.values()) < 1.3 * min(counts.values())  # each 240 in the mean


def test_a_draw_belongs_to_the_item_and_the_seed() -> None:
    assert drawn() == drawn()
    assert drawn(2) == drawn(3)[:2]
    assert any(drawn(3, item(str(name))) != drawn(3) for name in range(9))
    assert any(drawn(3, seed=seed) != drawn(3) for seed in range(1, 9))


def test_another_vocabulary_changes_the_words_alone_that_it_lacks() -> None:
    for name in range(20):
        many = drawn(99, item(str(name)))
        fewer = tuple(one for one in NAMES if one != many[0])
        found = wrong_words(Options(), item(str(name)), reading("a dog", fewer), 1)
        expected = many[1:4]
        if many[0] == "cat":  # for which the kitten, or the plural, stands then
            assert isinstance(found, list)
            expected = [found[0], *many[1:3]]
        if many[0] == "bus":
            expected = ["buses", *many[1:3]]
        assert found == expected


def test_without_what_is_known_there_is_a_reason() -> None:
    unknown = wrong_words(Options(), item(shown=None), reading("a dog"), 1)
    assert unknown == LeftOut("unknown_categories")
    everything = item(shown=built_in().names)
    assert wrong_words(Options(), everything, reading("a dog"), 1) == LeftOut("no_wrong_word")
    with pytest.raises(VlxError, match="give 0 or more"):
        Options(wrong=-1)


def test_what_an_image_shows_decides_rows() -> None:
    before = digest([item(shown=None)])
    assert digest([item(shown=())]) != before
    assert digest([item(shown=("cat",))]) != digest([item(shown=())])
    assert digest([replace(item(), shown=None)]) == before


def test_words_stand_under_their_category_in_the_order_of_the_list() -> None:
    assert words_naming("cat")[:3] == (("cat", False), ("cats", True), ("kitten", False))
    assert words_naming("no such category") == ()
    for name in built_in().names:
        for word, _ in words_naming(name):
            assert built_in().categories[word,] == name
