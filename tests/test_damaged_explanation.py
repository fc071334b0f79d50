"""Files that are no saved explanation: whatever they hold, one line says so and no pickle is opened."""

import io
import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.explained import caption
from vlx import VlxError, load_explanation
from vlx.saved import arrays_of, facts_of


@pytest.fixture
def saved(tmp_path) -> Path:
    made, stem = caption(), tmp_path / "photo"
    stem.with_name("photo.json").write_text(facts_of(made), encoding="utf-8")
    stem.with_name("photo.npz").write_bytes(arrays_of(made))
    return stem


def refused(stem: Path) -> str:
    with pytest.raises(VlxError) as error:
        load_explanation(stem)
    text = str(error.value)
    assert "\n" not in text
    assert str(stem) in text
    return text


@pytest.mark.parametrize("suffix", [".json", ".npz"])
def test_a_missing_file_is_named(saved, suffix):
    saved.with_name("photo" + suffix).unlink()
    assert f"no file {saved}{suffix}" in refused(saved)


@pytest.mark.parametrize("suffix", [".json", ".npz"])
@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.99])
def test_a_truncated_file_is_one_line(saved, suffix, share):
    path = saved.with_name("photo" + suffix)
    blob = path.read_bytes()
    path.write_bytes(blob[: int(share * len(blob))])
    assert "is not a saved explanation" in refused(saved)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=5))
def test_changed_bytes_are_an_explanation_or_one_line(tmp_path_factory, changes):
    stem, made = tmp_path_factory.mktemp("changed") / "photo", caption()
    blob = bytearray(arrays_of(made))
    for share, value in changes:
        blob[int(share * len(blob))] = value
    stem.with_name("photo.json").write_text(facts_of(made), encoding="utf-8")
    stem.with_name("photo.npz").write_bytes(blob)
    try:
        found = load_explanation(stem)
    except VlxError as error:
        lines = str(error).splitlines()
    else:
        assert found.raw.shape == made.raw.shape
        lines = [""]
    assert len(lines) == 1


class Boom:
    """Would tell if it were ever unpickled."""

    def __reduce__(self):
        return (pytest.fail, ("a pickle was opened",))


def test_pickles_are_never_opened(saved):
    npz = saved.with_name("photo.npz")
    npz.write_bytes(pickle.dumps(Boom()))
    assert "no whole NPZ file" in refused(saved)
    buffer = io.BytesIO()
    np.savez(buffer, raw=np.array([Boom()], dtype=object), image_png=np.zeros(3, np.uint8))
    npz.write_bytes(buffer.getvalue())
    assert "allow_pickle=False" in refused(saved)


def test_foreign_arrays_are_refused(saved):
    npz, made = saved.with_name("photo.npz"), caption()
    with np.load(npz) as arrays:
        good = dict(arrays)
    bomb = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(bomb, "PNG")
    for changed, message in (
        ({"raw": made.raw.astype(int)}, "of type int64, not floats"),
        ({"raw": made.raw.astype(str)}, "not floats"),
        ({"raw": made.raw[:2]}, "do not fit 5 targets"),
        ({"image_png": np.frombuffer(bomb.getvalue(), np.uint8)}, "larger than 100 megapixels"),
        ({"image_png": np.zeros(9, np.uint8)}, "its image is not an image"),
    ):
        buffer = io.BytesIO()
        np.savez(buffer, **{**good, **changed})
        npz.write_bytes(buffer.getvalue())
        assert message in refused(saved)
    with zipfile.ZipFile(npz, "w") as archive:
        archive.writestr("readme.txt", "nothing here")
    assert "raw" in refused(saved)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 99}, "its format is 99, this version reads 1"),
        ({"targets": ["dog"]}, "must be a mapping"),
        ({"targets": [{"name": "dog", "score": "high", "words": []}]}, "could not convert"),
        ({"targets": None}, "not iterable"),
        ({"frame": {}}, "no 'image_size' in it"),
        ({"frame": {"image_size": [60, 90], "input_size": [3, 3], "box": [0.0, 0.0, 0.0, 0.0]}}, "is empty"),
        ({"frame": {"image_size": [61, 90], "input_size": [3, 3], "box": [0.0, 0.0, 9.0, 9.0]}}, "but its"),
        ({"provenance": {"model": "x"}}, "missing"),
    ],
)  # fmt: skip
def test_foreign_facts_are_refused(saved, change, message):
    path = saved.with_name("photo.json")
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **change}), encoding="utf-8")
    assert message in refused(saved)


@pytest.mark.parametrize("text", [b"[]", b"7", b"null", b"\xff\xfe", b"[" * 100_000, b"{}"])
def test_other_json_is_refused(saved, text):
    saved.with_name("photo.json").write_bytes(text)
    assert "is not a saved explanation" in refused(saved)
