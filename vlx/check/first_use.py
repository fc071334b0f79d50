"""The checks that run by themselves, once for a model and layer.

What the run told of the places costs nothing and is part of every explanation, unless `SWITCH` is 0. Where it
is 1, a captioner is also read once more with a changed word, a model that answers with another question.
"""

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any
from weakref import WeakKeyDictionary

import torch

from vlx.check.inputs import check_question
from vlx.check.outcome import Check, spared
from vlx.check.places import followed
from vlx.check.words import CHANGED_WORD, check_changed_word
from vlx.errors import VlxError
from vlx.passes.capture import model_of
from vlx.passes.forward import Pass

SWITCH = "VLX_CHECK"
"""The environment variable that says which checks are made on first use: 0 none, 1 also those that cost one
more forward; by default those that cost none."""

_made: WeakKeyDictionary[Any, dict[tuple[str, str], Mapping[str, str]]] = WeakKeyDictionary()
_told: WeakKeyDictionary[Any, set[str]] = WeakKeyDictionary()


def checks_of(passed: Pass) -> Mapping[str, str]:
    """What is known of the adapter that made a Pass, for provenance; a fault of places warns once.

    That is what the run told of its places, and what was found on first use.
    """
    if os.environ.get(SWITCH) == "0":
        return {}
    check = followed(passed)
    owner = model_of(passed.features)
    if check.outcome == "fail" and (owner is None or passed.layer not in _told.setdefault(owner, set())):
        _warn(passed, check)
        if owner is not None:
            _told[owner].add(passed.layer)
    made = {} if owner is None else _made.get(owner, {})
    known = [found for (_, layer), found in made.items() if layer == passed.layer]
    return {check.name: check.line, **{name: line for found in known for name, line in found.items()}}


def words_on_first_use(passed: Pass, say: Callable[[str], Pass]) -> None:
    """See what a changed word in the first caption of a Pass shows of its model."""
    _on_first_use(passed, "captions", CHANGED_WORD, lambda: check_changed_word(passed, say))


def question_on_first_use(passed: Pass, ask: Callable[[str], Pass]) -> None:
    """See what another question shows of the model of a Pass."""
    _on_first_use(passed, "answers", ("question",), lambda: [check_question(passed, ask)])


def _on_first_use(
    passed: Pass, door: str, names: Sequence[str], checks: Callable[[], Sequence[Check]]
) -> None:
    """Make some checks of a model at a layer through one door, once, and keep what they found.

    ``names`` are those of the checks. One that fails warns in a line; one that cannot be made, as where
    memory is short, is not applicable: the explanation stands anyhow.
    """
    owner = model_of(passed.features)
    if os.environ.get(SWITCH) != "1" or owner is None:
        return
    made = _made.setdefault(owner, {})
    if (door, passed.layer) not in made:
        try:
            with nothing_kept():
                found = checks()
        except (VlxError, RuntimeError, ValueError, LookupError) as error:
            reason = str(error).strip().split("\n")[0] or type(error).__name__
            found = [spared(name, reason) for name in names]
        for check in found:
            if check.outcome == "fail":
                _warn(passed, check)
        made[door, passed.layer] = {check.name: check.line for check in found}


def nothing_kept() -> AbstractContextManager[Any]:
    """Let runs in the block keep nothing for a backward, which then they cannot have."""
    return torch.autograd.graph.saved_tensors_hooks(_dropped, _dropped)


def _dropped(_kept: Any) -> Any:
    return None


def _warn(passed: Pass, check: Check) -> None:
    warnings.warn(
        f"{passed.model} at layer {passed.layer} fails the check {check.name!r}: {check.told}",
        UserWarning,
        stacklevel=2,
    )
