"""One thread at a time.

Explaining changes, for a while, what all threads of a process share: modes, hooks and forwards of models,
and torch's switches. So each block that does it is a turn. A thread that wants one while another has it
waits, for as long as that one's block lasts; within its own turn a thread may begin further ones.
"""

import math
import os
import threading
import time
import warnings
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar

from vlx.errors import VlxError

PATIENCE = 60.0
"""Seconds that a thread waits for its turn without a word; then it warns, and waits on."""

_Given = ParamSpec("_Given")
_Value = TypeVar("_Value")


class _Turns:
    """Whose turn it is: a re-entrant lock that any thread may let go, since blocks can be left in another."""

    def __init__(self) -> None:
        self.begin_anew()

    def begin_anew(self) -> None:
        self._changed = threading.Condition()
        self._holder: threading.Thread | None = None
        self._blocks: set[object] = set()

    @contextmanager
    def turn(self) -> Generator[None, None, None]:
        block = object()
        self._wait(block)
        try:
            yield
        finally:
            with self._changed:
                self._blocks.discard(block)
                if not self._blocks:
                    self._holder = None
                    self._changed.notify_all()

    def _wait(self, block: object) -> None:
        me, patience = threading.current_thread(), time.monotonic() + PATIENCE
        with self._changed:
            while self._holder is not None and self._holder is not me:
                name = self._holder.name
                if not _runs(self._holder):
                    raise VlxError(
                        f"thread {name} ended in a block of vlx, such as vlx.capture, without leaving it: "
                        "leave it first, and each in the thread that entered it"
                    )
                if time.monotonic() > patience:
                    patience = math.inf
                    told = (
                        f"thread {me.name} waits for thread {name} to leave a block of vlx: see vlx.prepared"
                    )
                    warnings.warn(told, RuntimeWarning, stacklevel=3)
                self._changed.wait(min(1.0, PATIENCE))
            self._holder = me
            self._blocks.add(block)


def _runs(thread: threading.Thread) -> bool:
    try:
        return thread.is_alive()
    except RuntimeError:  # of a thread that Python did not start
        return False


_turns = _Turns()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_turns.begin_anew)  # other threads are not forked


def in_turn(
    block: Callable[_Given, AbstractContextManager[_Value]],
) -> Callable[_Given, AbstractContextManager[_Value]]:
    """Let the blocks of a context manager be turns of their threads.

    A block that is left in another thread than it was entered in ends the turn too. Raises VlxError where
    the thread whose turn it is has ended without leaving its block.
    """

    @contextmanager
    @wraps(block)
    def turn(*given: _Given.args, **named: _Given.kwargs) -> Generator[_Value, None, None]:
        with _turns.turn(), block(*given, **named) as value:
            yield value

    return turn
