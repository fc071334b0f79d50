"""A page for each rater: everything in one file, and nothing in it of methods, models or what is right."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from vlx.errors import VlxError
from vlx.images.files import write_whole
from vlx.show.cards import base64_text
from vlx.show.html import part, policy, rendered
from vlx.studies.people.key import Key
from vlx.studies.people.make import Made
from vlx.studies.people.questions import Kind, Question, arranged

PACKAGE = "vlx.studies.people"
SCALE = (
    "Robot A is clearly more reliable",
    "Robot A is slightly more reliable",
    "Both are equally reliable",
    "Robot B is slightly more reliable",
    "Robot B is clearly more reliable",
)
_TITLES: Mapping[Kind, str] = {
    "discrimination": "What does the picture show?",
    "trust": "Which robot do you trust?",
}
_LINES: Mapping[Kind, tuple[str, ...]] = {
    "discrimination": (
        "You will see pictures, one after another, and two names of objects below each. Some "
        "pictures are grey and blurred, some have strange colours. Each was made so as to show one "
        "of the two objects.",
        "Choose the one that you think it shows. If you see both, choose the one that stands out "
        "more; if you see neither, guess.",
    ),
    "trust": (
        "Two robots looked at the same photos, and both said correctly what is there. Two pictures show what "
        "each of them went by. You do not see the photo itself.",
        "Say which robot seems more reliable to you, and how clearly. Which of them is called A and which B "
        "changes from one question to the next.",
    ),
}
_RIGHTS = (
    "Taking part is voluntary. You can stop at any time by closing this page.",
    "What is kept: your answers, how long each took, and the code of this page. Nothing else about "
    "you is asked or kept.",
    "You can come back later with the same browser and go on where you were.",
    "A few questions have a plain answer; they tell whether the pictures are seen well.",
)
_KEYS: Mapping[Kind, str] = {
    "discrimination": "Keys: 1 and 2, or arrows and Enter; Backspace goes back.",
    "trust": "Keys: 1 to 5, or arrows and Enter; Backspace goes back.",
}


def write_pages(
    made: Made,
    raters: Iterable[str] | None = None,
    lines: Sequence[str] = (),
    told: Callable[[str], None] = lambda _line: None,
) -> list[Path]:
    """Write ``pages/CODE.html`` for each rater, or for some; ``lines`` stand above all on the first page."""
    found: list[Path] = []
    (made.folder / "pages").mkdir(exist_ok=True)
    chosen = list(made.key.raters if raters is None else raters)
    for at, token in enumerate(chosen, 1):
        path = made.folder / "pages" / f"{token}.html"
        write_whole(path, rater_page(made.key, made.questions, token, lines).encode())
        found.append(path)
        if at % 10 == 0 or at == len(chosen):
            told(f"pages: {at} of {len(chosen)}")
    return found


def rater_page(key: Key, questions: Mapping[str, Question], rater: str, lines: Sequence[str] = ()) -> str:
    """The page of one rater. Raises VlxError for one that the study does not have."""
    from markupsafe import Markup

    if rater not in key.raters:
        raise VlxError(f"no rater {rater!r} in this study: their codes stand in raters.txt")
    asked = [_asked(key, questions, code) for code in key.raters[rater]]
    data = {
        "study": key.study,
        "rater": rater,
        "values": key.answers(),
        "scale": SCALE if key.kind == "trust" else [],
        "questions": asked,
    }
    style, script = part(PACKAGE, "rater.css"), part(PACKAGE, "rater.js")
    text = json.dumps(data, ensure_ascii=False).replace("<", "\\u003c")
    return rendered(
        PACKAGE,
        "rater.html",
        {},
        title=_TITLES[key.kind],
        lines=[*lines, f"There are {len(asked)} questions.", *_LINES[key.kind]],
        rights=_RIGHTS,
        keys=_KEYS[key.kind],
        data=Markup(text),
        style=Markup(style),
        script=Markup(script),
        policy=f"{policy(style, script)}; connect-src 'self'",
    )


def _asked(key: Key, questions: Mapping[str, Question], code: str) -> dict[str, object]:
    name, turned = key.codes[code]
    options, pictures, _ = arranged(key.kind, questions[name], turned)
    inside = [f"data:image/jpeg;base64,{base64_text(one)}" for one in pictures]
    return {"code": code, "options": list(options), "pictures": inside}
