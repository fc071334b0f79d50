"""The pickle machine, written out: values are made by ourselves, in bounds, and nothing is ever called.

The standard library's unpickler makes room for whatever a memo index says and calls what is found; here
every class and function of a file is a name, and only those of `builders` make more than a stand-in.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from vlx.adapters.files.pickle.standin import OldText, Standin, made
from vlx.adapters.files.source import Source

Find = Callable[[str], object]
Persistent = Callable[[object], object]
SetState = Callable[[Source, object, object], None]

OBJECT = 150
_ITEM, _PAIR, _TUPLE_KEY = 16, 80, 16 << 10
_LONGEST_NAME, _LONGEST_KEY = 300, 64


def check_key(source: Source, key: object) -> None:
    """Refuse a key that takes long to hash or to compare, or of which many can be made to collide.

    Tuples of plain values are keys, though not as many as there may be of others.
    """
    if isinstance(key, tuple):
        source.spend(_TUPLE_KEY)
    parts = key if isinstance(key, tuple) else (key,)
    for part in parts[: _LONGEST_KEY + 1]:
        if isinstance(part, tuple | frozenset | complex | np.complexfloating | np.void):
            raise source.broken(f"a key of kind {type(part).__name__}")
        if isinstance(part, int) and part.bit_length() > 64:
            raise source.broken(f"a number of {part.bit_length()} bits is a key")
    if len(parts) > _LONGEST_KEY:
        raise source.broken(f"a tuple of {len(parts)} parts is a key")


class Machine:
    """Runs the instructions of one pickle on a stack and a memo of its own.

    ``find`` turns a dotted name into a value, ``persistent`` the id of what lies outside the pickle,
    ``set_state`` gives a value that was made its state.
    """

    def __init__(
        self, source: Source, find: Find, set_state: SetState, persistent: Persistent | None = None
    ) -> None:
        self.source = source
        self.find = find
        self.set_state = set_state
        self.persistent = persistent
        self.stack: list[object] = []
        self.marks: list[int] = []
        self.memo: dict[int, object] = {}

    # The stack.

    def push(self, value: object, cost: int = 0) -> None:
        """Put a value on the stack; ``cost`` is what it takes beside its place there."""
        self.source.spend(_ITEM + cost)
        self.stack.append(value)

    def pop(self) -> object:
        """Take the last value, though not from below a mark."""
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise self.source.broken(f"nothing is left to take before byte {self.source.at}")
        return self.stack.pop()

    def top(self) -> object:
        """The last value, left where it is."""
        value = self.pop()
        self.stack.append(value)
        return value

    def mark(self) -> None:
        """Set a mark after the last value."""
        self.source.spend(2 * _ITEM)
        self.marks.append(len(self.stack))

    def pop_marked(self) -> list[object]:
        """What lies above the last mark."""
        if not self.marks:
            raise self.source.broken(f"no mark was set before byte {self.source.at}")
        at = self.marks.pop()
        taken = self.stack[at:]
        del self.stack[at:]
        self.source.spend(_ITEM * len(taken))
        return taken

    # What an instruction carries.

    def unsigned(self, width: int) -> int:
        """A number of so many bytes."""
        return int.from_bytes(self.source.take(width), "little")

    def raw(self, width: int) -> bytes:
        """Bytes after their length, which has so many bytes."""
        count = self.unsigned(width)
        taken = self.source.take(count)
        self.source.spend(count)
        return taken

    def line(self, longest: int | None = None) -> bytes:
        """Bytes up to the end of a line."""
        taken = self.source.line(self.source.remaining if longest is None else longest)
        self.source.spend(len(taken))
        return taken

    def integer(self, value: int) -> None:
        """Push a whole number."""
        self.push(value, 32)

    def named(self, module: object, name: object) -> object:
        """The value of a class or function by its names."""
        if not isinstance(module, str) or not isinstance(name, str):
            raise self.source.broken("it names a class by no text")
        if len(module) + len(name) > _LONGEST_NAME:
            raise self.source.broken(f"it names a class by {len(module) + len(name)} letters")
        self.source.spend(4 * OBJECT)
        return self.find(f"{module}.{name}")

    def old_text(self, raw: bytes) -> str:
        """A string of Python 2, which may be text or bytes."""
        text = self.source.old_text(raw)
        if not raw.isascii() and len(text) != len(raw):
            text = OldText(text)
            text.raw = raw
        return text

    def remember(self, at: int) -> None:
        """Keep the last value in the memo."""
        self.source.spend(_PAIR)
        self.memo[at] = self.top()

    def recall(self, at: int) -> None:
        """Push a value of the memo."""
        if at not in self.memo:
            raise self.source.broken(f"nothing was remembered as {at} before byte {self.source.at}")
        self.push(self.memo[at])

    # Containers.

    def put(self, given: list[object]) -> None:
        """Put keys and values, one after the other, into the dict below."""
        into = self.top()
        items = into.items if isinstance(into, Standin) else into
        if not isinstance(items, dict) or len(given) % 2:
            raise self.source.broken(f"{len(given)} keys and values for a {type(into).__name__}")
        self.source.spend(_PAIR * len(given) // 2)
        for key, value in zip(given[::2], given[1::2], strict=True):
            check_key(self.source, key)
            items[key] = value

    def extend(self, given: list[object]) -> None:
        """Put values into the list below."""
        into = self.top()
        values = into.values if isinstance(into, Standin) else into
        if not isinstance(values, list):
            raise self.source.broken(f"values for a {type(into).__name__}")
        self.source.spend(_ITEM * len(given))
        values.extend(given)

    def add(self, given: list[object]) -> None:
        """Put members into the set below."""
        into = self.top()
        if isinstance(into, Standin):
            return self.extend(given)
        if not isinstance(into, set):
            raise self.source.broken(f"members for a {type(into).__name__}")
        return self.gather(into, given)

    def gather(self, into: set[Any], given: list[object]) -> None:
        """Put members into a set, each checked as a key."""
        self.source.spend(_PAIR * len(given))
        for member in given:
            check_key(self.source, member)
            into.add(member)

    def frozen(self) -> None:
        """Push a frozen set of what lies above the mark."""
        members: set[object] = set()
        self.gather(members, self.pop_marked())
        self.push(frozenset(members), OBJECT + _PAIR * len(members))

    def tuple_of(self, members: list[object]) -> None:
        """Push a tuple."""
        self.push(tuple(members), OBJECT // 2 + 8 * len(members))

    def last(self, count: int) -> list[object]:
        """Take so many values, the last one last."""
        return [self.pop() for _ in range(count)][::-1]

    def dict_of(self, given: list[object]) -> None:
        """Push a dict of keys and values, one after the other."""
        self.push({}, OBJECT)
        self.put(given)

    # Objects.

    def call(self, what: object, args: object) -> None:
        """Push what a class makes of arguments."""
        self.push(made(self.source, what, args))

    def reduce(self) -> None:
        """Call the class below its arguments."""
        what, args = self.last(2)
        self.call(what, args)

    def new_with_names(self) -> None:
        """Call the class below its arguments and named arguments."""
        what, args, names = self.last(3)
        if not isinstance(args, tuple) or not isinstance(names, dict):
            raise self.source.broken("it makes an object without arguments")
        self.source.spend(_ITEM * len(args))
        self.call(what, (*args, names) if names else args)

    def built(self) -> None:
        """Give the object below its state."""
        state = self.pop()
        self.set_state(self.source, self.top(), state)

    def outside(self, key: object) -> None:
        """Push what lies outside the pickle under an id."""
        if self.persistent is None:
            raise self.source.broken("it refers to what lies outside the pickle")
        self.push(self.persistent(key))

    def forget(self) -> None:
        """Drop the last value, or the mark there."""
        if self.marks and len(self.stack) == self.marks[-1]:
            self.marks.pop()
        else:
            self.pop()
