"""The result as a value: its maps, its names, its files, and what damaged files lead to."""

import ast
import inspect
import io
import json
import pickle
import subprocess
import sys
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.explained import MADE, answers, at_pixels, caption, photo, told
from vlx import Explained, Explanation, Frame, Provenance, VlxError, explanation, load_explanation
from vlx.images.files import write_whole
from vlx.saved import arrays_of, facts_of

KINDS = pytest.mark.parametrize(
    "made", [caption(), at_pixels(), answers(), told()], ids=["words", "pixels", "answers", "evidence"]
)


def same(one: Explanation, other: Explanation) -> bool:
    """Whether two explanations hold the same, bit for bit."""
    return (
        one.raw.dtype == other.raw.dtype
        and one.raw.shape == other.raw.shape
        and one.raw.tobytes() == other.raw.tobytes()
        and np.array_equal(np.asarray(one.image), np.asarray(other.image))
        and (one.frame, one.targets, one.provenance) == (other.frame, other.targets, other.provenance)
        and (one.words, one.prompt, one.unknown, one.predicted)
        == (other.words, other.prompt, other.unknown, other.predicted)
    )


def test_maps_lie_on_the_original_picture():
    made = caption()
    wide = F.interpolate(torch.from_numpy(made.raw)[None], (60, 90), mode="bilinear", align_corners=False)[0]
    np.testing.assert_allclose(made.maps, wide, atol=1e-5)
    np.testing.assert_array_equal(made.map("dog"), made.maps[1])
    np.testing.assert_array_equal(made.map(-1), made.maps[-1])
    np.testing.assert_array_equal(made.grid_maps, made.raw)


def test_maps_after_a_crop_are_zero_where_nothing_was_seen():
    made = replace(caption(), frame=Frame.resized((60, 90), (30, 45)).cropped(0, 10, 30, 20))
    seen = made.frame.covered().numpy()
    assert seen.sum() == 60 * 40
    assert not made.maps[:, ~seen].any()
    assert made.maps[1][seen].max() > 0


def test_maps_at_pixels_are_the_mean_size_of_the_three_channels():
    made = at_pixels()
    assert made.at_pixels
    assert not caption().at_pixels
    row, col = 5, 12
    assert made.grid_maps[0, row, col] == pytest.approx(2 / 3)
    assert made.grid_maps[0, 15, col] == pytest.approx(1 / 3)  # negative there: its size counts
    assert made.maps.shape == (len(made.targets), 60, 90)


def test_evidence_says_which_maps_have_a_positive_place():
    assert caption().evidence == (True, True, True, False, True)
    made = caption()
    assert replace(made, raw=-made.raw).evidence == (False,) * 5


def spoilt(made: Explanation) -> None:
    """Change in place whatever an explanation hands out."""
    for handed in (made.raw, made.grid_maps, made.maps, made.map(0)):
        handed /= 7
        handed += 1
    made.image.paste((1, 2, 3), (0, 0, 9, 9))
    versions = made.provenance.versions
    assert isinstance(versions, dict)
    versions["torch"] = "none"


@KINDS
@pytest.mark.parametrize("copy", [replace, deepcopy, lambda made: pickle.loads(pickle.dumps(made))])
def test_nothing_that_is_handed_out_changes_it(made, copy):
    made = replace(made, provenance=replace(made.provenance, versions={"torch": "2"}))
    before, maps = deepcopy(made), made.maps
    copied = copy(made)
    for one in (made, copied):
        spoilt(one)
        assert same(one, before)
        assert one.provenance.versions == {"torch": "2"}
        np.testing.assert_array_equal(one.maps, maps)
        np.testing.assert_array_equal(one.map(0), maps[0])
        np.testing.assert_array_equal(one.grid_maps, before.grid_maps)


def test_nothing_that_it_was_made_of_changes_it():
    made = caption()
    raw, picture, versions = made.raw, made.image, {"torch": "2"}
    targets, words = list(made.targets), list(made.words)
    mine = object.__new__(Explanation)
    unchecked = inspect.unwrap(Explanation.__init__)  # as it runs where no type checker refuses lists
    unchecked(mine, picture, made.frame, raw, targets, replace(MADE, versions=versions), words)
    raw *= 0
    picture.paste((1, 2, 3), (0, 0, 90, 60))
    versions["torch"] = "none"
    targets.clear()
    words.append("more")
    assert same(mine, made)
    assert mine.provenance.versions == {"torch": "2"}


def test_one_map_is_placed_when_one_is_asked_for(monkeypatch):
    made = caption()
    maps = made.maps

    def all_of_them(_: Explanation) -> None:
        raise AssertionError("all maps were placed")

    monkeypatch.setattr(Explanation, "maps", property(all_of_them))
    np.testing.assert_array_equal(made.map("dog"), maps[1])


def test_targets_by_name_and_by_position():
    made = caption()
    assert [made.index(name) for name in ("a", "dog", "on", "grass", "caption")] == [0, 1, 2, 3, 4]
    assert [made.index(position) for position in (0, 4, -1, -5)] == [0, 4, 4, 0]


@pytest.mark.parametrize(
    ("words", "target", "message"),
    [
        ("a dog on grass", "dgo", r"'dgo' was not explained; near names: dog"),
        ("a dog on grass", "zebra", r"'zebra' was not explained; for example: a, dog"),
        ("a dog on a mat", "a", r"'a' was explained 2 times: use a position of \[0, 3\]"),
        ("a dog on grass", 5, r"no target 5: there are 5, counted from 0"),
        ("a dog on grass", -6, r"no target -6"),
    ],
)
def test_targets_that_are_not_there(words, target, message):
    with pytest.raises(VlxError, match=message):
        caption(words).map(target)


@pytest.mark.parametrize(
    "shape", [(5, 6), (4, 4, 6), (6, 4, 6), (5, 2, 4, 6), (5, 0, 6), (5, 3, 4, 0), (5, 3, 1, 4, 6)]
)
def test_maps_that_do_not_fit_are_refused(shape):
    with pytest.raises(VlxError, match="do not fit 5 targets: expected") as error:
        replace(caption(), raw=np.zeros(shape, np.float32))
    assert "\n" not in str(error.value)


def test_a_picture_of_another_size_than_its_frame_is_refused():
    with pytest.raises(VlxError, match="61 x 90 pixels but its frame says 60 x 90"):
        replace(caption(), image=photo(61, 90))


@KINDS
def test_saved_and_loaded_it_is_the_same(made, tmp_path):
    paths = made.save(tmp_path / "new" / "photo.v2")
    assert [path.name for path in paths] == ["photo.v2.png", "photo.v2.json", "photo.v2.npz"]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted(path.name for path in paths)
    assert same(load_explanation(tmp_path / "new" / "photo.v2"), made)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.data())
def test_any_explanation_survives_its_files(tmp_path_factory, data):
    count, rows, cols = (data.draw(st.integers(1, 4)) for _ in range(3))
    numbers = st.floats(width=32, allow_nan=True, allow_infinity=True)
    values = data.draw(st.lists(numbers, min_size=count * rows * cols, max_size=count * rows * cols))
    kind = data.draw(st.sampled_from([np.float32, np.float64]))
    raw = np.array(values, kind).reshape(count, rows, cols)
    text = st.text(st.characters(codec="utf-8"), max_size=8)
    targets = [
        Explained(data.draw(text), data.draw(st.floats(-99, 0)), data.draw(st.none() | st.floats(0, 1)), (n,))
        for n in range(count)
    ]
    made = Explanation(
        photo(5, 7), Frame((5, 7), (4, 4), (-1.5, 0.1, 6.0, 1 / 3)), raw, tuple(targets),
        Provenance("m", "l", "grad_cam", "logit", False, 3, {"torch": "2.1"}),
        words=tuple(data.draw(st.lists(text, max_size=3))), prompt=data.draw(text),
        unknown=(data.draw(text),), predicted=((data.draw(text), 0.25),),
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("any")
    (folder / "a.json").write_text(facts_of(made), encoding="utf-8")
    (folder / "a.npz").write_bytes(arrays_of(made))
    assert same(load_explanation(folder / "a"), made)


def test_the_arrays_can_be_read_by_numpy_alone_and_hold_no_pickle(tmp_path):
    made = caption()
    _, _, npz = made.save(tmp_path / "photo")
    with np.load(npz, allow_pickle=False) as arrays:
        assert set(arrays) == {"raw", "image_png"}
        assert arrays["raw"].tobytes() == made.raw.tobytes()
        assert Image.open(io.BytesIO(arrays["image_png"].tobytes())).size == (90, 60)


def test_the_facts_are_plain_json_that_people_can_read(tmp_path):
    _, path, _ = answers("Quelle couleur a le chien à côté ?").save(tmp_path / "photo")
    assert "à côté" in path.read_text(encoding="utf-8")
    facts = json.loads(path.read_text(encoding="utf-8"))
    assert facts["targets"][0] == {"name": "red", "score": 3.5, "probability": 0.9, "words": []}
    assert facts["provenance"]["layer"] == "features.3"
    assert facts["predicted"][1] == ["green", 0.05]


def test_the_facts_say_what_comes_from_the_image_where_it_is_known(tmp_path):
    _, path, _ = told().save(tmp_path / "told")
    facts = json.loads(path.read_text(encoding="utf-8"))["targets"]
    assert [(one["from_image"], one["blank"]) for one in facts[1:3]] == [(-1.0, -0.5), (2.0, -4.5)]
    assert load_explanation(tmp_path / "told").targets == told().targets
    _, path, _ = caption().save(tmp_path / "bare")
    keys = json.loads(path.read_text(encoding="utf-8"))["targets"][0].keys()
    assert keys == {"name", "score", "probability", "words"}


def test_saving_again_replaces_the_files(tmp_path):
    caption().save(tmp_path / "photo")
    answers().save(tmp_path / "photo")
    assert same(load_explanation(tmp_path / "photo"), answers())


def test_a_file_appears_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "photo.npz"
    path.write_bytes(b"before")

    def full(self, blob):
        with self.open("wb") as file:
            file.write(blob[:2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, b"after")
    assert path.read_bytes() == b"before"
    assert [one.name for one in tmp_path.iterdir()] == ["photo.npz"]


@KINDS
def test_a_notebook_cell_that_ends_in_it_shows_the_figure(made):
    formatters = pytest.importorskip("IPython.core.formatters")
    shown, _ = formatters.DisplayFormatter().format(made)
    assert shown["image/png"]
    with Image.open(io.BytesIO(made._repr_png_())) as picture:
        assert picture.format == "PNG"
        assert picture.width > 300


def test_where_nothing_draws_it_says_so_and_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr("vlx.explanation._drawn", None)
    made = caption()
    for use in (made.show, made._repr_png_, lambda: made.save(tmp_path / "photo")):
        with pytest.raises(VlxError, match="nothing here draws explanations: import"):
            use()
    assert not list(tmp_path.iterdir())


def test_the_value_imports_nothing_that_draws_it():
    tree = ast.parse(Path(explanation.__file__).read_text(encoding="utf-8"))
    froms = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    assert [name for name in (*froms, *names) if name.startswith(("vlx.show", "matplotlib"))] == []


def test_show_draws_the_figure(monkeypatch):
    seen: list[Image.Image] = []
    monkeypatch.setattr(Image.Image, "show", lambda picture: seen.append(picture))
    caption().show()
    with Image.open(io.BytesIO(caption()._repr_png_())) as picture:
        np.testing.assert_array_equal(np.asarray(seen[0]), np.asarray(picture.convert("RGB")))


def test_loading_needs_no_plotting(tmp_path):
    caption().save(tmp_path / "photo")
    code = (
        "import sys, vlx; vlx.load_explanation(sys.argv[1]).maps; "
        "sys.exit(bool({'matplotlib', 'transformers', 'pycocotools'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "photo")]
    assert subprocess.run(command, check=False).returncode == 0


def test_an_explanation_is_a_value_without_a_comparison_of_arrays():
    made = caption()
    assert made == made
    assert made != caption()
    assert len({made, made}) == 1
    assert made.provenance == MADE
