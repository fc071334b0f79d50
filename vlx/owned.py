"""Fields of frozen values that are shared with nobody: what can be changed is copied in and out."""

from collections.abc import Callable
from typing import Any, TypeVar

_Value = TypeVar("_Value")


class _Copied:
    """A field that is copied when it is set and whenever it is handed out."""

    def __init__(self, name: str, copy: Callable[[Any], Any]) -> None:
        self._name, self._copy = name, copy

    def __get__(self, value: object, kind: type) -> Any:
        if value is None:
            raise AttributeError(self._name)
        return self._copy(vars(value)[self._name])

    def __set__(self, value: object, given: Any) -> None:
        vars(value)[self._name] = self._copy(given)


def own(**copies: Callable[[Any], Any]) -> Callable[[type[_Value]], type[_Value]]:
    """Let a frozen dataclass share these fields with nobody: arrays, images and dicts can be changed."""

    def owning(kind: type[_Value]) -> type[_Value]:
        for name, copy in copies.items():
            setattr(kind, name, _Copied(name, copy))
        return kind

    return owning
