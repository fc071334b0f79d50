"""Files of a model in a folder, by their names."""

import pytest

from vlx.adapters.files.folders import only_file
from vlx.errors import CheckpointError


def test_the_one_file_is_found(tmp_path):
    for name in ("model-best.pth", "infos-best.pkl", "resnet101.pth", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "model-old.pth").mkdir()
    assert only_file(tmp_path, "model*.pth").name == "model-best.pth"
    assert only_file(str(tmp_path), "*.caffemodel", "resnet*.pth").name == "resnet101.pth"
    assert only_file(tmp_path, "infos*", "*.pkl").name == "infos-best.pkl"


def test_none_or_several_are_told(tmp_path):
    with pytest.raises(CheckpointError, match=r"holds no files \*\.t7 or \*\.pth; give one$"):
        only_file(tmp_path, "*.t7", "*.pth")
    for name in ("b.pth", "a.t7"):
        (tmp_path / name).touch()
    with pytest.raises(CheckpointError, match=r"holds 2 files \*\.t7 or \*\.pth: a\.t7, b\.pth; give one$"):
        only_file(tmp_path, "*.t7", "*.pth")
    with pytest.raises(CheckpointError, match=r"no folder .*nowhere: it should hold \*\.pth$"):
        only_file(tmp_path / "nowhere", "*.pth")
