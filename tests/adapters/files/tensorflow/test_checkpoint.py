"""TensorFlow checkpoints: one written out byte by byte, round trips in every layout, hostile ones."""

import io
import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.adapters.files import tensorflow_writer as writer
from tests.adapters.files.refusals import checked_refusal
from tests.adapters.files.tensorflow_writer import (
    DTYPES,
    add,
    contents,
    entry,
    masked,
    table,
    write_checkpoint,
)
from tests.adapters.files.wire_writer import block, fixed32, varint, whole
from vlx.adapters.files.source import Source, one_line
from vlx.adapters.files.tensorflow import crc32c as crc_module
from vlx.adapters.files.tensorflow.checkpoint import read_checkpoint
from vlx.adapters.files.tensorflow.crc32c import crc32c, masked_crc32c
from vlx.adapters.files.tensorflow.table import unsnapped

IM2TXT = {
    "InceptionV3/Conv2d_1a_3x3/weights": (3, 3, 3, 2),
    "InceptionV3/Conv2d_1a_3x3/BatchNorm/beta": (2,),
    "InceptionV3/Conv2d_1a_3x3/BatchNorm/moving_mean": (2,),
    "image_embedding/weights": (4, 5),
    "lstm/basic_lstm_cell/biases": (8,),
    "lstm/basic_lstm_cell/weights": (7, 8),
    "logits/biases": (11,),
    "seq_embedding/map": (11, 5),
}


def variables() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    made = {name: random.normal(size=sizes).astype(np.float32) for name, sizes in IM2TXT.items()}
    return {**made, "global_step": np.array(1_000_000)}


def refused(prefix: Path) -> str:
    return checked_refusal(lambda: read_checkpoint(prefix))


def with_index(path: Path, index: bytes, data: bytes = b"") -> Path:
    (path / "m.index").write_bytes(index)
    (path / "m.data-00000-of-00001").write_bytes(data)
    return path / "m"


# The parts.


def test_the_checksum_of_known_bytes() -> None:
    # RFC 3720, appendix B.4, and the check value of the catalogue of CRCs
    known = {
        b"123456789": 0xE3069283,
        bytes(32): 0x8A9136AA,
        b"\xff" * 32: 0x62A8AB43,
        bytes(range(32)): 0x46DD794E,
        bytes(range(31, -1, -1)): 0x113FDB5C,
        b"": 0,
    }
    for raw, crc in known.items():
        assert crc32c(np.frombuffer(raw, np.uint8)) == crc


def test_the_checksum_of_any_length(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    monkeypatch.setattr(crc_module, "_PIECE", 100)
    for length in [*range(20), 99, 100, 101, 103, 104, 777]:
        raw = random.integers(0, 256, length, np.uint8)
        assert masked_crc32c(raw) == masked(raw.tobytes())


SNAPPED = {
    "plain": (b"\x03" + b"\x08abc", b"abc"),
    "the example of the format": (b"\x07" + b"\x08xab" + bytes([1, 2]), b"xababab"),
    "a copy that repeats itself": (b"\x0c" + b"\x00a" + bytes([7 << 2 | 1, 1]), b"a" * 12),
    "a copy by two bytes": (b"\x08" + b"\x0cabcd" + bytes([3 << 2 | 2, 4, 0]), b"abcdabcd"),
    "a copy by four bytes": (b"\x06" + b"\x0cabcd" + bytes([1 << 2 | 3, 3, 0, 0, 0]), b"abcdbc"),
    "a long literal": (b"\xc8\x01" + bytes([60 << 2, 199]) + b"x" * 200, b"x" * 200),
    "a longer literal": (b"\xac\x02" + bytes([61 << 2, 43, 1]) + b"y" * 300, b"y" * 300),
    "nothing": (b"\x00", b""),
}


@pytest.mark.parametrize(("packed", "plain"), SNAPPED.values(), ids=SNAPPED.keys())
def test_what_snappy_packed(packed: bytes, plain: bytes) -> None:
    assert unsnapped(source_of(packed)) == plain


def test_snappy_copies_from_far_back() -> None:
    plain = bytes(range(256)) * 2
    packed = varint(len(plain) + 5) + bytes([61 << 2, 255, 1]) + plain
    back = 300  # 1 * 256 + 44: three bits of it lie in the tag
    assert unsnapped(source_of(packed + bytes([1 << 5 | 1 << 2 | 1, 44]))) == plain + plain[-back:][:5]


def source_of(raw: bytes) -> Source:
    return Source(io.BytesIO(raw), len(raw), "x", "table")


@pytest.mark.parametrize(
    ("packed", "message"),
    [
        (b"\x05\x08abc", "packed 3 bytes or more where it says 5"),
        (b"\x02\x08abc", "packed 3 bytes or more where it says 2"),
        (b"\x05\x08abc\x01\x04", "a copy from 4 bytes back, of 3"),
        (b"\x05\x08abc\x01\x00", "a copy from 0 bytes back"),
        (b"\x05\xfc\xff\xff\xff\xff", "4294967296 bytes are said"),
        (b"\xff\xff\xff\xff\x7f\x00a", "more than twice its size"),
        (b"\x05\x08ab", "3 bytes are said"),
        (b"\x05\x0e\x01", "2 bytes are said"),
    ],
)
def test_what_snappy_did_not_pack(packed: bytes, message: str) -> None:
    source = source_of(packed)

    def call() -> bytes:
        with one_line(source):
            return unsnapped(source)

    assert message in checked_refusal(call)


# A checkpoint byte by byte.


def test_a_checkpoint_written_out(tmp_path: Path) -> None:
    data = struct.pack("<4f", 1, 2, 3, 4) + struct.pack("<q", 7)
    crc = [struct.pack("<I", masked(data[:16])), struct.pack("<I", masked(data[16:]))]
    header = b"\x08\x01\x1a\x02\x08\x01"  # one data file, version 1
    first = (
        b"\x08\x01\x12\x08\x12\x02\x08\x02\x12\x02\x08\x02\x28\x10\x35" + crc[0]
    )  # float32, 2 x 2, 16 bytes
    second = b"\x08\x09\x12\x00\x20\x10\x28\x08\x35" + crc[1]  # int64, no sizes, at 16, 8 bytes
    content = (
        b"\x00\x00\x06" + header
        + b"\x00\x03" + bytes([len(first)]) + b"ab1" + first
        + b"\x02\x01" + bytes([len(second)]) + b"2" + second  # shares "ab"
        + struct.pack("<2I", 0, 1)
    )  # fmt: skip  # an entry a line
    index = bytearray()
    data_block = add(index, content, False)
    empty = add(index, struct.pack("<2I", 0, 1), False)
    listed = add(
        index, b"\x00\x01" + bytes([len(data_block)]) + b"b" + data_block + struct.pack("<2I", 0, 1), False
    )
    footer = (empty + listed).ljust(40, b"\0") + b"\x57\xfb\x80\x8b\x24\x75\x47\xdb"
    found = read_checkpoint(with_index(tmp_path, bytes(index) + footer, data))
    assert list(found) == ["ab1", "ab2"]
    assert found["ab1"].tolist() == [[1, 2], [3, 4]]
    assert (found["ab2"].dtype, found["ab2"].item()) == (torch.int64, 7)


# Round trips.


@pytest.mark.parametrize("snappy", [False, True])
@pytest.mark.parametrize(("shards", "block_size", "restart"), [(1, 4096, 16), (3, 1, 1), (2, 200, 2)])
def test_variables_come_back(
    shards: int, block_size: int, restart: int, snappy: bool, tmp_path: Path
) -> None:
    given = variables()
    prefix = write_checkpoint(
        tmp_path / "model.ckpt-1000000",
        given,
        shards=shards,
        block_size=block_size,
        restart=restart,
        snappy=snappy,
        text={"_CHECKPOINTABLE_OBJECT_GRAPH": b"\x05hello"},
    )
    found = read_checkpoint(prefix)
    assert list(found) == sorted(given)
    for name, array in given.items():
        assert found[name].shape == array.shape
        assert np.array_equal(found[name].numpy(), array)


@pytest.mark.parametrize("name", DTYPES)
def test_every_type_comes_back(name: str, tmp_path: Path) -> None:
    array = np.array([[0, 1, 2], [3, 100, 1]]).astype(name)
    found = read_checkpoint(write_checkpoint(tmp_path / "m", {"x": array, "none": array[:0]}))
    assert str(found["x"].dtype) == f"torch.{name}"
    assert found["x"].tolist() == array.tolist()
    assert found["none"].shape == (0, 3)


def test_the_paths_of_its_files_name_a_checkpoint_too(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "model.ckpt-7", {"x": np.ones(2)})
    for name in ("model.ckpt-7.index", "model.ckpt-7.data-00000-of-00001", "model.ckpt-7.meta"):
        assert read_checkpoint(tmp_path / name)["x"].tolist() == [1, 1]


def test_entries_agree_with_protobuf(tmp_path: Path) -> None:
    pytest.importorskip("google.protobuf")
    from tests.adapters.files.protobuf import message

    entry_of = message(
        "BundleEntry", dtype="1 int32", shape="2 Shape", shard_id="3 int32", offset="4 int64", size="5 int64",
        crc32c="6 fixed32", _Shape={"dim": "2 Dim*"}, _Dim={"size": "1 int64", "name": "2 string"},
    )  # fmt: skip
    raw = np.arange(6, dtype=np.float32).tobytes()
    made = entry_of(
        dtype=1, shape={"dim": [{"size": 2, "name": "a"}, {"size": 3}]}, size=24, crc32c=masked(raw)
    )
    header = whole(1, 1)
    found = read_checkpoint(with_index(tmp_path, table({"": header, "x": made.SerializeToString()}), raw))
    assert found["x"].tolist() == [[0, 1, 2], [3, 4, 5]]


# Hostile and damaged files.


def test_files_that_are_missing_are_named(tmp_path: Path) -> None:
    prefix = write_checkpoint(tmp_path / "model.ckpt-7", {"x": np.ones(2), "y": np.ones(2)}, shards=2)
    assert f"give {prefix}" in refused(tmp_path)
    assert f"give {prefix}" in refused(tmp_path / "model.ckpt-8")
    assert "there is no m.index" in refused(tmp_path / "none" / "m")
    Path(f"{prefix}.data-00001-of-00002").unlink()
    assert "no data file of a TensorFlow checkpoint" in refused(prefix)
    Path(f"{prefix}.index").rename(prefix)
    assert "is a TensorFlow checkpoint of before V2" in refused(prefix)


@pytest.mark.parametrize("suffix", ["index", "data-00000-of-00001"])
def test_files_cut_off_anywhere_are_refused(suffix: str, tmp_path: Path) -> None:
    prefix = write_checkpoint(tmp_path / "m", {"x": np.arange(9.0), "y": np.arange(4)})
    file = Path(f"{prefix}.{suffix}")
    whole_file = file.read_bytes()
    for length in range(0, len(whole_file), 3):
        file.write_bytes(whole_file[:length])
        assert "is truncated" in refused(prefix)


@pytest.mark.parametrize("suffix", ["index", "data-00000-of-00001"])
def test_a_bit_that_flipped_is_told(suffix: str, tmp_path: Path) -> None:
    prefix = write_checkpoint(tmp_path / "m", {"x": np.arange(9.0)})
    file = Path(f"{prefix}.{suffix}")
    whole_file = file.read_bytes()
    for at in (0, 10, 30, 60):
        damaged = bytearray(whole_file)
        damaged[at] ^= 4
        file.write_bytes(damaged)
        assert "does not have the checksum it should" in refused(prefix)


RAW = struct.pack("<2f", 1, 2)
GOOD = entry(1, (2,), 0, 0, RAW)
ONE = {"": whole(1, 1)}


def numbered(kind: int = 1, shape: bytes = block(2, whole(1, 2)), more: bytes = whole(5, 8)) -> bytes:
    return whole(1, kind) + block(2, shape) + more + fixed32(6, masked(RAW))


ENTRIES: dict[str, tuple[Mapping[str, bytes], str]] = {
    "no header": ({"x": GOOD}, "has no header"),
    "big numbers": ({"": whole(1, 1) + whole(2, 1), "x": GOOD}, "not little-endian"),
    "no variables": (ONE, "lists no variables"),
    "slices": ({**ONE, "x": GOOD + block(7, b"")}, "saved in slices"),
    "an unknown type": ({**ONE, "x": numbered(kind=11)}, "unknown type 11"),
    "another length": ({**ONE, "x": numbered(more=whole(5, 4))}, "sizes [2] and 4 bytes"),
    "a negative size": ({**ONE, "x": numbered(shape=block(2, whole(1, -2)))}, "sizes [-2]"),
    "many dimensions": ({**ONE, "x": numbered(shape=block(2, b"") * 40)}, "has the sizes [0, 0"),
    "no shape": ({**ONE, "x": numbered(shape=whole(3, 1))}, "without a shape"),
    "another file": ({**ONE, "x": numbered(more=whole(5, 8) + whole(3, 1))}, "in data file 1 of 1"),
    "a negative file": ({**ONE, "x": numbered(more=whole(5, 8) + whole(3, -1))}, "in data file -1 of 1"),
    "beyond the end": ({**ONE, "x": numbered(more=whole(5, 8) + whole(4, 1))}, "at byte 1, 7 do"),
    "before the start": ({**ONE, "x": numbered(more=whole(5, 8) + whole(4, -1))}, "points to byte -1"),
    "a huge length": (
        {**ONE, "x": numbered(shape=block(2, whole(1, 1 << 60)), more=whole(5, 1 << 62))}, "said to follow"
    ),
    "a field too long": ({**ONE, "x": b"\x12\x7f"}, "reaches beyond its message"),
    "a field of no kind": ({**ONE, "x": b"\x0b"}, "an unknown field"),
    "a number without end": ({**ONE, "x": b"\x08" + b"\xff" * 12}, "does not end"),
    "a field 0": ({**ONE, "x": b"\x00\x01"}, "field 0"),
}  # fmt: skip  # an entry a line


@pytest.mark.parametrize(("entries", "message"), ENTRIES.values(), ids=ENTRIES.keys())
def test_a_hostile_entry_is_refused(entries: Mapping[str, bytes], message: str, tmp_path: Path) -> None:
    assert message in refused(with_index(tmp_path, table(entries), RAW))


def test_the_entries_written_here_can_be_right(tmp_path: Path) -> None:
    for good in (GOOD, numbered()):
        found = read_checkpoint(with_index(tmp_path, table({**ONE, "x": good}), RAW))
        assert found["x"].tolist() == [1, 2]


def one_block(content: bytes, kind: int = 0, *, twice: bool = False, handle: bytes | None = None) -> bytes:
    """A table whose one data block has this content."""
    out = bytearray()
    held = content + bytes([kind])
    out += held + struct.pack("<I", masked(held))
    place = varint(0) + varint(len(content)) if handle is None else handle
    about = add(out, contents({}, 1), False)
    listed = add(out, contents({b"a": place, b"b": place} if twice else {b"a": place}, 1), False)
    return bytes(out) + (about + listed).ljust(40, b"\0") + struct.pack("<Q", writer.MAGIC)


PLAIN = contents({b"": whole(1, 1), b"x": GOOD}, 16)
BLOCKS = {
    "an unknown kind": (one_block(PLAIN, 2), "compressed in an unknown way"),
    "no snappy": (one_block(PLAIN, 1), "truncated or no index"),
    "the same block twice": (one_block(PLAIN, twice=True), "before the one before it ends"),
    "keys out of order": (one_block(contents({b"": whole(1, 1), b"y": GOOD, b"x": GOOD}, 9)), "out of order"),
    "one key twice": (one_block(b"\0\0\0" + b"\0\0\0" + struct.pack("<2I", 0, 1)), "out of order"),
    "a key that shares too much": (one_block(b"\x05\0\0" + struct.pack("<2I", 0, 1)), "shares 5 bytes"),
    "many restarts": (one_block(struct.pack("<I", 10**6)), "1000000 restarts in a block of 4"),
    "an empty block": (one_block(b""), "0 restarts in a block of 0"),
    "a value beyond the block": (one_block(b"\0\0\x7f" + struct.pack("<2I", 0, 1)), "127 bytes are said"),
    "a block beyond the file": (one_block(PLAIN, handle=varint(0) + varint(1 << 50)), "are said to follow"),
    "a block after the file": (one_block(PLAIN, handle=varint(1 << 50) + varint(1)), "points to byte"),
    "a handle cut off": (one_block(PLAIN, handle=b"\xff"), "are said to follow"),
    "no UTF-8": (one_block(contents({b"": whole(1, 1), b"\xff": GOOD}, 16)), "can't decode"),
}  # fmt: skip


@pytest.mark.parametrize(("index", "message"), BLOCKS.values(), ids=BLOCKS.keys())
def test_a_hostile_block_is_refused(index: bytes, message: str, tmp_path: Path) -> None:
    assert message in refused(with_index(tmp_path, index, RAW))


def test_the_blocks_written_here_can_be_right(tmp_path: Path) -> None:
    assert read_checkpoint(with_index(tmp_path, one_block(PLAIN), RAW))["x"].tolist() == [1, 2]


def test_keys_that_unfold_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vlx.adapters.files.source.ROOM", 1 << 16)
    keys = {b"": whole(1, 1), **{b"k" * (5000 + at): entry(7, (), 0, 0, b"") for at in range(100)}}
    index = one_block(contents(keys, 1000))
    assert len(index) < 9000
    assert "more than twice its size" in refused(with_index(tmp_path, index))


def test_variables_in_the_same_bytes_are_refused_where_they_are_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vlx.adapters.files.source.ROOM", 4096)
    raw = bytes(8000)
    same = {f"{at}": entry(1, (2000,), 0, 0, raw) for at in range(5)}
    assert "more than twice its size" in refused(with_index(tmp_path, table({**ONE, **same}), raw))
