"""Memory: an honest file takes its own size, a hostile one no more than twice it and a constant."""

import pickle
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.adapters.files.caffe_writer import write_caffemodel
from tests.adapters.files.t7_writer import write_t7
from tests.adapters.files.tensorflow_writer import write_checkpoint
from vlx.adapters.files.source import ROOM

MIB = 1 << 20
ROOT = Path(__file__).parents[3]

READ = """
import resource, sys
from pathlib import Path
import torch
from vlx.adapters.files.proto.caffe import read_caffemodel
from vlx.adapters.files.pickle.reader import read_pickle, read_torch
from vlx.adapters.files.torch7.reader import read_t7
from vlx.adapters.files.tensorflow.checkpoint import read_checkpoint
from vlx.errors import CheckpointError

readers = {"t7": read_t7, "pkl": read_pickle, "pth": read_torch, "caffemodel": read_caffemodel}
torch.zeros(1 << 20).view(2, -1).sum()  # what is loaded late
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
room = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_AS, (used + room, used + room))
try:
    held = bytes(room + (16 << 20))
    print("no limit")
except MemoryError:
    print("limited")
for name in sys.argv[2:]:
    try:
        found = readers.get(name.rpartition(".")[2], read_checkpoint)(name)
        told = "read"
    except CheckpointError as error:
        told = "unfolds" if "more than twice its size" in str(error) else str(error)
    found = None
    print(Path(name).name, told)
"""


def told_within(room: int, *files: Path) -> dict[str, str]:
    """What became of each file in a fresh process that may take so many bytes of memory more."""
    command = [sys.executable, "-c", READ, str(room), *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    limit, *lines = done.stdout.splitlines()
    if limit == "no limit":
        pytest.skip("memory cannot be limited here")
    return dict(line.split(maxsplit=1) for line in lines)


def test_honest_files_take_their_own_size(tmp_path: Path) -> None:
    parts = {f"w{at}": torch.full((6 * MIB,), float(at)) for at in range(2)}
    size = 2 * 24 * MIB
    torch.save(parts, tmp_path / "zip.pth")
    torch.save(parts, tmp_path / "legacy.pth", _use_new_zipfile_serialization=False)
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({name: part.numpy() for name, part in parts.items()}, 4))
    write_t7(tmp_path / "a.t7", parts)
    write_checkpoint(tmp_path / "model", parts)
    write_caffemodel(tmp_path / "a.caffemodel", {name: [part] for name, part in parts.items()})
    for name in ("zip.pth", "legacy.pth", "a.pkl", "a.t7", "model", "a.caffemodel"):
        # Each in a process of its own: what one leaves free may be in pieces too small for the next.
        assert told_within(2 * size, tmp_path / name) == {name: "read"}


def test_hostile_files_take_little_more_than_twice_their_size(tmp_path: Path) -> None:
    pairs = MIB // 2
    table = struct.pack("<3i", 3, 1, pairs) + b"".join(struct.pack("<idi", 1, at, 0) for at in range(pairs))
    calls = b"(cnumpy.core.multiarray\n_reconstruct\nq\x00)q\x01" + b"h\x00h\x01R" * (MIB // 5) + b"l."
    hostile = {
        "sets.pkl": b"\x80\x04(" + b"\x8f" * MIB + b"l.",
        "dicts.pkl": b"(" + b"}" * MIB + b"l.",
        "standins.pkl": b"(ca\nb\nq\x00" + b"h\x00)R" * (MIB // 4) + b"l.",
        "arrays.pkl": calls,
        "table.t7": table,
    }
    small = {
        "memo.pkl": b"Nr\xff\xff\xff\x7f.",  # the standard library makes room for so many
        "text.pkl": b"X\x00\x00\x40\x00" + "😀".encode() + b"a" * (4 * MIB - 4) + b".",  # 4 bytes a letter
    }
    for name, blob in {**hostile, **small}.items():
        (tmp_path / name).write_bytes(blob)
    told = told_within(2 * len(table) + 3 * ROOM // 2, *(tmp_path / name for name in [*hostile, *small]))
    assert told == {**dict.fromkeys(hostile, "unfolds"), **dict.fromkeys(small, "read")}
