"""The classes and functions of pickles that make more than a stand-in: plain ones, numpy's, torch's.

None is called itself: each is written again here, checks what the file gives it, and runs nothing.
"""

import math
import re
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from vlx.adapters.files.pickle.machine import check_key
from vlx.adapters.files.pickle.standin import Build, Named, OldText, Standin, made
from vlx.adapters.files.source import Source

_DTYPES = {
    "Double": torch.float64,
    "Float": torch.float32,
    "Half": torch.float16,
    "BFloat16": torch.bfloat16,
    "Long": torch.int64,
    "Int": torch.int32,
    "Short": torch.int16,
    "Char": torch.int8,
    "Byte": torch.uint8,
    "Bool": torch.bool,
    "ComplexFloat": torch.complex64,
    "ComplexDouble": torch.complex128,
}
STORAGES = {
    **{f"torch.{place}{name}Storage": t for place in ("", "cuda.") for name, t in _DTYPES.items()},
    **dict.fromkeys(("torch.storage.UntypedStorage", "torch.UntypedStorage"), torch.uint8),
}
"""The element type of each storage class; untyped storages are bytes."""

_BYTES, _PAIR = 100, 100


def raw_of(source: Source, value: object) -> bytes:
    """The bytes of a value; those of a string are as Python 2, or protocol 2, writes them."""
    if isinstance(value, str | bytes | bytearray):
        source.spend(_BYTES + len(value))
    if isinstance(value, OldText):
        return value.raw
    if isinstance(value, str):
        return value.encode("latin-1")
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    raise TypeError(f"a {type(value).__name__} where bytes should be")


def _members(source: Source, given: object) -> Sequence[object]:
    if not isinstance(given, list | tuple | set | frozenset):
        raise TypeError(f"members in a {type(given).__name__}")
    source.spend(_PAIR * len(given))
    return tuple(given)


def _dict(source: Source, given: object = (), *_more: object) -> object:
    """Of a dict, or of pairs; the factory of a default dict is left out."""
    if not isinstance(given, dict | list | tuple):
        return {}
    items: Iterable[object] = given.items() if isinstance(given, dict) else _members(source, given)
    found: dict[object, object] = {}
    for pair in items:
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise TypeError("a pair that is none")
        source.spend(_PAIR)
        check_key(source, pair[0])
        found[pair[0]] = pair[1]
    return found


def _set(source: Source, given: object = ()) -> object:
    found: set[object] = set()
    for member in _members(source, given):
        check_key(source, member)
        found.add(member)
    return found


def _frozenset(source: Source, given: object = ()) -> object:
    found = _set(source, given)
    return frozenset(found) if isinstance(found, set) else found


def _list(source: Source, given: object = (), *_more: object) -> object:
    return list(_members(source, given))


def _tuple(source: Source, given: object = ()) -> object:
    return tuple(_members(source, given))


def _bytes(source: Source, given: object = b"", encoding: object = "latin-1") -> object:
    if encoding not in ("latin1", "latin-1"):  # how Python 3 writes bytes in protocol 2
        raise TypeError("bytes of an unknown encoding")
    return raw_of(source, given)


def _bytearray(source: Source, *given: object) -> object:
    return bytearray(raw_of(source, _bytes(source, *given)))


def _complex(_source: Source, real: object, imaginary: object) -> object:
    if not isinstance(real, float) or not isinstance(imaginary, float):
        raise TypeError("a complex number of no numbers")
    return complex(real, imaginary)


def _reconstructed(source: Source, what: object, base: object, state: object) -> object:
    """An object of protocol 0 or 1: of a class and the plain value that it extends."""
    if not isinstance(what, Named) or not isinstance(base, Named):
        raise TypeError("an object of no class")
    if base.name == "builtins.object" and state is None:
        return made(source, what, ())
    if isinstance(state, dict):
        return Standin(what.name, items=state)
    return Standin(what.name, values=state) if isinstance(state, list) else Standin(what.name, args=(state,))


def _new(source: Source, what: object, *args: object) -> object:
    return made(source, what, args)


# numpy


def _dtype(_source: Source, code: object, *_more: object) -> object:
    if not isinstance(code, str) or not re.fullmatch(r"[<>=|]?([biufc]\d\d?|[SUV]\d{1,5}|[?O]|O[48])", code):
        raise TypeError(f"an array of kind {code[:40]!a}" if isinstance(code, str) else "an array of no kind")
    return np.dtype(code, copy=True)


def _set_dtype(dtype: np.dtype, state: object) -> None:
    """Give a new dtype its byte order, all that a plain one takes from its state."""
    if not isinstance(state, tuple) or len(state) < 8 or any(part is not None for part in state[2:5]):
        raise TypeError("an array of structures")
    if state[5] not in (-1, dtype.itemsize):
        raise TypeError(f"an array whose items have other than {dtype.itemsize} bytes")
    if state[1] in (">", b">") and dtype.kind in "iufcU":
        size = dtype.itemsize if dtype.kind == "U" else -1
        dtype.__setstate__((3, ">", None, None, None, size, 4 if size >= 0 else -1, 0))  # pyright: ignore[reportAttributeAccessIssue] # numpy's stub lacks it


def _array(_source: Source, *_none: object) -> object:
    return np.empty(0, np.int8)  # its state follows


def _sizes(shape: object) -> tuple[int, ...]:
    if not isinstance(shape, tuple) or len(shape) > 32:
        raise TypeError("an array of no shape")
    sizes = tuple(size for size in shape if isinstance(size, int) and 0 <= size < 1 << 63)
    if len(sizes) != len(shape):
        raise TypeError("an array of no shape")
    return sizes


def _set_array(source: Source, array: np.ndarray, state: object) -> None:
    if not isinstance(state, tuple) or len(state) not in (4, 5):
        raise TypeError("an array without a state")
    shape, dtype, columns_first, data = state[-4:]
    sizes = _sizes(shape)
    if not isinstance(dtype, np.dtype):
        raise TypeError("an array of no kind")
    content = data if isinstance(data, list) else raw_of(source, data)
    fits = len(content) == math.prod(sizes) * (1 if dtype.hasobject else dtype.itemsize)
    if not fits or isinstance(data, list) != dtype.hasobject:
        raise source.broken(f"{len(content)} values or bytes for an array of shape {sizes!r:.80}")
    source.spend(8 * len(content) if dtype.hasobject else 0)
    array.__setstate__((1, sizes, dtype, bool(columns_first), content))  # pyright: ignore[reportArgumentType] # numpy's stub asks for its own bool, numpy itself for Python's


def _from_buffer(source: Source, data: object, dtype: object, shape: object, order: object) -> object:
    raw = bytearray(raw_of(source, data))
    if not isinstance(dtype, np.dtype):
        raise TypeError("an array of no kind")
    flat = np.frombuffer(raw, dtype) if raw else np.empty(0, dtype)
    return flat.reshape(_sizes(shape), order="F" if order == "F" else "C")


def _scalar(source: Source, dtype: object, data: object) -> object:
    raw = raw_of(source, data)
    if not isinstance(dtype, np.dtype) or dtype.hasobject or len(raw) != dtype.itemsize:
        raise TypeError("a number of no kind")
    return np.frombuffer(raw, dtype, 1)[0]


# torch


def _numbers(given: object) -> tuple[int, ...]:
    if not isinstance(given, tuple | list) or len(given) > 64 or not all(isinstance(n, int) for n in given):
        raise TypeError("sizes that are no numbers")
    return tuple(one for one in given if isinstance(one, int))


def _tensor(
    source: Source, storage: object, offset: object, sizes: object, strides: object, *_more: object
) -> object:
    """`torch._utils._rebuild_tensor` and ``_v2``: a view of a storage."""
    if not isinstance(storage, Tensor) or storage.dim() != 1 or not isinstance(offset, int):
        raise TypeError("a tensor without a storage")
    source.spend(6 * _BYTES)
    return source.strided(storage, offset, _numbers(sizes), _numbers(strides))


def _typed_tensor(
    source: Source,
    storage: object,
    offset: object,
    sizes: object,
    strides: object,
    _gradient: object,
    _hooks: object,
    dtype: object,
    *_more: object,
) -> object:
    """`torch._utils._rebuild_tensor_v3`: a view of a storage of bytes."""
    if not isinstance(storage, Tensor) or not isinstance(dtype, torch.dtype):
        raise TypeError("a tensor without a storage")
    return _tensor(source, storage.view(dtype), offset, sizes, strides)


def _first(_source: Source, value: object, *_more: object) -> object:
    return value


def _subclass(source: Source, rebuild: object, _kind: object, args: object, *_more: object) -> object:
    """`torch._tensor._rebuild_from_type_v2`: the plain tensor, without what its class adds."""
    return made(source, rebuild, args)


def set_state(source: Source, value: object, state: object) -> None:
    """Give an object that was made its state: a stand-in, an array, a dtype; others have none of use."""
    if isinstance(value, Standin):
        object.__setattr__(value, "state", state)  # it was known, perhaps referred to, before its state
    elif isinstance(value, np.ndarray):
        _set_array(source, value, state)
    elif isinstance(value, np.dtype):
        _set_dtype(value, state)
    elif not isinstance(value, dict | Tensor | list | set):
        raise source.broken(f"a state for a {type(value).__name__}")


_BUILD: dict[str, Build] = {
    "builtins.dict": _dict,
    "builtins.set": _set,
    "builtins.frozenset": _frozenset,
    "builtins.list": _list,
    "builtins.tuple": _tuple,
    "builtins.bytes": _bytes,
    "builtins.bytearray": _bytearray,
    "builtins.complex": _complex,
    "collections.OrderedDict": _dict,
    "collections.defaultdict": _dict,
    "collections.Counter": _dict,
    "collections.deque": _list,
    "copyreg._reconstructor": _reconstructed,
    "copyreg.__newobj__": _new,
    "_codecs.encode": _bytes,
    "numpy.dtype": _dtype,
    "numpy.core.multiarray._reconstruct": _array,
    "numpy.core.multiarray.scalar": _scalar,
    "numpy.core.numeric._frombuffer": _from_buffer,
    "torch.Size": _tuple,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _typed_tensor,
    "torch._utils._rebuild_parameter": _first,
    "torch._utils._rebuild_parameter_with_state": _first,
    "torch.nn.parameter.Parameter": _first,
    "torch._tensor._rebuild_from_type_v2": _subclass,
}
_VALUES: dict[str, object] = {str(one): one for one in vars(torch).values() if isinstance(one, torch.dtype)}
_RENAMED = (("__builtin__.", "builtins."), ("copy_reg.", "copyreg."), ("numpy._core.", "numpy.core."))


def find(name: str) -> object:
    """The value of a dotted name in a pickle: a dtype, or a class or function by its name."""
    for old, new in _RENAMED:
        if name.startswith(old):
            name = new + name.removeprefix(old)
    return _VALUES[name] if name in _VALUES else Named(name, _BUILD.get(name))
