"""Pickles and torch files (``.pkl``, ``.pth``, ``.pth.tar``) as values; classes of theirs are stand-ins."""

import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from jaxtyping import Shaped, UInt8
from torch import Tensor

from vlx.adapters.files.pickle.builders import STORAGES, find, raw_of, set_state
from vlx.adapters.files.pickle.instructions import run
from vlx.adapters.files.pickle.machine import Machine, Persistent
from vlx.adapters.files.pickle.standin import Named, Standin
from vlx.adapters.files.pickle.stored_zip import Entry, entries
from vlx.adapters.files.source import Format, Source, reading
from vlx.errors import CheckpointError

__all__ = ["Named", "Standin", "read_pickle", "read_torch", "state_of"]

_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_COST = 600  # bytes that a tensor takes beside its numbers
_MOST, _LONGEST = 100_000, 300


def read_pickle(path: str | Path) -> object:
    """The value of a pickle of any protocol, written by Python 2 or 3; no code of it is run.

    Plain values, numpy arrays and torch tensors are what they were; an object of any other class is a
    `Standin`, and a class itself `Named`. Strings of Python 2 are read as UTF-8, or else as Latin-1.

    Raises CheckpointError for a file that is missing, truncated, hostile, or no pickle.
    """
    with reading(path, "pickle", Format.PICKLE) as source:
        return run(_machine(source))


def read_torch(path: str | Path) -> object:
    """What torch.save wrote, in its layout of today (a zip archive) or before 1.6; no code of it is run.

    Tensors come to the CPU and share memory where they did. Whole pickled modules and other objects are
    `Standin`: see `state_of`.

    Raises CheckpointError for a file that is missing, truncated, hostile, or no torch file.
    """
    with reading(path, "torch file", Format.ZIP, Format.LEGACY, Format.PICKLE) as source:
        zipped = source.take(min(2, source.size)) == b"PK"
        source.seek(0)
        return _zipped(source) if zipped else _legacy(source)


def state_of(value: object) -> dict[str, Tensor]:
    """The named tensors of a pickled module, as its ``state_dict`` would name them, or of a state_dict.

    Raises CheckpointError for any other value, and for modules that contain themselves.
    """
    if isinstance(value, Standin):
        return _of_module(value)
    if not isinstance(value, Mapping):
        raise CheckpointError(f"a {type(value).__name__} is neither a module nor named tensors")
    named = {key: one for key, one in value.items() if isinstance(key, str) and isinstance(one, Tensor)}
    if len(named) != len(value) or not named:
        raise CheckpointError("a dict that holds other things than named tensors: choose what it holds")
    return named


def _of_module(module: Standin) -> dict[str, Tensor]:
    """The tensors of a module and those inside it, in torch's order."""
    found: dict[str, Tensor] = {}
    waiting, seen = [("", module)], 0
    while waiting:
        prefix, module = waiting.pop()
        tensors, parts = _own(module)
        seen += 1 + len(tensors) + len(parts)
        if seen > _MOST or len(prefix) > _LONGEST:
            raise CheckpointError("modules lie too deep in each other, or are too many, for a network")
        found |= {prefix + name: tensor for name, tensor in tensors}
        waiting += [(f"{prefix}{name}.", part) for name, part in reversed(parts)]
    return found


def _own(module: Standin) -> tuple[list[tuple[str, Tensor]], list[tuple[str, Standin]]]:
    """The tensors of a module itself, and the modules in it."""
    state = module.state
    if not isinstance(state, dict) or not isinstance(state.get("_modules"), dict):
        raise CheckpointError(f"an object of class {module.class_name[:80]!a} is no pickled module")
    passing = state.get("_non_persistent_buffers_set")
    dropped = passing if isinstance(passing, set) else set[object]()
    held = [*_named(state.get("_parameters"))]
    held += [(name, buffer) for name, buffer in _named(state.get("_buffers")) if name not in dropped]
    tensors = [(name, tensor) for name, tensor in held if isinstance(tensor, Tensor)]
    return tensors, [(name, part) for name, part in _named(state["_modules"]) if isinstance(part, Standin)]


def _named(given: object) -> Iterator[tuple[str, object]]:
    if isinstance(given, dict):
        named = ((name, value) for name, value in given.items() if isinstance(name, str))
        yield from ((str(name), value) for name, value in named if len(name) <= _LONGEST)


def _machine(source: Source, persistent: Persistent | None = None, *, nested: bool = False) -> Machine:
    def found(name: str) -> object:
        if name == "torch.storage._load_from_bytes" and not nested:
            return Named(name, _from_bytes)  # how a plain pickle holds a tensor
        return find(name)

    return Machine(source, found, set_state, persistent)


def _from_bytes(source: Source, given: object) -> object:
    """A torch file inside a pickle, which may hold no further one."""
    raw = raw_of(source, given)
    inside = source.inside(raw)
    return _zipped(inside, nested=True) if raw[:2] == b"PK" else _legacy(inside, nested=True)


def _stored(source: Source, key: object) -> tuple[torch.dtype, str, int, object]:
    """The element type, key and number of elements of a storage, and the view of it that is meant."""
    if not isinstance(key, tuple) or len(key) not in (5, 6) or key[0] != "storage":
        raise source.broken("it refers to something that is no storage")
    _, storage, name, _, count, *view = key
    dtype = STORAGES.get(storage.name) if isinstance(storage, Named) else None
    if dtype is None or not isinstance(name, str) or not isinstance(count, int) or not 0 <= count < 1 << 63:
        raise source.broken("a storage of an unknown kind, or without a size")
    return dtype, name, count, view[0] if view else None


# Zip archives


def _zipped(source: Source, *, nested: bool = False) -> object:
    held = entries(source)
    roots = [name[: -len("data.pkl")] for name in held if name.endswith("/data.pkl")]
    if len(roots) != 1 or "/" in roots[0][:-1]:
        raise source.broken("it holds no data.pkl, as torch.save writes")
    (root,) = roots
    order = held.get(f"{root}byteorder")
    if order is not None and _read(source, order) != b"little":
        raise source.broken("its numbers are not little-endian")
    storages: dict[str, Shaped[Tensor, " element"]] = {}

    def persistent(key: object) -> object:
        dtype, name, count, _ = _stored(source, key)
        if name not in storages:
            entry = held.get(f"{root}data/{name}")
            if entry is None or entry.size != count * dtype.itemsize:
                raise source.broken(f"no entry holds the {count} elements of storage {name[:80]!a}")
            source.spend(_COST)
            source.seek(entry.start)
            storages[name] = source.tensor(entry.size, torch.uint8)
            _check(source, entry, storages[name].numpy().data)
        return storages[name].view(dtype)

    inside = source.inside(_read(source, held[f"{root}data.pkl"]))
    return run(_machine(inside, persistent, nested=nested))


def _read(source: Source, entry: Entry) -> bytes:
    source.seek(entry.start)
    source.spend(entry.size)
    raw = source.take(entry.size)
    _check(source, entry, raw)
    return raw


def _check(source: Source, entry: Entry, raw: bytes | memoryview) -> None:
    if entry.crc and zlib.crc32(raw) != entry.crc:
        raise source.broken(f"the bytes from {entry.start} on do not have the checksum they should")


# Before torch 1.6


def _legacy(source: Source, *, nested: bool = False) -> object:
    magic, protocol = (run(_machine(source, nested=True)) for _ in range(2))
    if magic != _MAGIC or protocol != _PROTOCOL:
        raise source.broken("it is another pickle than torch.save writes")
    about = run(_machine(source, nested=True))
    if not isinstance(about, dict) or about.get("little_endian") is not True:
        raise source.broken("its numbers are not little-endian")
    storages: dict[str, tuple[int, UInt8[Tensor, " byte"]]] = {}

    def persistent(key: object) -> object:
        if isinstance(key, tuple) and len(key) == 4 and key[0] == "module":
            return key[1]  # a class with its source code, which is left alone
        dtype, name, count, view = _stored(source, key)
        if name not in storages:
            source.need(count * dtype.itemsize, "bytes of a storage")
            source.spend(_COST + count * dtype.itemsize)  # what is spent bounds them all
            storages[name] = count, torch.empty(count * dtype.itemsize, dtype=torch.uint8)
        whole = storages[name][1].view(dtype)
        return whole if view is None else _part(source, whole, view)

    value = run(_machine(source, persistent, nested=nested))
    keys = run(_machine(source, nested=True))
    names = [key for key in keys if isinstance(key, str)] if isinstance(keys, list) else []
    if len(names) != len(storages) or set(names) != set(storages):
        raise source.broken("it stores other tensors than it refers to")
    for key in names:
        count, raw = storages[key]
        if int.from_bytes(source.take(8), "little") != count:
            raise source.broken(f"a storage of another size than {count} before byte {source.at}")
        source.fill(raw)
    return value


def _part(source: Source, whole: Shaped[Tensor, " element"], view: object) -> Shaped[Tensor, " part"]:
    """The part of a storage that torch 0.1 knew as a storage of its own."""
    if not isinstance(view, tuple) or len(view) != 3 or not all(isinstance(n, int) for n in view[1:]):
        raise source.broken("a view of a storage without a place")
    start, count = view[1:]
    if start < 0 or count < 0 or start + count > len(whole):
        raise source.broken(f"a view of {count} elements from {start} of a storage of {len(whole)}")
    return whole[start : start + count]
