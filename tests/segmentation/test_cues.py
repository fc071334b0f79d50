"""Files of seeds: those of SEC as Python 2 wrote them, our own, and files that would harm."""

import gzip
import io
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from vlx.errors import VlxError
from vlx.eval.data.records import DataError
from vlx.segmentation.cues import Cues, aligned, read_cues, read_sec_cues, write_cues


def python_2(held: dict[str, np.ndarray]) -> bytes:
    """A pickle of protocol 2 whose keys are byte strings, as Python 2 writes them."""
    found = pickle.dumps(held, protocol=2)
    for key in held:
        raw = key.encode()
        written = b"X" + len(raw).to_bytes(4, "little") + raw
        assert written in found
        found = found.replace(written, b"U" + bytes([len(raw)]) + raw)
    return found


HELD = {
    "7_labels": np.array([3, 15]),
    "7_cues": np.array([[3, 15, 0, 0], [0, 1, 40, 40], [5, 6, 0, 40]]),
    "2_labels": np.array([20]),
    "2_cues": np.zeros((3, 0), np.int64),
}


def written(folder: Path, held: dict[str, np.ndarray], packed: bool = False) -> tuple[Path, Path]:
    path, listed = folder / "localization_cues.pickle", folder / "input_list.txt"
    blob = python_2(held)
    path.write_bytes(gzip.compress(blob) if packed else blob)
    listed.write_text("2008_007028.jpg 7\n2008_000002.jpg 2\n")
    return path, listed


@pytest.mark.parametrize("packed", [False, True])
def test_the_cues_of_sec_are_read(tmp_path: Path, packed: bool):
    cues = read_sec_cues(*written(tmp_path, HELD, packed))
    assert cues.ids == ("2008_007028", "2008_000002")
    assert [cues.labels[0, row, col] for row, col in ((0, 5), (1, 6), (40, 0), (40, 40))] == [3, 15, 0, 0]
    assert (cues.labels[0] >= 0).sum() == 4
    assert (cues.labels[1] == -1).all()
    assert np.flatnonzero(cues.shown[0]).tolist() == [0, 3, 15]
    assert np.flatnonzero(cues.shown[1]).tolist() == [0, 20]


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("7_labels", np.array([21]), "not classes of 1 to 20"),
        ("7_labels", np.array([0]), "not classes of 1 to 20"),
        ("7_labels", np.array([1.5]), "no 7_labels"),
        ("7_cues", np.array([[3], [41], [0]]), "rows and columns of 41 x 41"),
        ("7_cues", np.array([[3], [-1], [0]]), "rows and columns of 41 x 41"),
        ("7_cues", np.array([[3, 4]]), "rows and columns of 41 x 41"),
    ],
)
def test_damaged_cues_are_told(tmp_path: Path, key: str, value: np.ndarray, says: str):
    with pytest.raises(DataError, match=says):
        read_sec_cues(*written(tmp_path, {**HELD, key: value}))


def test_a_record_that_is_missing_is_told(tmp_path: Path):
    path, listed = written(tmp_path, HELD)
    listed.write_text("a.jpg 9\n")
    with pytest.raises(DataError, match="line 1: the seeds have no 9_labels"):
        read_sec_cues(path, listed)
    listed.write_text("a.jpg\n")
    with pytest.raises(DataError, match="expected an image and its number"):
        read_sec_cues(path, listed)


class Harm:
    """Makes a folder where it is unpickled freely."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (self.folder,)


def test_no_code_of_a_pickle_is_run(tmp_path: Path):
    path, listed = written(tmp_path, HELD)
    path.write_bytes(pickle.dumps({"7_labels": Harm(str(tmp_path / "harmed"))}, protocol=2))
    with pytest.raises(VlxError):
        read_sec_cues(path, listed)
    assert not (tmp_path / "harmed").exists()


def test_own_files_come_back_as_they_were(tmp_path: Path):
    cues = read_sec_cues(*written(tmp_path, HELD))
    write_cues(tmp_path / "seeds.npz", cues)
    again = read_cues(tmp_path / "seeds.npz")
    assert again.ids == cues.ids
    assert (again.labels == cues.labels).all()
    assert (again.shown == cues.shown).all()
    turned = aligned(again, ["2008_000002", "2008_007028"])
    assert (turned.labels[1] == cues.labels[0]).all()
    with pytest.raises(DataError, match="no seeds of b"):
        aligned(cues, ["b"])


@pytest.mark.parametrize("fault", ["text", "objects", "shape", "label"])
def test_other_files_are_refused(tmp_path: Path, fault: str):
    path, buffer = tmp_path / "seeds.npz", io.BytesIO()
    cues = Cues(("a",), np.zeros((1, 2, 2), np.int64), np.ones((1, 3), bool))
    if fault == "text":
        path.write_text("no archive")
    else:
        labels = {"objects": np.array([{}]), "shape": cues.labels[0], "label": cues.labels + 9}[fault]
        np.savez(buffer, ids=np.array(["a"]), labels=labels, shown=cues.shown)
        path.write_bytes(buffer.getvalue())
    with pytest.raises(DataError):
        read_cues(path)
