import gzip
import json
import os

import pytest

from vlx.errors import VlxError
from vlx.eval.data.records import (
    DataError,
    inside,
    number_of,
    read_json,
    read_record,
    read_records,
    spared,
)


def written(folder, content):
    path = folder / "data.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_fields_come_out_in_their_types(tmp_path):
    record = read_record(
        written(tmp_path, {"a": "x", "n": 3, "f": 2.0, "l": [1, 2.5], "t": ["u"], "r": [{"k": 1}]})
    )
    assert record.text("a") == "x"
    assert record.integer("n") == 3
    assert record.integer("f") == 2
    assert record.numbers("l", 2) == (1.0, 2.5)
    assert record.texts("t") == ("u",)
    assert [item.integer("k") for item in record.records("r")] == [1]
    assert "a" in record
    assert "z" not in record


@pytest.mark.parametrize(
    ("read", "said"),
    [
        (lambda record: record.text("n"), r"data\.json\.n is 3: expected a string"),
        (lambda record: record.integer("f"), "whole number"),
        (lambda record: record.integer("b"), "b is true: expected a number"),
        (lambda record: record.text("gone"), "has no 'gone'.*its keys: b, f, l, n"),
        (lambda record: record.numbers("l", 3), "expected 3 numbers"),
        (lambda record: record.texts("l"), "list of strings"),
        (lambda record: record.items("n"), "expected a list"),
        (lambda record: list(record.records("l")), r"data\.json: l\[0\] is a number"),
        (lambda record: next(record.records("r")).text("k"), r"data\.json: r\[0\]\.k is null"),
        (
            lambda record: list(next(record.records("r")).records("s")),
            r"data\.json: r\[0\]\.s\[1\] is a string: expected an object",
        ),
    ],
)
def test_errors_name_file_record_and_key(tmp_path, read, said):
    content = {"n": 3, "f": 2.5, "b": True, "l": [1, 2], "r": [{"k": None, "s": [{}, "x"]}]}
    record = read_record(written(tmp_path, content))
    with pytest.raises(DataError, match=said):
        read(record)


def test_long_values_are_cut_in_errors(tmp_path):
    record = read_record(written(tmp_path, {"a": "x" * 5000}))
    with pytest.raises(DataError) as caught:
        record.integer("a")
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("content", ["{", "", "\x00", '{"a": 1} x', "[" * 100_000])
def test_what_is_no_json_is_refused(tmp_path, content):
    with pytest.raises(DataError, match="not a JSON file"):
        read_json(written(tmp_path, content))


def test_missing_files_and_folders_are_refused(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_json(tmp_path / "gone.json")
    with pytest.raises(VlxError, match="cannot be read"):
        read_json(tmp_path)


def test_objects_and_lists_are_not_mixed_up(tmp_path):
    with pytest.raises(DataError, match="expected a JSON object, found a list"):
        read_record(written(tmp_path, []))
    with pytest.raises(DataError, match="expected a JSON list, found an object"):
        read_records(written(tmp_path, {}))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_numbers_are_finite(tmp_path, number):
    with pytest.raises(DataError, match="expected a number"):
        read_record(written(tmp_path, f'{{"x": {number}}}')).number("x")


@pytest.mark.parametrize(
    "name",
    [
        "../x.jpg",
        "a/../../x.jpg",
        "/etc/passwd",
        "",
        "..",
        "C:/x",
        "c:x",
        "a\\..\\x",
        "..\\x",
        "\\x",
        "a\0b",
        "\\\\server\\share\\x",
        "//server/share/x",
        "C:\\x",
        "a/..",
        "./../x",
    ],
)
def test_names_do_not_leave_the_root(tmp_path, name):
    with pytest.raises(DataError, match="not a file name"):
        inside(tmp_path, name)


def test_the_users_own_links_are_followed(tmp_path):
    root = tmp_path / "images"
    root.mkdir()
    os.symlink(tmp_path, root / "out")
    assert inside(root, "out/photo.jpg") == root.resolve() / "out" / "photo.jpg"
    with pytest.raises(DataError, match="not a file name"):  # but never on the word of the data
        inside(root, "out/../../secret.txt")
    assert inside(root, "sub/a.jpg") == root.resolve() / "sub" / "a.jpg"


@pytest.mark.parametrize("name", ["a\\b.jpg", "a/b.jpg", "a//b.jpg", "./a/b.jpg", "a\\/b.jpg"])
def test_folders_are_parted_by_either_slash(tmp_path, name):
    assert inside(tmp_path, name) == tmp_path.resolve() / "a" / "b.jpg"


@pytest.mark.parametrize(
    "name", ["at 12:30.jpg", "a b.jpg", "...jpg", "caf\u00e9 \u2603.jpg", "~x.jpg", "$HOME.jpg"]
)
def test_odd_names_are_names(tmp_path, name):
    assert inside(tmp_path, name) == tmp_path.resolve() / name


def test_json_may_be_packed_by_gzip(tmp_path):
    path = tmp_path / "data.json"  # whatever its name
    path.write_bytes(gzip.compress(b'\xef\xbb\xbf{"a": 1}'))
    assert read_json(path) == {"a": 1}
    path.write_bytes(gzip.compress(b'{"a": 1}')[:-9])
    with pytest.raises(DataError, match="not a JSON file"):
        read_json(path)
    path.write_bytes(gzip.compress(b" " * (64 << 20)))
    with pytest.raises(DataError, match="unfolds to more than 200 times"):
        read_json(path)


@pytest.mark.parametrize(
    ("head", "told"),
    [
        (b"PK\x03\x04...", "a zip archive: unpack it"),
        (b"version https://git-lfs.github.com/spec/v1\n", "run git lfs pull"),
        (b"<!DOCTYPE html><html>", "a web page"),
    ],
)
def test_what_lies_in_the_place_of_json_is_named(tmp_path, head, told):
    (tmp_path / "data.json").write_bytes(head)
    with pytest.raises(DataError, match=told):
        read_json(tmp_path / "data.json")


def test_a_damaged_record_can_be_told_and_skipped(tmp_path):
    told: list[DataError] = []
    with spared(told.append):
        raise DataError("bad")
    assert [str(error) for error in told] == ["bad"]
    with pytest.raises(DataError, match="worse"), spared(None):
        raise DataError("worse")
    with pytest.raises(KeyError), spared(told.append):  # other errors always go on
        raise KeyError
    path = tmp_path / "list.json"
    path.write_text('[{"a": 1}, 5, {"a": 2}]')
    assert [record.integer("a") for record in read_records(path, told.append)] == [1, 2]
    assert "[1] is a number: expected an object" in str(told[1])
    with pytest.raises(DataError, match="is a number"):
        list(read_records(path))


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("3", 3), ("-3", -3), (" 3 ", 3), ("2.50", 2.5), ("1e2", 100.0), ("3.", 3.0), ("+4", 4),
        (str(2**70), 2**70),
    ],
)  # fmt: skip
def test_numbers_may_be_written_as_texts(text, number):
    assert number_of(text) == number


@pytest.mark.parametrize(
    "value", ["", "three", "0x3", "1_000", "nan", "inf", "1e999", "٣", None, True, [3], {}]
)
def test_what_is_no_number_is_none(value):
    assert number_of(value) is None


def test_numbers_that_no_float_holds_are_none():
    assert number_of(10**400) is None
    assert number_of("9" * 301) is None


def test_a_byte_order_mark_does_no_harm_and_endless_digits_are_refused(tmp_path):
    path = tmp_path / "data.json"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert read_record(path).integer("a") == 1
    with pytest.raises(DataError, match="not a JSON file"):
        read_json(written(tmp_path, f'{{"a": {"9" * 5000}}}'))
    with pytest.raises(DataError, match="expected a number"):
        read_record(written(tmp_path, f'{{"a": {"9" * 400}}}')).integer("a")
