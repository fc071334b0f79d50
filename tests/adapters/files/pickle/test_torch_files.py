"""Torch files of both layouts: as torch.load reads them, whole modules as stand-ins, hostile ones refused."""

import io
import os
import pickle
import struct
import sys
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.adapters.files.refusals import checked_refusal
from vlx.adapters.files.pickle.reader import Standin, read_torch, state_of
from vlx.adapters.files.weights import load_weights

LAYOUTS = ["zip", "legacy"]
DTYPES = [
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16,
    torch.int8, torch.uint8, torch.bool, torch.complex64, torch.complex128,
]  # fmt: skip  # a list


def saved(path: Path, value: object, layout: str, **how: Any) -> Path:
    file = path / "x.pth"
    torch.save(value, file, _use_new_zipfile_serialization=layout == "zip", **how)
    return file


def refused(path: Path, blob: bytes) -> str:
    file = path / "x.pth"
    file.write_bytes(blob)
    return checked_refusal(lambda: read_torch(file))


class Encoder(nn.Module):
    """Nested modules, a shared one, buffers of both kinds, a parameter that is None."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU())
        self.head = nn.ModuleDict({"a": nn.Linear(4, 2), "b": nn.LSTMCell(2, 3)})
        self.again = self.head["a"]
        self.scale = nn.Parameter(torch.ones(2))
        self.register_buffer("kept", torch.arange(3))
        self.register_buffer("passing", torch.arange(4), persistent=False)
        self.register_buffer("nothing", None)
        self.mean = (0.5, 0.25)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_tensors_come_back(dtype: torch.dtype, layout: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    whole = (torch.randn(4, 5) * 30).to(dtype)
    given = {
        "whole": whole,
        "turned": whole.T,
        "inner": whole[1:3, 1:4:2],
        "none": whole[:0],
        "one": torch.tensor(3).to(dtype),
        "spread": torch.zeros(1).to(dtype).expand(2, 3),
    }
    file = saved(tmp_path, given, layout)
    found, expected = read_torch(file), torch.load(file, weights_only=True)
    assert isinstance(found, dict)
    assert list(found) == list(given)
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype == dtype
        assert found[name].stride() == tensor.stride()
        assert torch.equal(found[name], tensor)
    found["whole"].fill_(1)
    assert found["inner"][0, 0] == found["turned"][1, 1] == 1


@pytest.mark.parametrize("dtype", [torch.uint16, torch.uint64, torch.float8_e4m3fn])
def test_tensors_of_untyped_storages_come_back(dtype: torch.dtype, tmp_path: Path) -> None:
    given = torch.arange(6).to(dtype).view(2, 3)
    found: Any = read_torch(saved(tmp_path, {"w": given, "t": given.T}, "zip"))
    assert found["w"].dtype == dtype
    assert found["w"].view(torch.uint8).tolist() == given.view(torch.uint8).tolist()
    assert found["t"].data_ptr() == found["w"].data_ptr()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("protocol", [2, 4])
def test_other_values_come_back_beside_tensors(layout: str, protocol: int, tmp_path: Path) -> None:
    given = {
        "epoch": 3, "bleu-4": 0.25, "sizes": torch.Size([1, 2]), "array": np.arange(3), "type": torch.float16,
        "words": OrderedDict({"<pad>": 0}), "weights": [nn.Parameter(torch.ones(2)), {1: torch.zeros(1)}],
    }  # fmt: skip
    found: Any = read_torch(saved(tmp_path, given, layout, pickle_protocol=protocol))
    assert found.pop("array").tolist() == [0, 1, 2]
    weights = found.pop("weights")
    assert found == {
        "epoch": 3,
        "bleu-4": 0.25,
        "sizes": (1, 2),
        "type": torch.float16,
        "words": {"<pad>": 0},
    }
    assert type(weights[0]) is Tensor
    assert weights[0].tolist() == [1, 1]
    assert not weights[0].requires_grad


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_whole_module_is_a_standin_with_its_state(layout: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = Encoder()
    optimiser = torch.optim.Adam(module.parameters())
    module.stem(torch.randn(2, 3, 5, 5)).sum().backward()
    optimiser.step()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch cannot find the source code of some classes
        file = saved(tmp_path, {"encoder": module, "encoder_optimizer": optimiser, "epoch": 7}, layout)
    found: Any = read_torch(file)
    assert found["epoch"] == 7
    encoder = found["encoder"]
    assert isinstance(encoder, Standin)
    assert encoder.class_name == f"{__name__}.Encoder"
    assert encoder.state["mean"] == (0.5, 0.25)
    assert found["encoder_optimizer"].class_name == "torch.optim.adam.Adam"
    state, expected = state_of(encoder), module.state_dict()
    assert list(state) == list(expected)
    assert all(torch.equal(state[name], tensor) for name, tensor in expected.items())
    assert state["again.weight"].data_ptr() == state["head.a.weight"].data_ptr()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_state_dict_is_its_own_state(layout: str, tmp_path: Path) -> None:
    expected = Encoder().state_dict()
    state = state_of(read_torch(saved(tmp_path, expected, layout)))
    assert list(state) == list(expected)
    assert all(torch.equal(state[name], tensor) for name, tensor in expected.items())


def test_what_is_no_module_has_no_state() -> None:
    loop = Standin("models.Loop", {})
    loop.state.update(_modules={"next": loop})  # type: ignore[attr-defined]
    tree = Standin("models.Leaf", {"_modules": {}})
    for _ in range(60):
        tree = Standin("models.Tree", {"_modules": {"a": tree, "b": tree}})
    for value, message in (
        ([1], "a list is neither a module nor named tensors"),
        ({}, "other things than named tensors"),
        ({"epoch": 3, "w": torch.ones(1)}, "other things than named tensors"),
        (Standin("argparse.Namespace", {"a": 1}), "class 'argparse.Namespace' is no pickled module"),
        (loop, "too deep in each other, or are too many"),
        (tree, "too deep in each other, or are too many"),
    ):
        assert message in checked_refusal(lambda value=value: state_of(value))


def test_real_files(shared_data: Path) -> None:
    folder = shared_data / "mobilenet-v2"
    file = folder / "mobilenet_v2_1.0_224_fold.pth"
    state, expected = state_of(read_torch(file)), load_weights(file)
    assert list(state) == list(expected)
    assert all(torch.equal(state[name], tensor) for name, tensor in expected.items())


def test_a_file_without_checksums_comes_back(tmp_path: Path) -> None:
    torch.serialization.set_crc32_options(False)
    try:
        file = saved(tmp_path, {"w": torch.arange(3)}, "zip")
    finally:
        torch.serialization.set_crc32_options(True)
    assert read_torch(file)["w"].tolist() == [0, 1, 2]  # type: ignore[index]


def test_a_large_archive_written_in_64_bits_comes_back(tmp_path: Path) -> None:
    file = saved(tmp_path, {"w": torch.arange(300.0)}, "zip")
    packed = tmp_path / "y.pth"
    with zipfile.ZipFile(file) as plain, zipfile.ZipFile(packed, "w") as archive:
        for name in plain.namelist():
            with archive.open(name, "w", force_zip64=True) as entry:
                entry.write(plain.read(name))
    assert torch.equal(read_torch(packed)["w"], torch.arange(300.0))  # type: ignore[index]


# Before torch 1.6, in parts that torch no longer writes.


def legacy(*pickles: object, storages: bytes = b"", persistent: Callable[[Any], Any] | None = None) -> bytes:
    """A file of the older layout: its pickles after the magic number, then its storages."""

    class Pickler(pickle.Pickler):
        def persistent_id(self, obj: Any) -> Any:
            return persistent(obj) if persistent else None

    out = io.BytesIO()
    about = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    for value in (0x1950A86A20F9469CFC6C, 1001, about, *pickles):
        Pickler(out, 2).dump(value)
    return out.getvalue() + storages


class Stored:
    """A tensor of three floats in a storage that `legacy` refers to by ``reference``."""

    def __init__(self, reference: object, sizes: tuple[int, ...] = (3,)) -> None:
        self.reference = reference
        self.sizes = sizes

    def __reduce__(self) -> Any:
        rebuild = torch._utils._rebuild_tensor  # pyright: ignore[reportPrivateUsage]
        return rebuild, (Reference(self.reference), 0, self.sizes, (1,))


class Reference:
    def __init__(self, key: object) -> None:
        self.key = key


def old_file(keys: object, *references: object, count: int = 6, numbers: int = 6) -> bytes:
    return legacy(
        [Stored(reference) for reference in references],
        keys,
        storages=struct.pack("<q", count) + struct.pack(f"<{numbers}f", *range(numbers)),
        persistent=lambda value: value.key if isinstance(value, Reference) else None,
    )


def test_views_of_a_storage_are_parts_of_it(tmp_path: Path) -> None:
    first = ("storage", torch.FloatStorage, "7", "cuda:0", 6, ("8", 0, 3))
    second = ("storage", torch.FloatStorage, "7", "cuda:0", 6, ("9", 3, 3))
    (tmp_path / "x.pth").write_bytes(old_file(["7"], first, second))
    found: Any = read_torch(tmp_path / "x.pth")
    assert [one.tolist() for one in found] == [[0, 1, 2], [3, 4, 5]]


PLAIN = ("storage", torch.FloatStorage, "7", "cpu", 6, None)
OLD = {
    "more than there is": (old_file(["7"], (*PLAIN[:4], 10**6, None)), "bytes of a storage are said"),
    "a negative count": (old_file(["7"], (*PLAIN[:4], -1, None)), "without a size"),
    "another kind": (old_file(["7"], ("storage", os.system, *PLAIN[2:])), "an unknown kind"),
    "another reference": (old_file(["7"], ("file", *PLAIN[1:])), "no storage"),
    "a missing storage": (old_file([], PLAIN), "other tensors than it refers to"),
    "a storage twice": (old_file(["7", "7"], PLAIN), "other tensors than it refers to"),
    "another storage": (old_file(["8"], PLAIN), "other tensors than it refers to"),
    "keys that are none": (old_file([["7"]], PLAIN), "other tensors than it refers to"),
    "keys that nest": (old_file([(("7",),)], PLAIN), "other tensors than it refers to"),
    "another size": (old_file(["7"], PLAIN, count=5), "a storage of another size than 6"),
    "too few numbers": (old_file(["7"], PLAIN, numbers=5), "24 bytes are said to follow"),
    "a view beyond it": (old_file(["7"], (*PLAIN[:5], ("8", 4, 3))), "a view of 3 elements from 4"),
    "a view of nothing": (old_file(["7"], (*PLAIN[:5], ("8", -1, 3))), "a view of 3 elements from -1"),
    "a view without a place": (old_file(["7"], (*PLAIN[:5], "8")), "without a place"),
    "big numbers": (legacy(), "is truncated"),
    "another pickle": (pickle.dumps([1, 2], 2), "is truncated or no torch file"),
}


@pytest.mark.parametrize(("blob", "message"), OLD.values(), ids=OLD.keys())
def test_a_hostile_file_of_the_older_layout_is_refused(blob: bytes, message: str, tmp_path: Path) -> None:
    assert message in refused(tmp_path, blob)


def test_files_in_the_older_layout_written_here_can_be_right(tmp_path: Path) -> None:
    (tmp_path / "x.pth").write_bytes(old_file(["7"], PLAIN))
    assert [one.tolist() for one in read_torch(tmp_path / "x.pth")] == [[0, 1, 2]]  # type: ignore[attr-defined]


def test_classes_with_their_source_code_are_left_alone(tmp_path: Path) -> None:
    reference = Reference(("module", Path, "models.py", "import os; os.system('x')"))
    blob = legacy([reference], [], persistent=lambda value: getattr(value, "key", None))
    (tmp_path / "x.pth").write_bytes(blob)
    (found,) = read_torch(tmp_path / "x.pth")  # type: ignore[misc]
    assert found.name == "pathlib.Path"


# Hostile and damaged files.


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_file_cut_off_anywhere_is_refused(layout: str, tmp_path: Path) -> None:
    whole = saved(tmp_path, {"a": torch.arange(3), "b": torch.ones(2)}, layout).read_bytes()
    for length in range(1, len(whole), 7):
        assert "is truncated" in refused(tmp_path, whole[:length])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_nothing_is_run(layout: str, tmp_path: Path) -> None:
    mark = tmp_path / "ran"

    class Attack:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(mark),)

    file = saved(tmp_path, {"w": torch.ones(1), "x": Attack()}, layout)
    torch.load(file, weights_only=False)
    assert mark.is_dir()  # the attack works where a pickle is loaded
    mark.rmdir()
    found: Any = read_torch(file)
    assert not mark.exists()
    assert (found["x"].class_name, found["x"].args) == ("posix.mkdir", (str(mark),))


def test_damaged_numbers_are_told_by_their_checksum(tmp_path: Path) -> None:
    whole = bytearray(saved(tmp_path, {"w": torch.arange(300)}, "zip").read_bytes())
    whole[whole.index(struct.pack("<2q", 100, 101))] ^= 1
    assert "do not have the checksum they should" in refused(tmp_path, bytes(whole))


def rewritten(path: Path, change: Callable[[zipfile.ZipFile, str, bytes], None]) -> bytes:
    """A torch archive whose entries were written again, each by a function."""
    file = saved(path, {"w": torch.zeros(100)}, "zip")
    packed = path / "y.pth"
    with zipfile.ZipFile(file) as plain, zipfile.ZipFile(packed, "w") as archive:
        for name in plain.namelist():
            change(archive, name, plain.read(name))
    return packed.read_bytes()


def test_compressed_entries_are_refused(tmp_path: Path) -> None:
    blob = rewritten(tmp_path, lambda archive, name, raw: archive.writestr(name, raw, zipfile.ZIP_DEFLATED))
    assert "holds compressed entries" in refused(tmp_path, blob)


def test_entries_listed_twice_are_refused(tmp_path: Path) -> None:
    def twice(archive: zipfile.ZipFile, name: str, raw: bytes) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            archive.writestr(name, raw)
            archive.writestr(name, raw)

    assert "twice" in refused(tmp_path, rewritten(tmp_path, twice))


def test_archives_that_torch_did_not_write_are_refused(tmp_path: Path) -> None:
    def renamed(old: str, new: str) -> bytes:
        return rewritten(tmp_path, lambda archive, name, raw: archive.writestr(name.replace(old, new), raw))

    def without(part: str) -> bytes:
        return rewritten(
            tmp_path, lambda archive, name, raw: None if part in name else archive.writestr(name, raw)
        )

    def shorter(archive: zipfile.ZipFile, name: str, raw: bytes) -> None:
        archive.writestr(name, raw[:-4] if name.endswith("data/0") else raw)

    def swapped(archive: zipfile.ZipFile, name: str, raw: bytes) -> None:
        archive.writestr(name, b"big" if name.endswith("byteorder") else raw)

    assert "no data.pkl" in refused(tmp_path, without("data.pkl"))
    assert "no data.pkl" in refused(tmp_path, renamed("x/data.pkl", "a/b/data.pkl"))
    assert "no entry holds the 100 elements of storage '0'" in refused(tmp_path, without("data/0"))
    assert "no entry holds the 100 elements" in refused(tmp_path, rewritten(tmp_path, shorter))
    assert "not little-endian" in refused(tmp_path, rewritten(tmp_path, swapped))
    assert "is a TorchScript program" in refused(tmp_path, renamed("version", "constants.pkl"))
    assert torch.equal(read_torch(saved(tmp_path, torch.ones(1), "zip")), torch.ones(1))  # type: ignore[arg-type]


def test_a_real_torchscript_program_is_refused(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(nn.Linear(2, 2)), tmp_path / "s.pth")
    assert "is a TorchScript program" in checked_refusal(lambda: read_torch(tmp_path / "s.pth"))


ENTRY, END = struct.Struct("<4s6H3I5H2I"), struct.Struct("<4s4H2IH")


def directory(path: Path, field: int, value: int) -> bytes:
    """An archive in whose directory the storage's entry has another value in one field."""
    blob = bytearray(rewritten(path, lambda archive, name, raw: archive.writestr(name, raw)))
    at = blob.rindex(b"x/data/0") - ENTRY.size
    fields = list(ENTRY.unpack_from(blob, at))
    fields[field] = value
    ENTRY.pack_into(blob, at, *fields)
    return bytes(blob)


FIELDS = {
    "no entry": (0, b"PK\x01\x03", "no entry of its directory"),
    "encrypted": (3, 1, "compressed entries"),
    "packed": (4, 8, "compressed entries"),
    "another checksum": (7, 5, "checksum"),
    "a size that is a lie": (8, 4, "lies about its size"),
    "another size that is a lie": (9, 4, "lies about its size"),
    "a long name": (10, 60000, "are said to follow"),
    "another place": (16, 3, "is not where it says"),
    "a place beyond the end": (16, 10**9, "points to byte 1000000000"),
    "a place told nowhere": (16, 0xFFFFFFFF, "is truncated"),
}


@pytest.mark.parametrize(("field", "value", "message"), FIELDS.values(), ids=FIELDS.keys())
def test_a_hostile_directory_is_refused(field: int, value: Any, message: str, tmp_path: Path) -> None:
    assert message in refused(tmp_path, directory(tmp_path, field, value))


@pytest.mark.parametrize(("field", "value"), [(4, 60000), (5, 10**9), (6, 10**9), (7, 5)])
def test_a_hostile_end_of_the_directory_is_refused(field: int, value: int, tmp_path: Path) -> None:
    blob = bytearray(rewritten(tmp_path, lambda archive, name, raw: archive.writestr(name, raw)))
    fields = list(END.unpack_from(blob, len(blob) - END.size))
    fields[field] = value
    END.pack_into(blob, len(blob) - END.size, *fields)
    assert "director" in refused(tmp_path, bytes(blob))


def test_entries_that_overlap_are_refused(tmp_path: Path) -> None:
    inner = b"PK\x03\x04" + struct.pack("<5H3I2H", 20, 0, 0, 0, 0, 0, 4, 4, 1, 0) + b"b" + b"data"
    outer = (
        b"PK\x03\x04" + struct.pack("<5H3I2H", 20, 0, 0, 0, 0, 0, len(inner), len(inner), 1, 0) + b"a" + inner
    )
    listed = b"".join(
        ENTRY.pack(b"PK\x01\x02", 20, 20, 0, 0, 0, 0, 0, size, size, 1, 0, 0, 0, 0, 0, at) + name
        for name, size, at in ((b"a", len(inner), 0), (b"b", 4, 31))
    )
    end = END.pack(b"PK\x05\x06", 0, 0, 2, 2, len(listed), len(outer), 0)
    assert "its entries overlap" in refused(tmp_path, outer + listed + end)


def test_a_storage_asked_for_over_and_over_is_read_once(tmp_path: Path) -> None:
    whole = torch.zeros(1000)
    file = saved(tmp_path, [whole[:1] for _ in range(50)], "zip")
    found: Any = read_torch(file)
    assert len({one.untyped_storage().data_ptr() for one in found}) == 1


def test_a_tensor_that_repeats_one_element_without_end_is_refused(tmp_path: Path) -> None:
    for layout in LAYOUTS:
        file = saved(tmp_path, torch.zeros(1).expand(1 << 40), layout)
        assert "more than twice its size" in checked_refusal(lambda file=file: read_torch(file))


def test_this_machine_is_little_endian() -> None:
    assert sys.byteorder == "little"  # the files written here are
