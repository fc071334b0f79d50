"""Caffemodels: both layouts, agreement with protobuf itself, hostile ones."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.adapters.files.caffe_writer import blob, write_caffemodel
from tests.adapters.files.refusals import checked_refusal
from tests.adapters.files.wire_writer import block, varint, whole
from vlx.adapters.files.proto.caffe import read_caffemodel


def layers() -> dict[str, list[np.ndarray]]:
    random = np.random.default_rng(0)
    made = {"data": [], "conv1_1": [(4, 3, 3, 3), (4,)], "relu": [], "fc8": [(5, 16), (5,)], "scale": [(4,)]}
    return {name: [random.normal(size=s).astype(np.float32) for s in sizes] for name, sizes in made.items()}


def read(path: Path, blob: bytes) -> Any:
    (path / "x.caffemodel").write_bytes(blob)
    return read_caffemodel(path / "x.caffemodel")


def refused(path: Path, blob: bytes) -> str:
    return checked_refusal(lambda: read(path, blob))


def test_layers_come_back(tmp_path: Path) -> None:
    given = layers()
    found = read_caffemodel(write_caffemodel(tmp_path / "x.caffemodel", given))
    assert list(found) == ["conv1_1", "fc8", "scale"]
    for name, blobs in found.items():
        assert [tensor.dtype for tensor in blobs] == [torch.float32] * len(given[name])
        assert [tensor.shape for tensor in blobs] == [array.shape for array in given[name]]
        assert all(np.array_equal(tensor.numpy(), a) for tensor, a in zip(blobs, given[name], strict=True))


def test_layers_of_v1_have_four_sizes(tmp_path: Path) -> None:
    given = layers()
    found = read_caffemodel(write_caffemodel(tmp_path / "x.caffemodel", given, v1=True))
    assert [tuple(tensor.shape) for blobs in found.values() for tensor in blobs] == [
        (4, 3, 3, 3), (1, 1, 1, 4), (1, 1, 5, 16), (1, 1, 1, 5), (1, 1, 1, 4),
    ]  # fmt: skip  # a list of sizes
    assert np.array_equal(found["fc8"][0].numpy()[0, 0], given["fc8"][0])


def test_numbers_in_double_precision_come_back(tmp_path: Path) -> None:
    given = np.array([[1 / 3, -2]])
    (found,) = read_caffemodel(write_caffemodel(tmp_path / "x.caffemodel", {"ip": [given]}))["ip"]
    assert found.dtype == torch.float64
    assert found.tolist() == given.tolist()


def test_a_file_written_out(tmp_path: Path) -> None:
    raw = (
        b"\x0a\x01n"  # the network's name
        b"\xa2\x06\x1b"  # layer: field 100, 27 bytes
        b"\x0a\x02c1"  # its name
        b"\x12\x01I"  # its type
        b"\x3a\x12"  # a blob: field 7, 18 bytes
        b"\x3a\x04\x0a\x02\x01\x02"  # its shape: 1, 2
        b"\x2a\x08" + struct.pack("<2f", 1.5, -2)  # its numbers, packed
    )
    assert read(tmp_path, raw + b"\x12\x00")["c1"][0].tolist() == [[1.5, -2]]


def test_numbers_in_parts_are_joined(tmp_path: Path) -> None:
    single = b"".join(b"\x2d" + struct.pack("<f", number) for number in (1, 2))
    packed = block(5, struct.pack("<2f", 3, 4))
    held = block(7, single + block(7, block(1, varint(2)) + whole(1, 2)) + packed)
    found = read(tmp_path, block(100, block(1, b"ip") + held))
    assert found["ip"][0].tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("packed", ["#", "*"])
@pytest.mark.parametrize("v1", [False, True])
def test_what_protobuf_writes_is_read(v1: bool, packed: str, tmp_path: Path) -> None:
    pytest.importorskip("google.protobuf")
    from tests.adapters.files.protobuf import message

    network = message(
        "Net", name="1 string", layers="2 V1*", layer="100 Layer*", input_dim="4 int32*",
        _V1={"bottom": "2 string*", "name": "4 string", "type": "5 int32", "blobs": "6 Blob*"},
        _Layer={"name": "1 string", "type": "2 string", "bottom": "3 string*", "blobs": "7 Blob*"},
        _Blob={
            "num": "1 int32", "channels": "2 int32", "height": "3 int32", "width": "4 int32",
            "data": f"5 float{packed}", "diff": f"6 float{packed}", "shape": "7 Shape",
        },
        _Shape={"dim": f"1 int64{packed}"},
    )  # fmt: skip  # as caffe.proto has it
    numbers = [float(n) for n in range(6)]
    sizes = {"num": 1, "channels": 1, "height": 2, "width": 3} if v1 else {"shape": {"dim": [2, 3]}}
    layer = {"name": "fc", "bottom": ["x"], "blobs": [{"data": numbers, "diff": numbers, **sizes}]}
    made = network(name="net", input_dim=[1, 3], **{"layers" if v1 else "layer": [{"name": "none"}, layer]})
    found = read(tmp_path, made.SerializeToString())
    assert list(found) == ["fc"]
    assert found["fc"][0].reshape(2, 3).tolist() == [[0, 1, 2], [3, 4, 5]]


# Hostile and damaged files.


@pytest.mark.parametrize("v1", [False, True])
def test_a_file_cut_off_anywhere_is_refused(v1: bool, tmp_path: Path) -> None:
    given = {"fc": [np.ones((2, 3), np.float32)], "last": [np.ones(2, np.float32)]}
    whole_file = write_caffemodel(tmp_path / "x.caffemodel", given, v1=v1).read_bytes()
    first = write_caffemodel(tmp_path / "y.caffemodel", {"fc": given["fc"]}, v1=v1).stat().st_size
    for length in range(len(whole_file)):
        if length == first:  # nothing tells that another layer was to follow
            assert list(read(tmp_path, whole_file[:length])) == ["fc"]
        else:
            assert "is truncated" in refused(tmp_path, whole_file[:length])


def layer(held: bytes, name: bytes = b"fc") -> bytes:
    return block(100, block(1, name) + held)


GOOD = blob(np.ones(2, np.float32))
HOSTILE = {
    "no layers": (block(1, b"net"), "holds no layer with weights"),
    "layers without weights": (layer(b""), "holds no layer with weights"),
    "a prototxt": (b'name: "VGG_ILSVRC_19_layers"\nlayers {\n', "truncated or no caffemodel"),
    "a layer twice": (layer(block(7, GOOD)) * 2, "two layers are named 'fc'"),
    "more numbers than its shape": (layer(block(7, GOOD + block(5, bytes(4)))), "sizes [2] and 12 bytes"),
    "numbers cut amid": (layer(block(7, block(5, bytes(7)))), "sizes [] and 7 bytes"),
    "no sizes": (layer(block(7, block(5, bytes(8)))), "sizes [] and 8 bytes"),
    "a negative size": (layer(block(7, block(7, whole(1, -2)) + block(5, bytes(8)))), "a blob of sizes [-2]"),
    "a huge size": (layer(block(7, block(7, whole(1, 1 << 62)) + block(5, bytes(8)))), "and 8 bytes"),
    "a negative old size": (layer(block(7, whole(1, -2) + block(5, bytes(8)))), "a blob of sizes [-2, 0"),
    "many dimensions": (layer(block(7, block(7, block(1, b"\1" * 40)) + block(5, bytes(4)))), "sizes [1, 1"),
    "a length beyond the file": (b"\xa2\x06\xff\xff\xff\xff\x0f", "reaches beyond its message"),
    "a length beyond the layer": (block(100, b"\x3a\x7f"), "reaches beyond its message"),
    "sizes cut amid a number": (layer(block(7, block(7, block(1, b"\xff")) + GOOD)), "amid a number"),
    "a name that is a number": (block(100, whole(1, 3)), "is no text"),
    "no UTF-8": (layer(block(7, GOOD), b"\xff"), "can't decode"),
}


@pytest.mark.parametrize(("raw", "message"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_file_is_refused(raw: bytes, message: str, tmp_path: Path) -> None:
    assert message in refused(tmp_path, raw)


def test_sizes_that_unfold_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vlx.adapters.files.source.ROOM", 1 << 12)
    shape = block(7, block(1, b"\1" * 1000))
    assert "more than twice its size" in refused(tmp_path, layer(block(7, shape)))
    assert "more than twice its size" in refused(tmp_path, layer(block(7, blob(np.ones(0))) * 40))
