"""Checkpoints of TensorFlow (V2: ``PREFIX.index`` and ``PREFIX.data-?????-of-?????``) without TensorFlow."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from vlx.adapters.files.proto.wire import Field, fields, signed
from vlx.adapters.files.source import Format, Source, format_of, reading
from vlx.adapters.files.tensorflow.crc32c import masked_crc32c
from vlx.adapters.files.tensorflow.table import entries
from vlx.errors import CheckpointError

_DTYPES = {
    1: torch.float32,
    2: torch.float64,
    3: torch.int32,
    4: torch.uint8,
    5: torch.int16,
    6: torch.int8,
    8: torch.complex64,
    9: torch.int64,
    10: torch.bool,
    14: torch.bfloat16,
    17: torch.uint16,
    18: torch.complex128,
    19: torch.float16,
    22: torch.uint32,
    23: torch.uint64,
}
_STRING, _DIMENSIONS = 7, 32


def read_checkpoint(prefix: str | Path) -> dict[str, Tensor]:
    """The variables of a checkpoint by name; those that hold text are left out.

    ``prefix`` is what TensorFlow calls the checkpoint, as ``model.ckpt-1000000``; the path of its index
    or of a data file does as well. Raises CheckpointError for files that are missing, truncated, damaged
    (by their checksums) or hostile, for checkpoints of TensorFlow before V2, and for variables that were
    saved in slices.
    """
    name = re.sub(r"\.(index|meta|data-\d{5}-of-\d{5})$", "", str(prefix))
    index = Path(f"{name}.index")
    if not index.is_file():
        raise CheckpointError(_missing(Path(name), index))
    with reading(index, "index of a TensorFlow checkpoint", Format.TABLE) as source:
        shards, variables = _listed(source)
    found: dict[str, Tensor] = {}
    for shard in sorted({variable.shard for variable in variables}):
        file = f"{name}.data-{shard:05d}-of-{shards:05d}"
        with reading(file, "data file of a TensorFlow checkpoint", *Format) as source:
            for variable in variables:
                if variable.shard == shard:
                    found[variable.name] = _read(source, variable)
    return {variable.name: found[variable.name] for variable in variables}


def _missing(named: Path, index: Path) -> str:
    if named.is_file() and format_of(named) is Format.TABLE:
        return f"{named} is a TensorFlow checkpoint of before V2: save it again with a later TensorFlow"
    near = sorted(index.parent.glob("*.index")) if index.parent.is_dir() else []
    inside = sorted(named.glob("*.index")) if named.is_dir() else []
    hint = f"; give {str((inside or near)[0])[: -len('.index')]}" if inside or near else ""
    return f"no TensorFlow checkpoint {named}: there is no {index.name}{hint}"


@dataclass(frozen=True)
class _Variable:
    """What the index says of a variable."""

    name: str
    dtype: torch.dtype
    sizes: tuple[int, ...]
    shard: int
    start: int
    length: int
    check: int


def _listed(source: Source) -> tuple[int, list[_Variable]]:
    """The number of data files, and the variables in them."""
    held = entries(source)
    key, header = next(held, (None, b""))
    if key != b"":
        raise source.broken("it has no header")
    about = {field.number: field.value for field in _fields(source, header) if not field.is_bytes}
    if about.get(2):
        raise source.broken("its numbers are not little-endian")
    shards, found = about.get(1, 0), list[_Variable]()
    for key, value in held:
        variable = _variable(source, source.text(key), value)
        if variable is None:
            continue
        if not 0 <= variable.shard < shards:
            raise source.broken(f"{variable.name[:80]!a} is in data file {variable.shard} of {shards}")
        found.append(variable)
    if not found:
        raise source.broken("it lists no variables")
    return shards, found


def _fields(source: Source, message: bytes) -> Iterator[Field]:
    inside = source.inside(message)
    return fields(inside, inside.size)


def _variable(source: Source, name: str, message: bytes) -> _Variable | None:
    """An entry of the index; None for text."""
    entry, numbers, sizes = source.inside(message), dict[int, int](), list[int]()
    for field in fields(entry, entry.size):
        if field.number == 7:
            raise source.broken(f"{name[:80]!a} was saved in slices, which are not read: save it whole")
        if field.number == 2 and field.is_bytes:
            sizes = _sizes(entry, field)
        elif not field.is_bytes:
            numbers[field.number] = signed(field.value)
    kind = numbers.get(1, 0)
    if kind == _STRING:
        return None
    if kind not in _DTYPES:
        raise source.broken(f"{name[:80]!a} is of an unknown type {kind}")
    dtype, length = _DTYPES[kind], numbers.get(5, 0)
    if len(sizes) > _DIMENSIONS or min(sizes, default=0) < 0:
        raise source.broken(f"{name[:80]!a} has the sizes {sizes!r:.80}")
    if math.prod(sizes) * dtype.itemsize != length:
        raise source.broken(f"{name[:80]!a} has the sizes {sizes!r:.80} and {length} bytes")
    return _Variable(
        name, dtype, tuple(sizes), numbers.get(3, 0), numbers.get(4, 0), length, numbers.get(6, 0)
    )


def _sizes(source: Source, shape: Field) -> list[int]:
    sizes: list[int] = []
    source.seek(shape.start)
    for dimension in fields(source, shape.stop):
        if dimension.number == 3:
            raise source.broken("a variable without a shape")
        if dimension.number == 2 and dimension.is_bytes:
            source.seek(dimension.start)
            held = {field.number: field.value for field in fields(source, dimension.stop)}
            sizes.append(signed(held.get(1, 0)))
    return sizes


def _read(source: Source, variable: _Variable) -> Tensor:
    source.seek(variable.start)
    raw = source.tensor(variable.length, torch.uint8)
    if masked_crc32c(raw.numpy()) != variable.check:
        raise source.broken(f"{variable.name[:80]!a} does not have the checksum it should")
    return raw.view(variable.dtype).reshape(variable.sizes)
