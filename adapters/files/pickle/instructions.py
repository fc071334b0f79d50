"""The instructions of pickles of protocols 0 to 5, as Python's pickletools documents them."""

import re
import struct
from collections.abc import Callable

from vlx.adapters.files.pickle.machine import OBJECT, Machine

_NAME, _DIGITS, _MOST = 300, 4400, 10_000_000


def run(machine: Machine) -> object:
    """Run a pickle to its end; the value that it ends with."""
    take = machine.source.take
    for _ in range(_MOST):
        code = take(1)
        if code == b".":
            return machine.pop()
        step = _STEPS.get(code)
        if step is None:
            raise machine.source.broken(f"unknown instruction {code!r} before byte {machine.source.at}")
        step(machine)
    raise machine.source.broken(f"over {_MOST} instructions")


def _whole(line: bytes) -> int | bool:
    """The number of a line; Python 2 writes True as 01."""
    return line == b"01" if line in (b"00", b"01") else int(line)


_ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{2}|[\\'\"nrt])")
_PLAIN = {b"n": b"\n", b"r": b"\r", b"t": b"\t"}


def _unquoted(line: bytes) -> bytes:
    """The bytes that Python 2 wrote as the source text of a string."""
    if len(line) < 2 or line[:1] not in b"'\"" or line[-1:] != line[:1]:
        raise ValueError("a string without quotes")

    def plain(found: re.Match[bytes]) -> bytes:
        code = found[1]
        return bytes([int(code[1:], 16)]) if code[:1] == b"x" else _PLAIN.get(code, code)

    return _ESCAPE.sub(plain, line[1:-1])


def _signed(raw: bytes) -> int:
    return int.from_bytes(raw, "little", signed=True)


def _escaped(m: Machine) -> str:
    line = m.line()
    m.source.spend(64 + 4 * len(line))
    return line.decode("raw-unicode-escape")


def _found(m: Machine) -> object:
    names = [m.line(_NAME).decode() for _ in range(2)]
    return m.named(*names)


def _object_of(m: Machine) -> None:
    given = m.pop_marked()
    if not given:
        raise m.source.broken("it makes an object of no class")
    m.call(given[0], tuple(given[1:]))


_STEPS: dict[bytes, Callable[[Machine], object]] = {
    b"(": Machine.mark,
    b"0": Machine.forget,
    b"1": Machine.pop_marked,
    b"2": lambda m: m.push(m.top()),
    b"N": lambda m: m.push(None),
    b"\x88": lambda m: m.push(True),
    b"\x89": lambda m: m.push(False),
    # numbers
    b"I": lambda m: m.integer(_whole(m.line(_DIGITS))),
    b"L": lambda m: m.integer(int(m.line(_DIGITS).removesuffix(b"L"))),
    b"F": lambda m: m.push(float(m.line(_DIGITS)), 24),
    b"J": lambda m: m.integer(_signed(m.source.take(4))),
    b"K": lambda m: m.integer(m.unsigned(1)),
    b"M": lambda m: m.integer(m.unsigned(2)),
    b"\x8a": lambda m: m.integer(_signed(m.raw(1))),
    b"\x8b": lambda m: m.integer(_signed(m.raw(4))),
    b"G": lambda m: m.push(struct.unpack(">d", m.source.take(8))[0], 24),
    # text and bytes
    b"S": lambda m: m.push(m.old_text(_unquoted(m.line()))),
    b"T": lambda m: m.push(m.old_text(m.raw(4))),
    b"U": lambda m: m.push(m.old_text(m.raw(1))),
    b"V": lambda m: m.push(_escaped(m)),
    b"X": lambda m: m.push(m.source.text(m.raw(4))),
    b"\x8c": lambda m: m.push(m.source.text(m.raw(1))),
    b"\x8d": lambda m: m.push(m.source.text(m.raw(8))),
    b"B": lambda m: m.push(m.raw(4), 40),
    b"C": lambda m: m.push(m.raw(1), 40),
    b"\x8e": lambda m: m.push(m.raw(8), 40),
    b"\x96": lambda m: m.push(bytearray(m.raw(8)), 100),
    # containers
    b")": lambda m: m.push(()),
    b"]": lambda m: m.push([], OBJECT),
    b"}": lambda m: m.push({}, OBJECT),
    b"\x8f": lambda m: m.push(set(), 2 * OBJECT),
    b"t": lambda m: m.tuple_of(m.pop_marked()),
    b"\x85": lambda m: m.tuple_of(m.last(1)),
    b"\x86": lambda m: m.tuple_of(m.last(2)),
    b"\x87": lambda m: m.tuple_of(m.last(3)),
    b"l": lambda m: m.push(m.pop_marked(), OBJECT),
    b"d": lambda m: m.dict_of(m.pop_marked()),
    b"\x91": Machine.frozen,
    b"a": lambda m: m.extend(m.last(1)),
    b"e": lambda m: m.extend(m.pop_marked()),
    b"s": lambda m: m.put(m.last(2)),
    b"u": lambda m: m.put(m.pop_marked()),
    b"\x90": lambda m: m.add(m.pop_marked()),
    # the memo
    b"p": lambda m: m.remember(int(m.line(20))),
    b"q": lambda m: m.remember(m.unsigned(1)),
    b"r": lambda m: m.remember(m.unsigned(4)),
    b"\x94": lambda m: m.remember(len(m.memo)),
    b"g": lambda m: m.recall(int(m.line(20))),
    b"h": lambda m: m.recall(m.unsigned(1)),
    b"j": lambda m: m.recall(m.unsigned(4)),
    # classes and objects
    b"c": lambda m: m.push(_found(m)),
    b"\x93": lambda m: m.push(m.named(*m.last(2))),
    b"R": Machine.reduce,
    b"\x81": Machine.reduce,
    b"\x92": Machine.new_with_names,
    b"i": lambda m: m.call(_found(m), tuple(m.pop_marked())),
    b"o": _object_of,
    b"b": Machine.built,
    b"P": lambda m: m.outside(m.line().decode()),
    b"Q": lambda m: m.outside(m.pop()),
    # how it was written
    b"\x80": lambda m: m.unsigned(1),
    b"\x95": lambda m: m.source.need(m.unsigned(8)),
}
"""What each instruction does. Extension codes and buffers outside the pickle are not among them."""
