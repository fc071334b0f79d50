"""The key of a study: which question each code is, and who is asked which. It stays with the experimenter."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vlx.errors import VlxError
from vlx.images.files import write_whole
from vlx.studies.people.questions import ANSWERS, KINDS, Kind, Question, question_of

FILE = "key.json"


@dataclass(frozen=True)
class About:
    """What a question is, without its pictures; as `Question` has it."""

    image: str
    group: str
    shown: str
    options: tuple[str, str]


def about(question: Question) -> About:
    """What the key tells of a question."""
    return About(question.image, question.group, question.shown, question.options)


@dataclass(frozen=True, eq=False)
class Key:
    """What the pages do not tell."""

    kind: Kind
    study: str
    """A code that stands with every answer."""
    raters: Mapping[str, tuple[str, ...]]
    """The codes of what each rater is asked, in order."""
    codes: Mapping[str, tuple[str, bool]]
    """The question of each code, and whether its sides are swapped."""
    questions: Mapping[str, About]
    facts: Mapping[str, Any]
    """How the study was made."""
    left_out: Mapping[str, int]
    simulated: bool
    """Whether it is answered by simulated raters, of no person."""

    def answers(self) -> tuple[int, ...]:
        """What a page of it can answer."""
        return ANSWERS[self.kind]


def write_key(out: Path, key: Key) -> None:
    """Write the key of a study and the list of its raters' codes."""
    facts = {
        "kind": key.kind,
        "study": key.study,
        "simulated": key.simulated,
        "facts": key.facts,
        "left_out": key.left_out,
        "codes": {code: [name, turned] for code, (name, turned) in key.codes.items()},
        "questions": {name: asdict(one) for name, one in key.questions.items()},
        "raters": {token: list(codes) for token, codes in key.raters.items()},
    }
    text = json.dumps(facts, indent=1, ensure_ascii=False) + "\n"
    path = out / FILE
    if path.is_file() and path.read_text(encoding="utf-8") != text and any((out / "answers").glob("*.jsonl")):
        raise VlxError(f"{out} holds answers to other questions: give --out another folder")
    write_whole(path, text.encode())
    write_whole(out / "raters.txt", "".join(f"{token}\n" for token in key.raters).encode())


def read_key(folder: Path) -> Key:
    """What `write_key` wrote. Raises VlxError where there is no study in the folder, or a damaged one."""
    path = folder / FILE
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        if facts["kind"] not in KINDS:
            raise ValueError(f"kind {facts['kind']!r}")
        return Key(
            facts["kind"], facts["study"],
            {token: tuple(codes) for token, codes in facts["raters"].items()},
            {code: (name, bool(turned)) for code, (name, turned) in facts["codes"].items()},
            {name: _about(one) for name, one in facts["questions"].items()},
            facts["facts"], facts["left_out"], bool(facts["simulated"]),
        )  # fmt: skip
    except FileNotFoundError:
        raise VlxError(f"{folder} holds no study with people: vlx study people make writes one") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise VlxError(f"{path} is damaged ({error}): make the study anew, in another folder") from None


def _about(facts: Mapping[str, Any]) -> About:
    first, second = facts["options"]
    return About(facts["image"], facts["group"], facts["shown"], (first, second))


def read_questions(folder: Path) -> dict[str, Question]:
    """The questions with their pictures, without the checks."""
    found: dict[str, Question] = {}
    try:
        lines = (folder / "questions.jsonl").read_text(encoding="utf-8").splitlines()
        for line in lines:
            for name, row in json.loads(line)["row"].items():
                found[name] = question_of(name, row)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise VlxError(f"{folder} holds no questions that can be read ({error})") from None
    return found
