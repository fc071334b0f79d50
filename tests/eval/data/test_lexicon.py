import json

import pytest

from vlx.eval.data.coco import read_captions, read_instances
from vlx.eval.data.lexicon import (
    VisualWord,
    built_in,
    main,
    plural,
    read_labels,
    read_lexicon,
    score,
    tokenize,
    visual_words,
)
from vlx.eval.data.records import DataError


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
        ("dog: hot dog\nnone: hot dog", "'hot dog' stands under a category and under 'none'"),
    ],
)
def test_damaged_lists_are_refused(tmp_path, content, said):
    path = tmp_path / "list.txt"
    path.write_text(content)
    with pytest.raises(DataError, match=said):
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
