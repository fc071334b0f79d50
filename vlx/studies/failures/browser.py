"""The browser of mistakes: one self-contained page of every mistake with its maps, to sort and to filter.

Each photo is embedded once, small, and each map as the numbers of its grid, which the page draws; without
scripts, and on paper, small pictures of the first method's maps stand in their place.
"""

import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, features

from vlx.errors import ImageError
from vlx.eval.page.written import write_or_say
from vlx.images.files import open_image
from vlx.show.cards import base64_text, jpeg_text
from vlx.show.colours import OPACITY, ramp
from vlx.show.evidence import signed
from vlx.show.figures import percent
from vlx.show.html import part, policy, rendered
from vlx.studies.failures.decided import KINDS, OBJECT, Kind
from vlx.studies.failures.drawn import fitted, picture_of
from vlx.studies.failures.numbers import Case, confusions
from vlx.studies.failures.seen import reduced
from vlx.studies.kept import Facts

LONGEST = 400
"""Longer side of an embedded photo, in pixels."""
CANVAS = 240
"""Longer side of a drawn map."""
SMALL = 112
"""Longer side of the pictures for where no script runs."""


@dataclass(frozen=True, eq=False)
class Shown:
    """A mistake as the page shows it."""

    number: int
    case: Case
    photo: str
    """The id of its photo."""
    first: bool
    """Whether it is the first with that photo, which carries it."""
    size: tuple[int, int]
    canvas: tuple[int, int]
    views: Sequence[Facts]
    smalls: Sequence[str]
    points: Sequence[Sequence[str]]
    """Of each method and map where its maximum lies, in words."""

    @property
    def facts(self) -> Facts:
        """What was decided."""
        return self.case.facts


def most_confident(cases: Sequence[Case], count: int) -> list[Case]:
    """The mistakes that a model is most confident of, the first first."""
    wrong = [one for one in cases if one.wrong]
    return sorted(wrong, key=confidence, reverse=True)[:count]


def confidence(case: Case) -> float:
    """The probability of what was said; -1 where it is not known."""
    told = case.facts["scores"]["said"]["probability"]
    return -1.0 if told is None else told


def write_browser(
    path: Path,
    title: str,
    question: str,
    answers: Sequence[str],
    cases: Sequence[Case],
    count: int,
    shrink: int = 1,
) -> Path:
    """Write the page with so many mistakes of all at most. Raises VlxError where that cannot be."""
    write_or_say(path, browser_page(title, question, answers, cases, count, shrink))
    return path


def browser_page(
    title: str, question: str, answers: Sequence[str], cases: Sequence[Case], count: int, shrink: int = 1
) -> str:
    """The page as text; an image that is gone meanwhile is grey."""
    from markupsafe import Markup

    chosen = most_confident(cases, count)
    photos: dict[str, str] = {}
    shown = [_shown(number, one, photos, shrink) for number, one in enumerate(chosen, 1)]
    style = part("vlx.show", "report.css") + part("vlx.studies.failures", "mistakes.css")
    script = part("vlx.show", "maps.js") + part("vlx.studies.failures", "mistakes.js")
    wrong = sum(one.wrong for one in cases)
    return rendered(
        "vlx.studies.failures",
        "mistakes.html",
        {"percent": percent, "signed": signed, "number": _number},
        title=title,
        question=question,
        answers=answers,
        shown=shown,
        wrong=wrong,
        of=len(cases),
        kinds=KINDS,
        methods=_methods(shown),
        counts=_counts(chosen),
        confusions=confusions(chosen),
        embedded={name: text for text, name in photos.items()},
        style=Markup(style),
        script=Markup(script),
        policy=policy(style, script),
        ramps={"plain": base64_text(ramp().tobytes()), "signed": base64_text(ramp(signed=True).tobytes())},
        opacity=OPACITY,
    )


def _shown(number: int, case: Case, photos: dict[str, str], shrink: int) -> Shown:
    try:
        photo = fitted(reduced(open_image(case.image), shrink), LONGEST)
    except ImageError:
        photo = Image.new("RGB", (LONGEST, LONGEST), "grey")
    text = jpeg_text(photo, 75)
    first = text not in photos
    views = case.facts["views"]
    small = fitted(photo, SMALL)
    canvas = fitted(photo, CANVAS).size
    smalls = [_embedded(picture_of(small, views[0], at)) for at in range(len(views[0]["maps"]))]
    told = case.facts.get("points", {})
    points = [_spoken(case.kind, told.get(name, {})) for name in case.facts["peaks"]]
    return Shown(
        number, case, photos.setdefault(text, f"photo-{len(photos) + 1}"), first, photo.size, canvas,
        views, smalls, points,
    )  # fmt: skip


def _spoken(kind: Kind, points: Facts) -> list[str]:
    """Where the maxima of the maps of what was said, of the truth, and of the contrast lie."""
    told: list[str] = []
    for name in ("said", "truth", "contrast"):
        found = points.get(name)
        if not isinstance(found, list):
            told.append("")
            continue
        best = max(range(3), key=found.__getitem__)
        told.append(f"highest on {(OBJECT[kind], 'another object', 'no object')[best]}")
    return told


def _embedded(picture: Image.Image) -> str:
    """A small picture as an address that holds it."""
    kind, buffer = ("webp" if features.check("webp") else "png"), io.BytesIO()
    picture.save(buffer, kind, quality=35, method=6)
    return f"data:image/{kind};base64,{base64_text(buffer.getvalue())}"


def _methods(shown: Sequence[Shown]) -> list[str]:
    """The methods that any mistake has maps of, by their titles."""
    return list(dict.fromkeys(view["title"] for one in shown for view in one.views))


def _counts(cases: Sequence[Case]) -> dict[str, list[tuple[str, int]]]:
    """What the filters offer, with how many mistakes each."""
    columns = {
        "kind": [one.kind for one in cases],
        "said": [one.facts["said"] for one in cases],
        "truth": [one.facts["truth"] for one in cases if one.facts["truth"]],
        "model": [one.model for one in cases],
    }
    return {name: sorted(Counter(some).items(), key=lambda pair: pair[0]) for name, some in columns.items()}


def _number(value: float) -> str:
    return f"{value:.3g}".replace("-", "\N{MINUS SIGN}")
