"""One self-contained page that shows many explanations: a photo, its words, and a map for each.

The page needs no network and no server. Each photo is embedded once as JPEG, and each map as the few
numbers of its grid, which the page draws over the photo itself (bilinear, in the frame's box). Small
pictures of all maps stand on a printed page, and on the screen where no script runs.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from vlx.errors import VlxError
from vlx.explanation import Explanation
from vlx.images.files import write_whole
from vlx.show.cards import Card, base64_text, report_card
from vlx.show.colours import OPACITY, ramp
from vlx.show.evidence import KindOfWord, bars, by_kind, has_evidence, signed, spoken, unit, without_image
from vlx.show.figures import percent
from vlx.show.html import part, policy, rendered
from vlx.word_classes import Tagger

__all__ = ["Card", "report_card", "report_page", "write_report"]


def write_report(
    path: str | Path,
    items: Iterable[Sequence[Explanation]],
    title: str = "What the words look at",
    *,
    names: Sequence[str] = (),
    tagger: Tagger | None = None,
) -> Path:
    """Write one HTML file that shows all items, and return its path.

    An item holds explanations of the same image, text and targets by different methods; they are shown
    side by side. ``names`` are the images' names, one for each item. Items may come from a generator:
    only what the page needs is kept of each. Where `Explained.from_image` is known, a table says what the
    image gives words of each kind; ``tagger``, such as `nltk.pos_tag`, then tells kinds better than lists of
    words do. Raises VlxError where there are no items or explanations of one item differ.

    >>> import tempfile
    >>> found = vlx.explain_caption(captioner, photo, "a dog")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_report(folder + "/page.html", [[found]]).name
    'page.html'
    """
    cards = [report_card(item, names[i] if i < len(names) else "") for i, item in enumerate(items)]
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, report_page(cards, title, tagger).encode("utf-8", "replace"))
    return path


def report_page(
    cards: Sequence[Card], title: str = "What the words look at", tagger: Tagger | None = None
) -> str:
    """The page as HTML text; ``tagger`` as of `write_report`. Raises VlxError where there are no cards."""
    if not cards:
        raise VlxError("nothing to report: give at least one explanation")
    from markupsafe import Markup

    style = part("vlx.show", "report.css")
    script = part("vlx.show", "maps.js") + part("vlx.show", "report.js")
    photos: dict[str, str] = {}
    for card in cards:
        photos.setdefault(card.photo, f"photo-{len(photos) + 1}")
    return rendered(
        "vlx.show",
        "report.html",
        {"percent": percent, "number": _number, "signed": signed},
        title=title,
        cards=cards,
        photos=photos,
        embedded=_embedded(cards, photos),
        style=Markup(style),
        script=Markup(script),
        policy=policy(style, script),
        ramps={"plain": base64_text(ramp().tobytes()), "signed": base64_text(ramp(signed=True).tobytes())},
        opacity=OPACITY,
        whole=_whole_words,
        bars=bars,
        spoken=spoken,
        known=has_evidence,
        unit=unit,
        without=without_image,
        kinds=_kinds(cards, tagger),
    )


def _kinds(cards: Sequence[Card], tagger: Tagger | None) -> list[tuple[str, list[KindOfWord]]]:
    """The table by kinds of words, one for each model and layer."""
    made: dict[str, list[Explanation]] = {}
    for card in cards:
        if card.first.words:
            told = card.first.provenance
            made.setdefault(f"{told.model}, {told.layer}", []).append(card.first)
    tables = [(name, by_kind(explanations, tagger)) for name, explanations in made.items()]
    return [(name, rows) for name, rows in tables if rows]


def _whole_words(explanation: Explanation) -> list[tuple[str, int | None]]:
    """The words of a caption, each with the target that explains it alone, if there is one."""
    alone = {t.words[0]: i for i, t in reversed(list(enumerate(explanation.targets))) if len(t.words) == 1}
    return [(word, alone.get(position)) for position, word in enumerate(explanation.words)]


def _number(value: float) -> str:
    return f"{value:.3g}".replace("-", "\N{MINUS SIGN}")


def _embedded(cards: Sequence[Card], photos: dict[str, str]) -> str:
    """How much the page carries, for its footer."""
    maps = [one.get("grid") or one["jpeg"] for card in cards for view in card.views for one in view["maps"]]
    small = [row["small"] for card in cards for table in card.tables for row in table["rows"]]
    return (
        f"{_counted(len(photos), 'photo')} ({_megabytes(sum(map(len, photos)))}), "
        f"{_counted(len(maps), 'map')} ({_megabytes(sum(map(len, maps)))}) "
        f"and small pictures of them ({_megabytes(sum(map(len, small)))})"
    )


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{max(1, round(count / 1e3))} kB"
