"""ILSVRC's tables: numbers of the devkit, WordNet ids and their order in networks are three things."""

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from vlx.eval.data.ilsvrc import (
    Labelled,
    number_in,
    read_blacklist,
    read_ground_truth,
    read_solution,
    read_synsets,
)
from vlx.eval.data.records import DataError
from vlx.eval.measures.localisation import Corners

# The devkit's order is another than that of the sorted ids.
KIT = [("n03000000", "c thing"), ("n01000000", "a thing, first"), ("n02000000", "b_thing")]


def write_mat(path: Path, key: str = "ILSVRC2012_ID") -> Path:
    kind = np.dtype([(key, object), ("WNID", object), ("words", object)])
    rows = [(number, wnid, words) for number, (wnid, words) in enumerate(KIT, 1)]
    held = np.array([*rows, (1001, "n09000000", "above them")], dtype=kind)
    savemat(path, {"synsets": held[:, None]})
    return path


@pytest.mark.parametrize("key", ["ILSVRC2012_ID", "ILSVRC2014_ID"])
def test_numbers_of_the_devkit_become_ids_and_ids_the_numbers_of_networks(tmp_path: Path, key: str):
    synsets = read_synsets(write_mat(tmp_path / "meta_clsloc.mat", key))
    assert dict(synsets.of_number) == {1: "n03000000", 2: "n01000000", 3: "n02000000"}
    assert dict(synsets.index) == {"n01000000": 0, "n02000000": 1, "n03000000": 2}
    assert synsets.words["n01000000"] == ("a thing", "first")
    path = tmp_path / "ILSVRC2012_validation_ground_truth.txt"
    path.write_text("1\n3\n")
    assert list(read_ground_truth(path, synsets)) == [
        Labelled("ILSVRC2012_val_00000001", "n03000000", ()),
        Labelled("ILSVRC2012_val_00000002", "n02000000", ()),
    ]


def test_the_devkits_text_tells_its_numbers_and_a_list_of_words_does_not(tmp_path: Path):
    path = tmp_path / "map_clsloc.txt"
    path.write_text("".join(f"{wnid} {n} {words}\n" for n, (wnid, words) in enumerate(KIT, 1)))
    assert read_synsets(path).of_number[1] == "n03000000"
    assert read_synsets(path).words["n02000000"] == ("b thing",)
    words = tmp_path / "synset_words.txt"
    words.write_text("n01440764 tench, Tinca tinca\nn01443537 goldfish, Carassius auratus\n")
    synsets = read_synsets(words)
    assert synsets.words["n01440764"] == ("tench", "Tinca tinca")
    assert not synsets.of_number
    truth = tmp_path / "truth.txt"
    truth.write_text("1\n")
    with pytest.raises(DataError, match="no file says which class each is"):
        list(read_ground_truth(truth, synsets))


def test_damaged_lines_are_told_and_the_next_keep_their_images(tmp_path: Path):
    synsets = read_synsets(write_mat(tmp_path / "meta.mat"))
    path = tmp_path / "truth.txt"
    path.write_text("1\n1001\nx\n2\n")
    told: list[DataError] = []
    names = [one.name[-1] for one in read_ground_truth(path, synsets, told.append)]
    assert names == ["1", "4"]
    assert len(told) == 2
    assert "line 2 is '1001'" in str(told[0])


def test_kaggles_table_holds_classes_and_boxes(tmp_path: Path):
    path = tmp_path / "LOC_val_solution.csv"
    path.write_text(
        "ImageId,PredictionString\n"
        "ILSVRC2012_val_00048981,n03995372 85 1 499 272 \n"
        "ILSVRC2012_val_00000002,n01440764 0 0 9 9 n01440764 5 5 20 20\n"
        "ILSVRC2012_val_00000003,n01440764 0 0 9\n"
        "ILSVRC2012_val_00000004,n01440764 0 0 9 9 n03995372 1 1 2 2\n"
        "ILSVRC2012_val_00000005,n01440764 9 0 0 9\n"
        "ILSVRC2012_val_00000006\n"
    )
    told: list[DataError] = []
    found = list(read_solution(path, told.append))
    assert found == [
        Labelled("ILSVRC2012_val_00048981", "n03995372", (Corners(85, 1, 499, 272),)),
        Labelled("ILSVRC2012_val_00000002", "n01440764", (Corners(0, 0, 9, 9), Corners(5, 5, 20, 20))),
    ]
    assert len(told) == 4
    with pytest.raises(DataError, match="line 4 has"):
        list(read_solution(path))
    path.write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="expected ImageId, PredictionString"):
        list(read_solution(path))


def test_the_blacklist_counts_images_from_1(tmp_path: Path):
    path = tmp_path / "blacklist.txt"
    path.write_text("36\n50\n\n")
    assert read_blacklist(path) == {36, 50}
    assert number_in("ILSVRC2012_val_00000036") == 36
    path.write_text("0\n")
    with pytest.raises(DataError, match="line 1 is '0'"):
        read_blacklist(path)


@pytest.mark.parametrize("content", [b"", b"\x80\x81", b"tench\n", b"n01440764 a\nn01440764 b\n"])
def test_what_is_no_list_of_classes_is_refused(tmp_path: Path, content: bytes):
    for name in ("synset_words.txt", "meta.mat"):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(DataError) as raised:
            read_synsets(path)
        assert "\n" not in str(raised.value)
