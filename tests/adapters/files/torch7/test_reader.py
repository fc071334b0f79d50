"""Torch7 files: real ones, one written out byte by byte, round trips, and hostile ones."""

import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.adapters.files.refusals import checked_refusal
from tests.adapters.files.t7_writer import KINDS, Counter, Function, Hash, write_t7
from vlx.adapters.files.torch7.fields import Field
from vlx.adapters.files.torch7.reader import DEEPEST, Lua, Table, Vec, read_t7
from vlx.errors import CheckpointError


def back(path: Path, value: object, **how: Any) -> Any:
    return read_t7(write_t7(path / "x.t7", value, **how))


def refused(path: Path, blob: bytes) -> str:
    file = path / "x.t7"
    file.write_bytes(blob)
    return checked_refusal(lambda: read_t7(file))


def ints(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}i", *values)


def longs(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}q", *values)


def string(text: str) -> bytes:
    return ints(len(text)) + text.encode()


def tensor_head(*sizes: int, strides: tuple[int, ...], offset: int = 1, count: int = 6) -> bytes:
    """A FloatTensor up to its storage's numbers."""
    return (
        ints(4, 1)
        + string("V 1")
        + string("torch.FloatTensor")
        + ints(len(sizes))
        + longs(*sizes, *strides, offset)
        + ints(4, 2)
        + string("V 1")
        + string("torch.FloatStorage")
        + longs(count)
    )


# Real files, made by Torch.


def test_real_tables(shared_data: Path) -> None:
    folder = shared_data / "torch7"
    assert read_t7(folder / "list_table.t7") == {1: "hello", 2: "world", 3: "third item", 4: 123}
    assert read_t7(folder / "map_table1.t7") == {0: "zero", 1: "hello", 2: "world", 3: "third item", 4: 123}
    found = read_t7(folder / "recursive_kv_table.t7")
    assert isinstance(found, Table)
    assert list(found) == [found]
    assert found[found] is found


def test_real_tensor_functions_and_class(shared_data: Path) -> None:
    folder = shared_data / "torch7"
    found = read_t7(folder / "doubletensor.t7")
    assert isinstance(found, Tensor)
    assert found.dtype == torch.float64
    assert found.tolist() == [[1, 2, 3], [4, 5, 6.9]]
    assert read_t7(folder / "function.t7") is None
    assert read_t7(folder / "function_upvals.t7") is None
    thing = read_t7(folder / "custom_class.t7")
    assert isinstance(thing, Lua)
    assert (thing.class_name, thing.fields) == ("Blah", {})


def test_real_graph(shared_data: Path) -> None:
    graph = read_t7(shared_data / "torch7" / "gmodule_with_linear_identity.t7")
    assert isinstance(graph, Lua)
    assert graph.class_name == "nn.gModule"
    nodes = graph.fields["forwardnodes"]
    assert isinstance(nodes, Table)
    assert list(nodes) == list(range(1, 10))
    modules: list[Lua] = []
    for node in nodes.values():
        assert isinstance(node, Lua)
        data = node.fields["data"]
        assert isinstance(data, Table)
        assert data["forwardNodeId"] == node.fields["id"]
        modules += [value for key, value in data.items() if key == "module" and isinstance(value, Lua)]
        for child in node.fields["children"]:
            # A node is a key of its parent's table, by its identity.
            assert isinstance(child, int) or child in nodes.values()
    assert [one.class_name for one in modules] == ["nn.Identity", "nn.Identity", "nn.Linear", "nn.CAddTable"]
    weight, bias = modules[2].fields["weight"], modules[2].fields["bias"]
    assert isinstance(weight, Tensor)
    assert isinstance(bias, Tensor)
    assert weight.shape == (2, 1)
    assert bias.tolist() == pytest.approx([0.0516, -0.2537], abs=1e-4)


def test_the_writer_writes_what_torch_writes(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "torch7"
    for name in ("list_table", "map_table1", "doubletensor", "custom_class", "recursive_kv_table"):
        real = folder / f"{name}.t7"
        assert write_t7(tmp_path / "x.t7", read_t7(real)).read_bytes() == real.read_bytes(), name


# Those of torch's package tds, which write themselves.


def test_a_hash_and_a_vec_written_out(tmp_path: Path) -> None:
    blob = (
        ints(4, 1) + string("V 0") + string("tds.Hash") + longs(2)  # the sizes of tds are of 8 bytes
        + ints(2) + string("words")
        + ints(4, 2) + string("V 0") + string("tds.Vec") + longs(3)
        + ints(2) + string("a") + ints(0) + ints(1) + struct.pack("<d", 2)
        + ints(1) + struct.pack("<d", 7) + ints(4, 1)  # 7: the hash itself
    )  # fmt: skip  # a line for each value
    (tmp_path / "x.t7").write_bytes(blob)
    found = read_t7(tmp_path / "x.t7")
    assert isinstance(found, dict)
    assert list(found) == ["words", 7]
    assert found["words"] == ["a", None, 2]
    assert found[7] is found


class OldHash(Hash):
    class_name = "tds_hash"


@pytest.mark.parametrize("ascii", [False, True])
def test_hashes_vecs_and_counters_come_back(ascii: bool, tmp_path: Path) -> None:
    inner = Vec(["a", True, torch.arange(3.0), Vec(), Hash({1: "x", "y": Vec([1, 2])})])
    value = {"h": Hash(w=inner, again=inner), "old": OldHash({1: OldHash(k=2.5)}), "n": Counter(5), inner: 1}
    found = back(tmp_path, value, ascii=ascii)
    assert isinstance(found, Table)
    vec = found["h"]["w"]
    assert isinstance(vec, list)
    assert vec is found["h"]["again"]
    assert found[vec] == 1  # a key by its identity
    assert vec[:2] == ["a", True]
    assert vec[2].tolist() == [0, 1, 2]
    assert vec[3:] == [[], {1: "x", "y": [1, 2]}]
    assert (found["old"], found["n"]) == ({1: {"k": 2.5}}, 5)
    assert back(tmp_path, Vec([inner]), ascii=ascii)[0][3] == []


def test_an_object_of_a_class_may_hold_them(tmp_path: Path) -> None:
    held = Lua("onmt.Model", {"vocab": Hash({"a": 1, "b": 2}), "names": Vec(["a", "b", None, "d"])})
    model = Field(back(tmp_path, held), "x.t7 is no model")
    assert model["vocab"]["b"].whole() == 2
    assert "c" not in model["vocab"]
    names = model["names"]
    assert [one.text() for one in names.entries()] == ["a", "b"]  # as Lua counts: up to the first nil
    assert names[4].text() == "d"
    with pytest.raises(CheckpointError, match=r"x\.t7 is no model: names\.3 is missing"):
        names[3]
    with pytest.raises(CheckpointError, match=r"names\.5 is missing"):
        names[5]


# One file byte by byte.


def test_a_file_written_out(tmp_path: Path) -> None:
    numbers = struct.pack("<6f", 1, 2, 3, 4, 5, 6)
    blob = (
        ints(3, 1, 4)  # a table, the first object, of four pairs
        + ints(2) + string("w")
        + ints(4, 2) + string("V 1") + string("torch.CudaTensor") + ints(2)
        + longs(2, 2) + longs(1, 3) + longs(2)  # sizes, strides, offset from 1
        + ints(4, 3) + string("V 1") + string("torch.CudaStorage") + longs(6) + numbers
        + ints(1) + struct.pack("<d", 2) + ints(5, 1)  # 2: true
        + ints(1) + struct.pack("<d", 0.5) + ints(3, 1)  # 0.5: the table itself
        + ints(2) + string("storage") + ints(4, 3)  # the tensor's storage
    )  # fmt: skip  # a line for each value
    (tmp_path / "x.t7").write_bytes(blob)
    found = read_t7(tmp_path / "x.t7")
    assert isinstance(found, Table)
    assert list(found) == ["w", 2, 0.5, "storage"]
    weight, storage = found["w"], found["storage"]
    assert isinstance(weight, Tensor)
    assert isinstance(storage, Tensor)
    assert weight.tolist() == [[2, 5], [3, 6]]
    assert found[2] is True
    assert found[0.5] is found
    assert storage.tolist() == [1, 2, 3, 4, 5, 6]
    weight[0, 0] = 7
    assert storage[1] == 7


# Round trips.


@pytest.mark.parametrize("ascii", [False, True])
def test_plain_values_come_back(ascii: bool, tmp_path: Path) -> None:
    value = {
        "text": "zwölf\nlines of 'text'",
        "": "",
        "numbers": [0, -1, 2**31, 0.1, -1e300, 2.0**60],
        "flags": {True: False},
        7: None,
        -3: [],
        2.5: {"a": {"b": [[1]]}},
    }
    found = back(tmp_path, value, ascii=ascii)
    assert isinstance(found, Table)
    assert list(found) == list(value)
    assert found["text"] == value["text"]
    assert found["numbers"] == {1: 0, 2: -1, 3: 2**31, 4: 0.1, 5: -1e300, 6: 2.0**60}
    assert [type(number) for number in found["numbers"].values()] == [int, int, int, float, float, float]
    assert found["flags"] == {True: False}
    assert found[7] is None
    assert found[2.5] == {"a": {"b": {1: {1: 1}}}}


@pytest.mark.parametrize("ascii", [False, True])
@pytest.mark.parametrize("cuda", [False, True])
@pytest.mark.parametrize("dtype", KINDS)
def test_tensors_come_back(dtype: torch.dtype, cuda: bool, ascii: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    whole = (torch.randn(4, 5) * 30).to(dtype)
    parts = {
        "whole": whole,
        "turned": whole.T,
        "inner": whole[1:3, 1:4],
        "none": whole[:0],
        "one": whole[2, 3:4],
    }
    found = back(tmp_path, parts, cuda=cuda, ascii=ascii)
    assert isinstance(found, Table)
    for name, part in parts.items():
        tensor = found[name]
        assert isinstance(tensor, Tensor)
        assert tensor.dtype == dtype
        assert torch.equal(tensor, part if part.numel() else torch.empty(0, dtype=dtype))
    assert len({tensor.untyped_storage().data_ptr() for tensor in found.values() if tensor.numel()}) == 1


@pytest.mark.parametrize("ascii", [False, True])
def test_what_is_shared_stays_shared(ascii: bool, tmp_path: Path) -> None:
    inner: dict[object, object] = {"x": 1}
    module = Lua("nn.Linear", {"weight": torch.ones(2, 3)})
    outer: dict[object, object] = {"a": inner, "b": inner, "m": module, "n": [module, inner]}
    inner["up"] = outer
    module.fields["self"] = module
    found = back(tmp_path, outer, ascii=ascii)
    assert isinstance(found, Table)
    assert found["a"] is found["b"]
    assert found["a"]["up"] is found
    again = found["m"]
    assert isinstance(again, Lua)
    assert found["n"] == {1: again, 2: found["a"]}
    assert again.fields["self"] is again
    assert again.class_name == "nn.Linear"


def test_functions_are_dropped_and_what_they_hold_is_kept(tmp_path: Path) -> None:
    shared = {"x": torch.arange(3.0)}
    value = [Function(tag=tag, upvalues=[shared]) for tag in (6, 7, 8)]
    found = back(tmp_path, {"f": value, "again": value[2], "kept": shared})
    assert isinstance(found, Table)
    assert found["f"] == {1: None, 2: None, 3: None}
    assert found["again"] is None
    assert found["kept"]["x"].tolist() == [0, 1, 2]


def test_the_oldest_files_have_no_version(tmp_path: Path) -> None:
    found = back(tmp_path, Lua("nn.Old", {"w": torch.ones(2)}), version=None)
    assert isinstance(found, Lua)
    assert found.class_name == "nn.Old"
    assert found.fields["w"].tolist() == [1, 1]


def test_strings_that_are_not_utf8_are_latin1(tmp_path: Path) -> None:
    assert back(tmp_path, [b"caf\xe9", "café"]) == {1: "café", 2: "café"}


def test_a_graph_that_refers_to_itself_many_times_over_can_be_shown() -> None:
    node = Lua("nngraph.Node")
    for _ in range(100):
        node = Lua("nngraph.Node", {1: node, 2: node})
    assert repr(node) == "Lua(class_name='nngraph.Node')"


def nested(levels: int) -> bytes:
    """A table in a table, and so on, whose key is 1."""
    one = ints(1) + struct.pack("<d", 1)
    return b"".join(ints(3, level + 1, 1) + one for level in range(levels)) + ints(0)


def test_objects_may_lie_deep_in_each_other(tmp_path: Path) -> None:
    (tmp_path / "x.t7").write_bytes(nested(DEEPEST))
    found, depth = read_t7(tmp_path / "x.t7"), 0
    while isinstance(found, Table):
        found, depth = found[1], depth + 1
    assert (found, depth) == (None, DEEPEST)
    assert f"deeper than {DEEPEST}" in refused(tmp_path, nested(DEEPEST + 1))


# Hostile and damaged files.


@pytest.mark.parametrize("ascii", [False, True])
def test_a_file_cut_off_anywhere_is_refused(ascii: bool, tmp_path: Path) -> None:
    value = {"w": torch.arange(12.0).view(3, 4), "m": Lua("nn.Linear", {1: "text", 2: True}), "f": Function()}
    value |= {"h": Hash({1: Vec(["x", 2])}), "c": Counter(3)}
    whole = write_t7(tmp_path / "x.t7", value, ascii=ascii).read_bytes()
    for length in range(len(whole)):
        assert "is truncated" in refused(tmp_path, whole[:length])


def test_an_ascii_file_may_lack_its_last_end_of_line_only(tmp_path: Path) -> None:
    whole = write_t7(tmp_path / "x.t7", {"a": "b"}, ascii=True).read_bytes()
    assert "is truncated" in refused(tmp_path, whole[:-1])


TENSOR = {
    "before the storage": (tensor_head(2, 3, strides=(3, 1), offset=0), "cannot be"),
    "beyond the storage": (tensor_head(2, 3, strides=(3, 1), offset=2), "reaches beyond its 6 numbers"),
    "of negative sizes": (tensor_head(-2, -3, strides=(3, 1)), "cannot be"),
    "of negative strides": (tensor_head(2, 3, strides=(-3, 1)), "cannot be"),
    "of huge strides": (tensor_head(2, 3, strides=(2**62, 1)), "reaches beyond"),
    "that repeats itself": (tensor_head(2**40, strides=(0,)), "more than twice its size"),
    "of sizes that overflow": (tensor_head(2**40, 2**40, strides=(0, 0)), "more than twice its size"),
}


@pytest.mark.parametrize(("blob", "message"), TENSOR.values(), ids=TENSOR.keys())
def test_a_tensor_outside_its_storage_is_refused(blob: bytes, message: str, tmp_path: Path) -> None:
    assert message in refused(tmp_path, blob + bytes(24))


def test_the_tensors_written_here_can_be_right(tmp_path: Path) -> None:
    blob = tensor_head(2, 3, strides=(3, 1)) + struct.pack("<6f", *range(6))
    (tmp_path / "x.t7").write_bytes(blob)
    found = read_t7(tmp_path / "x.t7")
    assert isinstance(found, Tensor)
    assert found.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert "1 bytes follow" in refused(tmp_path, blob + b"\0")


HOSTILE = {
    "an unknown tag": (ints(9, 1, 0), "unknown kind of object 9"),
    "a negative tag": (ints(-1), "unknown kind of object -1"),
    "a long table": (ints(3, 1, 2**31 - 1), "bytes of 2147483647 pairs"),
    "a negative table": (ints(3, 1, -1), "-4 bytes of -1 pairs"),
    "a long hash": (ints(4, 1) + string("tds.Hash") + longs(2**62), "bytes of 4611686018427387904 pairs"),
    "a negative vec": (ints(4, 1) + string("V 0") + string("tds.Vec") + longs(-1), "-2 bytes of -1 values"),
    "a hash with one key twice": (
        ints(4, 1) + string("tds.Hash") + longs(2) + 2 * (ints(5, 1) + ints(0)), "a key twice"
    ),
    "a hash that ends": (ints(4, 1) + string("tds.Hash") + longs(0)[:5], "are said to follow"),
    "a long string": (ints(2, 1000) + b"x", "1000 bytes are said to follow at byte 8, 1 do"),
    "a huge string": (ints(2, 2**31 - 1), "2147483647 bytes are said"),
    "a negative string": (ints(2, -5) + b"x", "-5 bytes are said"),
    "a long function": (ints(6, 2**31 - 1), "2147483647 bytes are said"),
    "a long storage": (tensor_head(6, strides=(1,), count=2**62), "numbers are said to follow"),
    "a negative storage": (tensor_head(6, strides=(1,), count=-1), "numbers are said to follow"),
    "many dimensions": (ints(4, 1) + string("torch.IntTensor") + ints(2**31 - 1), "2147483647 dimensions"),
    "negative dimensions": (ints(4, 1) + string("torch.IntTensor") + ints(-1), "-1 dimensions"),
    "an object without fields": (ints(4, 1) + string("V 1") + string("nn.X\n") + ints(0), "'nn.X\\n'"),
    "one key twice": (ints(3, 1, 2) + 2 * (ints(5, 1) + ints(0)), "a key twice"),
    "true and 1": (ints(3, 1, 2) + ints(5, 1, 0, 1) + struct.pack("<d", 1) + ints(0), "a key twice"),
    "a storage of another kind": (
        ints(4, 1) + string("torch.IntTensor") + ints(1) + longs(2, 1, 1)
        + ints(4, 2) + string("torch.FloatStorage") + longs(2, 0),
        "a torch.IntTensor has no storage of its kind",
    ),
    "a tensor in itself": (
        ints(4, 1) + string("torch.IntTensor") + ints(1) + longs(2, 1, 1) + ints(4, 1), "is truncated"
    ),
    "text": (b"3\n1\nmany\n", "invalid literal"),
    "text without numbers": (b"4\n1\n18\ntorch.FloatStorage\n2\n123\n", "1 numbers where 2 should be"),
    "text that is no number": (b"4\n1\n18\ntorch.FloatStorage\n3\n1 2 x\n", "is truncated or no Torch7 file"),
    "long text": (b"4\n1\n18\ntorch.FloatStorage\n9999999999\n1 2 3\n", "numbers are said to follow"),
    "text with too few sizes": (b"4\n1\n17\ntorch.FloatTensor\n2\n3\n", "1 numbers where 2 should be"),
    "a line that does not end": (b"3\n1\n" + b"1" * 100, "does not end"),
    "negative dimensions in text": (b"4\n1\n17\ntorch.FloatTensor\n-1\n", "-1 dimensions"),
}  # fmt: skip  # a line for each value


@pytest.mark.parametrize(("blob", "message"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_file_is_refused(blob: bytes, message: str, tmp_path: Path) -> None:
    assert message in refused(tmp_path, blob)


def test_small_values_that_unfold_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = 2000
    blob = ints(3, 1, pairs) + b"".join(struct.pack("<idid", 1, at, 1, 0) for at in range(pairs))
    (tmp_path / "x.t7").write_bytes(blob)
    assert read_t7(tmp_path / "x.t7") == dict.fromkeys(range(pairs), 0)
    monkeypatch.setattr("vlx.adapters.files.source.ROOM", 1 << 16)
    assert "more than twice its size" in refused(tmp_path, blob)
