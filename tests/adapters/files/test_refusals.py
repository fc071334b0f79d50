"""What every reader says of a file that is missing, cut short, or another kind of file."""

import gzip
import pickle
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.adapters.files.caffe_writer import write_caffemodel
from tests.adapters.files.refusals import checked_refusal
from tests.adapters.files.t7_writer import write_t7
from tests.adapters.files.tensorflow_writer import write_checkpoint
from vlx.adapters.files.pickle.reader import read_pickle, read_torch
from vlx.adapters.files.proto.caffe import read_caffemodel
from vlx.adapters.files.source import Format, format_of
from vlx.adapters.files.tensorflow.checkpoint import read_checkpoint
from vlx.adapters.files.torch7.reader import read_t7
from vlx.adapters.files.weights import load_weights

Read = Callable[[Path], object]
READERS: dict[str, tuple[Read, str]] = {
    "x.t7": (read_t7, "Torch7 file"),
    "x.pkl": (read_pickle, "pickle"),
    "x.pth": (read_torch, "torch file"),
    "x.index": (read_checkpoint, "index of a TensorFlow checkpoint"),
    "x.caffemodel": (read_caffemodel, "caffemodel"),
    "x.safetensors": (load_weights, "safetensors file"),
    "x.pt": (load_weights, "torch file"),
}
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"


@pytest.mark.parametrize("name", READERS)
def test_a_missing_file_and_a_folder_are_told(name: str, tmp_path: Path) -> None:
    read, _ = READERS[name]
    assert "no " in checked_refusal(lambda: read(tmp_path / name))
    (tmp_path / name).mkdir()
    assert str(tmp_path / name).removesuffix(".index") in checked_refusal(lambda: read(tmp_path / name))


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is truncated: it is empty"),
        (LFS, "is a Git LFS pointer, not the weights: run git lfs pull"),
        (b"\n<!DOCTYPE html><html><body>sign in</body></html>", "is a web page saved in its place"),
        (b"<html>", "is a web page saved in its place"),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "is a web page"),
    ],
)
def test_what_came_instead_of_the_file_is_told(
    content: bytes, message: str, name: str, tmp_path: Path
) -> None:
    read, _ = READERS[name]
    (tmp_path / name).write_bytes(content)
    assert message in checked_refusal(lambda: read(tmp_path / name))


def whole(path: Path, name: str) -> bytes:
    """A file of more than 1 MiB of the kind of a name."""
    parts = {"w": torch.zeros(300_000)}
    file = path / f"whole-{name}"
    if name.endswith(".t7"):
        write_t7(file, parts)
    elif name.endswith(".pkl"):
        file.write_bytes(pickle.dumps({"w": bytes(2 << 20)}, 4))
    elif name.endswith((".pth", ".pt")):
        torch.save(parts, file)
    elif name.endswith(".caffemodel"):
        write_caffemodel(file, {"w": [parts["w"]]})
    elif name.endswith(".safetensors"):
        save_file(parts, file)
    else:
        write_checkpoint(path / "x", parts)
        file = path / "x.data-00000-of-00001"
    return file.read_bytes()


@pytest.mark.parametrize("name", READERS)
def test_a_file_cut_at_a_mebibyte_is_told(name: str, tmp_path: Path) -> None:
    read, _ = READERS[name]
    content = whole(tmp_path, name)[: 1 << 20]
    assert len(content) == 1 << 20
    cut = "x.data-00000-of-00001" if name == "x.index" else name
    (tmp_path / cut).write_bytes(content)
    message = checked_refusal(lambda: read(tmp_path / name))
    assert message == (
        f"{tmp_path / cut} is truncated at exactly 1,048,576 bytes, the limit of a host: "
        "download it from elsewhere"
    )


def formats(path: Path) -> dict[Format, bytes]:
    """A file of every format that is told by its bytes."""
    torch.save({"w": torch.zeros(1)}, path / "zip")
    torch.save({"w": torch.zeros(1)}, path / "legacy", _use_new_zipfile_serialization=False)
    save_file({"w": torch.zeros(1)}, path / "safetensors")
    write_checkpoint(path / "table", {"w": torch.zeros(1)})
    return {
        Format.PAGE: b"<html>",
        Format.ZIP: (path / "zip").read_bytes(),
        Format.LEGACY: (path / "legacy").read_bytes(),
        Format.TAR: bytes(257) + b"ustar\0",
        Format.PICKLE: pickle.dumps([1], 4),
        Format.T7: write_t7(path / "t7", {"w": 1}).read_bytes(),
        Format.SAFETENSORS: (path / "safetensors").read_bytes(),
        Format.TABLE: (path / "table.index").read_bytes(),
        Format.HDF5: b"\x89HDF\r\n\x1a\n" + bytes(100),
        Format.GZIP: gzip.compress(b"x"),
        Format.JSON: b'{"a": 1}',
        Format.IMAGE: b"\x89PNG\r\n\x1a\n",
    }


def test_the_format_of_a_file_is_told_by_its_bytes(tmp_path: Path) -> None:
    made = formats(tmp_path)
    assert set(made) == set(Format)
    for format_, content in made.items():
        (tmp_path / "x").write_bytes(content)
        assert format_of(tmp_path / "x") is format_
    for content in (b"x", struct.pack("<q", 2**40) + b'{"', b"name: 'net'"):
        (tmp_path / "x").write_bytes(content)
        assert format_of(tmp_path / "x") is None


OWN = {
    "x.t7": {Format.T7},
    "x.pkl": {Format.PICKLE},
    "x.pth": {Format.ZIP, Format.LEGACY, Format.PICKLE},
    "x.index": {Format.TABLE},
    "x.caffemodel": {Format.JSON},  # a network's name may begin with a brace
}


@pytest.mark.parametrize("name", OWN)
def test_a_file_of_another_format_is_told(name: str, tmp_path: Path) -> None:
    read, what = READERS[name]
    for format_, content in formats(tmp_path).items():
        if format_ not in OWN[name] | {Format.PAGE}:
            (tmp_path / name).write_bytes(content)
            message = checked_refusal(lambda: read(tmp_path / name))
            assert message == f"{tmp_path / name} is {format_.value}, no {what}"
