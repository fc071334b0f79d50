"""What stands for the classes and objects of a pickle, none of which is ever imported or called."""

from collections.abc import Callable
from dataclasses import dataclass, field

from vlx.adapters.files.source import Source

Build = Callable[..., object]
"""Makes a value of a known class: (source, the file's arguments ...) -> value; checks what it is given."""


@dataclass(frozen=True, eq=False, slots=True)
class Standin:
    """An object of a class that is not known: what the file says of it. Nothing was run to make it.

    ``state`` is its ``__dict__`` as a rule, ``args`` what it was called with, ``items`` and ``values``
    what was put into a dict's or a list's child.
    """

    class_name: str
    # Objects may refer to each other many times over: to show them whole would never end.
    state: object = field(default=None, repr=False)
    args: tuple[object, ...] = field(default=(), repr=False)
    items: dict[object, object] = field(default_factory=dict[object, object], repr=False)
    values: list[object] = field(default_factory=list[object], repr=False)


@dataclass(frozen=True, eq=False, slots=True)
class Named:
    """A class or function that a file names, as ``os.system``; with ``build`` a known one."""

    name: str
    build: Build | None = field(default=None, repr=False)


class OldText(str):
    """A string of Python 2 that is UTF-8 beyond ASCII; arrays need its bytes."""

    raw: bytes


def made(source: Source, what: object, args: object) -> object:
    """What a class of the file makes of its arguments: a value of ours, or a stand-in."""
    if not isinstance(what, Named | Standin) or not isinstance(args, tuple):
        raise source.broken(f"it calls a {type(what).__name__} with a {type(args).__name__}")
    source.spend(600 + 8 * len(args))
    if isinstance(what, Standin):
        return Standin(what.class_name, None, args)
    return what.build(source, *args) if what.build else Standin(what.name, None, args)
