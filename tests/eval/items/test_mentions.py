"""Captions with a word of an absent category in the place of a true one."""

import json
from pathlib import Path

from vlx.eval.data.coco import read_captions, read_instances
from vlx.eval.data.folder import look
from vlx.eval.data.lexicon import tokenize, visual_words
from vlx.eval.items.item import Item, digest
from vlx.eval.items.mentions import doubtful_words, exchanged, own_words
from vlx.eval.items.options import Options
from vlx.eval.items.truth import Shown


def test_pairs_share_all_but_one_word_of_an_absent_category(world: Path) -> None:
    items = doubtful_words(look(world), Options())
    instances, captions = read_instances(world / "instances.json"), read_captions(world / "captions.json")
    pairs = [(items[at - 1], item) for at, item in enumerate(items) if item.id.endswith("/changed")]
    owns = [item for item in items if item.id.endswith("/own")]
    assert len(owns) == 12
    assert len(pairs) > 12
    for true, other in pairs:
        assert (true.id, true.text, true.word) == (other.id.removesuffix("/changed"), other.text, other.word)
        assert isinstance(true.truth, Shown)
        assert isinstance(other.truth, Shown)
        there = {one.category for one in instances.of(int(true.cluster))}
        said = {
            word.category for one in captions.by_image[int(true.cluster)] for word in visual_words(one.text)
        }
        assert true.category in there
        assert true.truth.present >= there | said
        assert not true.truth.others
        if other.left_out:
            assert other.left_out == "no_other_word"
            continue
        changed = exchanged(other, {word for word, _ in other.truth.others[1:]})
        assert changed.category not in there | said
        before, after = tokenize(true.text), tokenize(changed.text)
        (first,) = [
            word.span[0] for word in visual_words(before)
            if word.category == true.category
        ][true.mention : true.mention + 1]  # fmt: skip
        width = len(true.word.split())
        assert after == [*before[:first], changed.word, *before[first + width :]]
        assert changed.word == (other.truth.others[1:] or other.truth.others)[0][0]
        if first and before[first - 1] in ("a", "an"):
            assert (changed.word[0] in "aeiou") == (before[first - 1] == "an")
            assert not changed.word.endswith("s") or changed.word.endswith(("ss", "us"))
        (mine,) = [
            word for word in visual_words(after) if word.category == changed.category
        ][changed.mention : changed.mention + 1]  # fmt: skip
        assert mine.span == (first, first + 1)


def test_words_are_drawn_by_the_seed_and_the_caption_alone(world: Path) -> None:
    folder = look(world)
    first, again, other = (doubtful_words(folder, Options(seed=seed)) for seed in (1, 1, 2))
    assert digest(first) == digest(again) != digest(other)
    fewer = doubtful_words(folder, Options(seed=1, captions=1))
    by_id = {item.id: item for item in first}
    assert all(digest([item]) == digest([by_id[item.id]]) for item in fewer)


def test_images_without_instances_are_left_out(world: Path, tmp_path: Path) -> None:
    content = json.loads((world / "instances.json").read_text())
    gone = content["images"].pop(0)["id"]
    content["annotations"] = [one for one in content["annotations"] if one["image_id"] != gone]
    (tmp_path / "instances.json").write_text(json.dumps(content))
    (tmp_path / "captions.json").write_bytes((world / "captions.json").read_bytes())
    (tmp_path / "images").symlink_to(world / "images")
    mine = [item for item in doubtful_words(look(tmp_path), Options()) if item.cluster == str(gone)]
    assert [(item.id, item.left_out) for item in mine] == [(f"{gone}/own", "no_instances")]


def test_a_model_that_knows_no_other_word_is_given_the_first() -> None:
    truth = Shown(frozenset({"dog"}), frozenset({"dog", "cat", "bird"}), (("lynx", "cat"), ("bird", "bird")))
    item = Item("1", Path(), "1", "a dog and a bird dog", truth, word="dog", category="dog")
    assert exchanged(item, ()).word == "lynx"
    assert exchanged(item, {"bird"}).text.startswith("a bird and a bird")


def test_own_words_are_those_whose_category_the_annotations_know() -> None:
    truth = Shown(frozenset({"dog"}), frozenset({"dog", "traffic light"}), own=True)
    item = Item("1/own", Path(), "1", "", truth)
    found = own_words(item, "A dog, a dog and a cat by a traffic light.")
    assert [(one.id, one.word, one.mention, one.category) for one in found] == [
        ("1/own/1", "dog", 0, "dog"), ("1/own/4", "dog", 1, "dog"),
        ("1/own/10", "traffic light", 0, "traffic light"),
    ]  # fmt: skip
    assert own_words(item, "nothing to see") == []
