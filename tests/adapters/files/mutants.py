"""Valid files of every kind that is read, and damaged ones made of them."""

import io
import pickle
import random
import struct
import tempfile
import warnings
import zipfile
from argparse import Namespace
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from tests.adapters.files.caffe_writer import write_caffemodel
from tests.adapters.files.t7_writer import Function, write_t7
from tests.adapters.files.tensorflow_writer import MAGIC, add, contents, entry, masked, snapped
from tests.adapters.files.wire_writer import varint, whole
from vlx.adapters.files.pickle.reader import read_pickle, read_torch
from vlx.adapters.files.proto.caffe import read_caffemodel
from vlx.adapters.files.tensorflow.checkpoint import read_checkpoint
from vlx.adapters.files.torch7.reader import Lua, read_t7
from vlx.adapters.inspect import inspect


@dataclass(frozen=True)
class Fuzzed:
    """A reader, the name of the file that it is given, and payloads with what makes files of them."""

    read: Callable[[Path], object]
    name: str
    payloads: tuple[tuple[bytes, Callable[[bytes], bytes]], ...]

    def put(self, folder: Path, blob: bytes) -> Path:
        """Write a file for the reader into a folder; what to give to the reader."""
        path = folder / self.name
        path.write_bytes(blob)
        return path


def readers() -> dict[str, Fuzzed]:
    """Every reader by name."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _readers(Path(folder))


def _readers(folder: Path) -> dict[str, Fuzzed]:
    made = {
        "t7": Fuzzed(read_t7, "x.t7", tuple((blob, bytes) for blob in _t7(folder))),
        "pickle": Fuzzed(read_pickle, "x.pkl", tuple((pickle.dumps(_plain(), p), bytes) for p in range(6))),
        "torch": Fuzzed(read_torch, "x.pth", tuple(_torch(folder))),
        "tensorflow": Fuzzed(read_checkpoint, "x.index", tuple(_tensorflow())),
        "caffe": Fuzzed(read_caffemodel, "x.caffemodel", tuple((blob, bytes) for blob in _caffe(folder))),
    }
    told = [
        *made["t7"].payloads,
        *made["pickle"].payloads[2:],
        *made["torch"].payloads,
        *made["caffe"].payloads,
    ]
    return {**made, "inspect": Fuzzed(inspect, "x.caffemodel", tuple(told))}


def _t7(folder: Path) -> list[bytes]:
    whole_tensor = torch.arange(6.0).view(2, 3)
    inner: dict[object, object] = {"w": whole_tensor, "t": whole_tensor.T[1:], 1: True, 2.5: None}
    value = {"m": Lua("nn.Linear", inner), "again": inner, "f": [Function(tag=tag) for tag in (6, 7, 8)]}
    inner["up"] = value
    value["i"] = torch.arange(4)
    return [write_t7(folder / "x", value, ascii=ascii).read_bytes() for ascii in (False, True)]


class _Words:
    def __init__(self) -> None:
        self.words = {"a": 1, "b": [2.5, None, (True, "é")]}


def _plain() -> object:
    arrays = {"f": np.arange(4, dtype=np.float32), "u": np.array(["ab"]), "o": np.array([None], object)}
    return [
        _Words(), Namespace(a=1), OrderedDict(x={1, 2}), frozenset({3}), b"raw", bytearray(b"r"), 2**70, 1j,
        arrays, np.float64(2), torch.arange(3.0), arrays,
    ]  # fmt: skip  # a list


def _torch(folder: Path) -> list[tuple[bytes, Callable[[bytes], bytes]]]:
    module = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    value = {"m": module, "s": module.state_dict(), "w": torch.arange(6).view(2, 3).T, "n": 1}
    torch.save(value, folder / "x", _use_new_zipfile_serialization=False)
    legacy = (folder / "x").read_bytes()
    torch.save(value, folder / "x")
    with zipfile.ZipFile(folder / "x") as archive:
        names = archive.namelist()
        held = {name: archive.read(name) for name in names}
    root = names[0].split("/")[0]

    def zipped(program: bytes) -> bytes:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as made:
            for name, raw in held.items():
                made.writestr(name, program if name == f"{root}/data.pkl" else raw)
        return out.getvalue()

    return [(legacy, bytes), (held[f"{root}/data.pkl"], zipped), ((folder / "x").read_bytes(), bytes)]


DATA = struct.pack("<6f", *range(6))


def _tensorflow() -> list[tuple[bytes, Callable[[bytes], bytes]]]:
    entries = {b"": whole(1, 1)}
    entries |= {b"lstm/%d" % at: entry(1, (2,), 0, 8 * at, DATA[8 * at :][:8]) for at in range(3)}
    plain = contents(entries, 2)

    def table(content: bytes, kind: int = 0) -> bytes:
        out = bytearray()
        place = add(out, content, False) if kind == 0 else _packed(out, content)
        about = add(out, contents({}, 1), False)
        listed = add(out, contents({b"z": place}, 1), False)
        return bytes(out) + (about + listed).ljust(40, b"\0") + struct.pack("<Q", MAGIC)

    return [(plain, table), (snapped(plain), lambda content: table(content, 1)), (table(plain), bytes)]


def _packed(out: bytearray, content: bytes) -> bytes:
    """A block that says it is snappy's, of whatever content."""
    at = len(out)
    out += content + b"\1" + struct.pack("<I", masked(content + b"\1"))
    return varint(at) + varint(len(content))


def _caffe(folder: Path) -> list[bytes]:
    layers = {"conv": [np.ones((2, 1, 2, 2), np.float32), np.zeros(2)], "ip": [np.ones((1, 3))], "r": []}
    return [write_caffemodel(folder / "x", layers, v1=v1).read_bytes() for v1 in (False, True)]


NUMBERS = [
    0,
    1,
    -1,
    2,
    127,
    128,
    255,
    2**15,
    2**31 - 1,
    -(2**31),
    2**32 - 1,
    2**40,
    2**62,
    2**63 - 1,
    -(2**63),
]


def mutant(chance: random.Random, fuzzed: Fuzzed) -> bytes:
    """A damaged file: a valid one changed in up to eight places, or bytes at random."""
    if chance.random() < 0.03:
        return chance.randbytes(chance.randrange(200))
    payload, wrap = chance.choice(fuzzed.payloads)
    damaged = bytearray(payload)
    for _ in range(chance.choice([1, 1, 1, 2, 3, 8])):
        _damage(chance, damaged, chance.choice(fuzzed.payloads)[0])
    return wrap(bytes(damaged))


def _damage(chance: random.Random, blob: bytearray, other: bytes) -> None:
    at, kind = chance.randrange(len(blob) + 1), chance.randrange(9)
    span = chance.choice([1, 2, 4, 8, 20, 100])
    if kind == 0 and at < len(blob):
        blob[at] ^= 1 << chance.randrange(8)
    elif kind == 1 and at < len(blob):
        blob[at] = chance.randrange(256)
    elif kind == 2:
        width = chance.choice([1, 2, 4, 8])
        number = chance.choice(NUMBERS) % (1 << 8 * width)
        blob[at : at + width] = number.to_bytes(width, chance.choice(["little", "little", "big"]))
    elif kind == 3:
        del blob[at : at + span]
    elif kind == 4:
        blob[at:at] = blob[at : at + span] * chance.choice([1, 2, 50])
    elif kind == 5:
        blob[at:at] = chance.randbytes(span)
    elif kind == 6:
        del blob[at:]
    elif kind == 7:
        start = chance.randrange(len(other) + 1)
        blob[at : at + span] = other[start : start + span]
    else:
        blob[at:] = other[chance.randrange(len(other) + 1) :]
