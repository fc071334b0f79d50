import json
import re

import pytest

from vlx.eval.data.coco import read_captions, read_instances
from vlx.eval.data.lexicon import (
    VisualWord,
    built_in,
    main,
    read_labels,
    score,
    tokenize,
    visual_words,
)
from vlx.eval.data.records import DataError
from vlx.eval.data.word_list import plural, read_lexicon


def categories(text):
    return [word.category for word in visual_words(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A hot dog.", ["hot dog"]),
        ("two teddy bears", ["teddy bear"]),
        ("a baby bird", ["bird"]),
        ("a baby", ["person"]),
        ("a bus stop sign", []),
        ("a stop sign near a bus stop", ["stop sign"]),
        ("a dog at the train station", ["dog"]),
        ("the dogs show their teeth", ["dog"]),
        ("a person stand in a line", ["person"]),
        ("a ceramic bowl", ["bowl"]),
        ("a passenger bus", ["bus"]),
        ("a toy car, a car", ["car"]),
        ("men, women and children", ["person", "person", "person"]),
        ("A man sits. A dog sleeps.", ["person", "dog"]),
        ("a fire-hydrant", ["fire hydrant"]),
        ("wine glasses", ["wine glass"]),
        ("glasses", []),
        ("mice", ["mouse"]),
        ("", []),
        ("the the of !!", []),
        ("a cat and a dog stand in a field", ["cat", "dog"]),
        ("an elephant stand near a tree", ["elephant"]),
        ("a hot dog stand near a tree", []),
        ("a tv stand in a corner", []),
        ("a truck parks by the road", ["truck"]),
        ("the dog parks of this city", []),
        ("a clock shaped like a banana", ["clock"]),
        ("a clock shaped as a banana", ["clock"]),
        ("a banana shaped clock", ["clock"]),
        ("people on skies", ["person", "skis"]),
        ("people under grey skies", ["person"]),
        ("holding an orange", ["orange"]),
        ("An orange.", ["orange"]),
        ("an orange cat", ["cat"]),
        ("an orange and white cat", ["cat"]),
        ("painted in orange.", []),
        ("apple, orange and banana", ["apple", "orange", "banana"]),
        ("she throws a baseball to him", ["sports ball"]),
        ("a baseball game", []),
    ],
)
def test_phrases(text, expected):
    assert categories(text) == expected


def test_spans_count_the_tokens_given():
    words = visual_words(["A", "Hot", "DOG", "on", "a", "dining", "room", "table"])
    assert words == [VisualWord((1, 3), "hot dog"), VisualWord((5, 8), "dining table")]


def test_spans_never_overlap_and_lie_in_the_text():
    for phrase, _ in read_labels():
        tokens, last = tokenize(phrase), 0
        for word in visual_words(tokens):
            assert last <= word.span[0] < word.span[1] <= len(tokens)
            last = word.span[1]


def test_every_word_of_the_list_names_its_own_category():
    lexicon = built_in()
    alone = [phrase for phrase in lexicon.categories if phrase not in lexicon.none]
    wrong = {
        " ".join(phrase): found
        for phrase in alone
        if (found := [word.category for word in visual_words(list(phrase))]) != [lexicon.categories[phrase]]
    }
    assert wrong == {}


def test_the_list_is_as_large_as_the_papers():
    lexicon = built_in()
    assert len(lexicon.categories) >= 830
    assert len(lexicon.names) == 80


def test_precision_and_recall_on_labelled_phrases():
    labels = read_labels()
    found = score(labels)
    assert found.phrases >= 300
    assert sum(not names for _, names in labels) >= 90
    assert found.precision >= 0.98
    assert found.recall >= 0.95
    assert {name for _, names in labels for name in names} == set(built_in().names)


def test_frequent_words_in_context_are_found_and_their_doubles_are_not():
    labels = read_labels()
    found = score(
        [one for one in labels if {"orange", "skies", "stand", "parks", "shaped"} & set(tokenize(one[0]))]
    )
    assert found.phrases >= 30
    assert found.precision >= 0.97
    assert found.recall == 1


@pytest.mark.parametrize(
    ("text", "head"),
    [
        ("a golden retriever", "retriever"),
        ("a glass of red wine", "glass"),
        ("two glasses of milk", "glasses"),
        ("a glass filled with water", "glass"),
        ("a wine glass", "glass"),
        ("a slice of pizza", "pizza"),
        ("a pair of scissors", "scissors"),
        ("a horse drawn cart", "horse"),
        ("a family of four", "family"),
        ("a catcher's mitt", "mitt"),
        ("the bed of a truck", "truck"),
        ("a man on ski's", "ski"),
    ],
)
def test_the_head_noun_is_what_is_meant(text, head):
    tokens = tokenize(text)
    assert tokens[visual_words(tokens)[-1].head(tokens)] == head


def test_words_of_a_list_that_need_what_stands_around_them(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("plum: plum+, a|one [orange] comma|$, [orange] juice bar\ncat: cat+\n")
    lexicon = read_lexicon(path)
    for text, span in (("one orange", (1, 2)), ("a orange , cat", (1, 2)), ("orange juice bar", (0, 1))):
        assert visual_words(text, lexicon)[0] == VisualWord(span, "plum")
    for text in ("orange", "an orange", "a orange cat", "orange juice", "juice bar orange"):
        assert "plum" not in {word.category for word in visual_words(text, lexicon)}


def test_score_counts_each_mention(tmp_path):
    lexicon = tmp_path / "list.txt"
    lexicon.write_text("dog: dog+\ncat: cat+\n")
    found = score([("dog dog cat", ("dog", "bird"))], read_lexicon(lexicon))
    assert (found.right, found.wrong, found.missed) == (
        1,
        ("dog dog cat: dog", "dog dog cat: cat"),
        ("dog dog cat: bird",),
    )
    assert found.precision == pytest.approx(1 / 3)
    assert found.recall == 0.5


def test_the_command_prints_its_figures(capsys):
    assert main() == 0
    assert "precision" in capsys.readouterr().out


def test_a_list_of_ones_own(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text(
        "# comment\nfox: fox+, red fox/red foxes\nnone: fox trot\nheads: hole\n"
        "replicas: toy\nmodifiers: fox\n"
    )
    lexicon = read_lexicon(path)
    assert lexicon.names == ("fox",)
    text = "a red fox, foxes hole, fox hole, fox trot, toy fox"
    assert [word.span for word in visual_words(text, lexicon)] == [(1, 3), (4, 5)]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("dog dog+", ":1: expected 'category: word, word'"),
        ("dog: hound\nwolf: hound", ":2: 'hound' stands under 'dog' and 'wolf'"),
        ("dog: a [hot dog", ":1: expected 'before|or [word] after|or'"),
        ("dog: a [] b", ":1: expected 'before|or [word] after|or'"),
        ("dog: hot dog\nnone: hot dog", "'hot dog' stands under a category and under 'none'"),
    ],
)
def test_damaged_lists_are_refused(tmp_path, content, said):
    path = tmp_path / "list.txt"
    path.write_text(content)
    with pytest.raises(DataError, match=re.escape(said)):
        read_lexicon(path)


def test_missing_lists_and_damaged_labels_are_refused(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        read_lexicon(tmp_path / "gone.txt")
    (tmp_path / "labels.txt").write_text("a dog, dog\n")
    with pytest.raises(DataError, match=r"expected 'phrase \| category"):
        read_labels(tmp_path / "labels.txt")


@pytest.mark.parametrize(
    ("noun", "several"),
    [("dog", "dogs"), ("bus", "buses"), ("pony", "ponies"), ("toy", "toys"), ("bench", "benches")],
)
def test_plurals(noun, several):
    assert plural(noun) == several


def test_the_list_has_the_categories_of_coco_in_order(shared_data):
    instances = read_instances(shared_data / "coco-80" / "instances.json")
    assert built_in().names == instances.categories


def test_words_of_real_captions_are_in_the_picture(shared_data):
    instances = read_instances(shared_data / "coco-80" / "instances.json")
    captions = read_captions(shared_data / "coco-80" / "captions.json")
    there = [
        word.category in {instance.category for instance in instances.of(image)}
        for image, group in captions.by_image.items()
        for caption in group
        for word in visual_words(caption.text)
    ]
    assert len(there) > 500
    assert sum(there) / len(there) > 0.95


def test_most_real_captions_have_a_visual_word(shared_data):
    content = json.loads((shared_data / "captions_val2017.json").read_text())
    captions = [record["caption"] for record in content["annotations"]][::25]
    assert sum(bool(visual_words(caption)) for caption in captions) / len(captions) > 0.88


def test_nobody_can_change_the_list_that_all_share():
    with pytest.raises(TypeError):
        built_in().categories[("dog",)] = "cat"
