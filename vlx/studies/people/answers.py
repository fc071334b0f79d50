"""The answers of raters: lines of JSON, from the server or from files that raters downloaded.

One line is one answer: ``{"study": …, "rater": …, "question": …, "answer": …, "n": …, "ms": …}``. A rater
may change an answer; of several to one question that with the highest ``n``, which runs on with every
answer, counts, whatever file it stands in, and of equal ones the last read. What is no such line is left out
and counted by reason.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlx.errors import VlxError
from vlx.studies.people.key import Key

_LONGEST = 2_000  # characters of a line
_MOST = 10**9


@dataclass(frozen=True)
class Line:
    """One answer."""

    rater: str
    question: str
    """Its code."""
    answer: int
    n: int
    ms: int

    def text(self, study: str) -> str:
        """The answer as a line."""
        facts = {"study": study, "rater": self.rater, "question": self.question, "answer": self.answer}
        return json.dumps({**facts, "n": self.n, "ms": self.ms}) + "\n"


@dataclass(frozen=True)
class Answers:
    """What raters answered, and what did not count."""

    of: Mapping[tuple[str, str], Line]
    """The one that counts of each rater and question code."""
    left_out: Mapping[str, int]
    """Lines that do not count, by reason."""


def line_of(key: Key, found: Any) -> Line | str:
    """One answer from JSON, or why it is none.

    >>> from vlx.studies.people.key import Key
    >>> key = Key("trust", "s", {"r": ("a",)}, {"a": ("q", False)}, {}, {}, {}, False)
    >>> line_of(key, {"study": "s", "rater": "r", "question": "a", "answer": -2, "n": 1, "ms": 900})
    Line(rater='r', question='a', answer=-2, n=1, ms=900)
    >>> line_of(key, {"study": "s", "rater": "r", "question": "a", "answer": 3, "n": 1, "ms": 900})
    'no answer to such a question'
    """
    if not isinstance(found, dict):
        return "damaged"
    facts: dict[str, Any] = found
    numbers = [facts.get(name) for name in ("answer", "n", "ms")]
    texts = [facts.get(name) for name in ("study", "rater", "question")]
    whole = all(isinstance(one, int) and not isinstance(one, bool) and abs(one) < _MOST for one in numbers)
    if not whole or not all(isinstance(one, str) for one in texts):
        return "damaged"
    study, rater, question = facts["study"], facts["rater"], facts["question"]
    if study != key.study:
        return "of another study"
    if rater not in key.raters:
        return "of an unknown rater"
    if question not in key.raters[rater]:
        return "to a question that the rater was not asked"
    if facts["answer"] not in key.answers():
        return "no answer to such a question"
    if facts["n"] < 1 or facts["ms"] < 0:
        return "damaged"
    return Line(rater, question, facts["answer"], facts["n"], facts["ms"])


def read_answers(key: Key, folder: Path) -> Answers:
    """The answers in all ``*.jsonl`` files of a folder. Raises VlxError where none counts."""
    found: dict[tuple[str, str], Line] = {}
    left_out: Counter[str] = Counter()
    paths = sorted(folder.glob("*.jsonl"))
    for path in paths:
        try:
            lines = path.read_bytes().split(b"\n")
        except OSError as error:
            raise VlxError(f"{path} cannot be read ({error.strerror})") from None
        for raw in lines:
            if raw.strip():
                _take(key, raw, found, left_out)
    if not found:
        told = ", ".join(f"{count} {why}" for why, count in left_out.items())
        raise VlxError(
            f"{folder} holds no answers to this study in its {len(paths)} files{told and f' ({told})'}"
        )
    return Answers(found, {f"lines {why}": count for why, count in sorted(left_out.items())})


def _take(key: Key, raw: bytes, found: dict[tuple[str, str], Line], left_out: Counter[str]) -> None:
    try:
        line = line_of(key, json.loads(raw)) if len(raw) <= _LONGEST else "damaged"
    except (ValueError, RecursionError):
        line = "damaged"
    if isinstance(line, str):
        left_out[line] += 1
        return
    name = line.rater, line.question
    before = found.get(name)
    if before is not None:
        same = (before.answer, before.n) == (line.answer, line.n)
        left_out["twice" if same else "that a later answer of the rater replaces"] += 1
    if before is None or line.n >= before.n:
        found[name] = line
