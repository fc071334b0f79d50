"""Files of a model in a folder, by their names."""

import pytest

from vlx.adapters.files.folders import only_file
from vlx.errors import CheckpointError, Notice


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


@pytest.mark.parametrize(
    ("best", "last", "pattern"),
    [
        ("BEST_checkpoint_coco.pth.tar", "checkpoint_coco.pth.tar", "*.pth.tar"),
        ("model-best.pth", "model.pth", "model*.pth"),
        ("best.pth", "last.pth", "*.pth"),
        ("model_best.pth.tar", "checkpoint.pth.tar", "*.pth.tar"),
        ("infos_fc-best.pkl", "infos_fc.pkl", "infos*.pkl"),
        ("best-epoch=3-val_loss=0.10.ckpt", "last.ckpt", "*.ckpt"),
    ],
)
def test_the_best_of_a_training_is_taken_and_told(best, last, pattern, tmp_path):
    for name in (best, last):
        (tmp_path / name).touch()
    with pytest.warns(Notice, match=f"holds {best} and {last}: {best} is read"):
        assert only_file(tmp_path, pattern).name == best


def test_several_that_are_called_best_are_told(tmp_path):
    for name in ("best_acc.pth", "best_loss.pth", "last.pth"):
        (tmp_path / name).touch()
    with pytest.raises(CheckpointError, match=r"holds 3 files \*\.pth: best_acc\.pth, best_loss\.pth, last"):
        only_file(tmp_path, "*.pth")
    for name in ("bestow.pth", "abest.pth"):
        (tmp_path / name).touch()
    with pytest.raises(CheckpointError, match="holds 5 files"):
        only_file(tmp_path, "*.pth")
