import numpy as np
import pytest
from PIL import Image

from vlx.eval.data.hat import find_human_maps, read_human_map
from vlx.eval.data.records import DataError


def drawn(path, pixels, mode="L"):
    Image.fromarray(np.asarray(pixels, dtype=np.uint8)).convert(mode).save(path)
    return path


def test_maps_are_found_by_question_and_annotator(tmp_path):
    for name in ("2773461_2.png", "2773461_1.png", "100_10.png", "100_2.png"):
        drawn(tmp_path / name, [[0, 255]])
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "12_a.png").write_text("x")
    found = find_human_maps(tmp_path)
    names = {question: [path.name for path in paths] for question, paths in found.by_question.items()}
    assert names == {100: ["100_2.png", "100_10.png"], 2773461: ["2773461_1.png", "2773461_2.png"]}
    assert found.ignored == ("12_a.png", "notes.txt")


def test_folders_without_maps_are_refused(tmp_path):
    with pytest.raises(DataError, match="no file is named"):
        find_human_maps(tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        find_human_maps(tmp_path / "gone")


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "LA"])
def test_grey_is_read_from_0_to_1_in_any_mode(tmp_path, mode):
    found = read_human_map(drawn(tmp_path / "1_1.png", [[0, 51], [102, 255]], mode), (2, 2))
    assert found == pytest.approx(np.array([[0.0, 0.2], [0.4, 1.0]]))


def test_maps_of_another_size_are_refused(tmp_path):
    path = drawn(tmp_path / "1_1.png", np.zeros((3, 5)))
    assert read_human_map(path).shape == (3, 5)
    with pytest.raises(DataError, match="3 x 5 pixels, but its image has 5 x 3"):
        read_human_map(path, (5, 3))


def test_what_is_no_grey_image_is_refused(tmp_path):
    colour = tmp_path / "1_1.png"
    Image.new("RGB", (2, 2), (255, 0, 0)).save(colour)
    with pytest.raises(DataError, match="colour"):
        read_human_map(colour)
    (tmp_path / "1_2.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="not a readable image"):
        read_human_map(tmp_path / "1_2.png")
    with pytest.raises(DataError, match="no such file"):
        read_human_map(tmp_path / "1_3.png")
    Image.new("I;16", (2, 2)).save(tmp_path / "1_4.png")
    with pytest.raises(DataError, match="mode I;16, expected 8-bit grey"):
        read_human_map(tmp_path / "1_4.png")
