"""Classes of data and of models are matched by their names."""

from pathlib import Path

import pytest

from vlx.eval.data.classes import matched, names_of, read_classes, shared_classes
from vlx.eval.data.records import DataError


def test_names_are_alike_whatever_their_case_and_blanks():
    labels = ["traffic light, traffic signal, stoplight", "tabby, tabby cat", "Persian cat", "hot_dog"]
    assert matched(["Traffic-Light"], labels) == (0,)
    assert matched(["persian cat", "tabby cat"], labels) == (1, 2)
    assert matched(["hot dog", "dog"], labels) == (3,)
    assert matched(["2"], labels) == (2,)
    assert matched(["9", "cat"], labels) == ()


def test_a_toy_is_no_bird():
    assert matched(names_of("kite"), ["kite", "bald eagle"]) == ()
    assert matched(names_of("kite"), ["kite", "surfboard"]) == (0,)


def test_every_shared_class_is_one_of_imagenet_and_of_one_category():
    from torchvision.models import SqueezeNet1_0_Weights

    labels = SqueezeNet1_0_Weights.DEFAULT.meta["categories"]
    voc = {"aeroplane", "motorbike", "sofa", "tvmonitor", "pottedplant", "diningtable"}
    seen: list[int] = []
    for category, names in shared_classes().items():
        places = matched(names, labels)
        assert len(places) == len(names), category
        seen += [] if category in voc else list(places)
    assert len(seen) == len(set(seen))
    assert len(matched(names_of("bird"), labels)) == 59


def test_a_file_of_ones_own_stands_alone(tmp_path: Path):
    path = tmp_path / "classes.txt"
    path.write_text("# mine\nCup: coffee mug, 968  # two\nkite: parafoil\n")
    given = read_classes(path)
    assert names_of("cup", given) == ("coffee mug", "968")
    assert names_of("dog", given) == ()
    path.write_text('{"cup": ["coffee mug", 968], "kite": "parafoil"}')
    assert read_classes(path) == given


DAMAGED = ["", "cup", "cup:", ": mug", "cup: a\ncup: b", '{"cup": {}}', '{"cup": [true]}', "{"]


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_file_is_said_in_one_line(tmp_path: Path, text: str):
    path = tmp_path / "classes.txt"
    path.write_text(text)
    with pytest.raises(DataError) as raised:
        read_classes(path)
    assert "\n" not in str(raised.value)
