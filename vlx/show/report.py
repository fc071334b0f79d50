"""One self-contained page that shows many explanations: a photo, its words, and a map for each.

The page needs no network and no server. Each photo is embedded once as JPEG, and each map as the few
numbers of its grid, which the page draws over the photo itself (bilinear, in the frame's box).
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from vlx.errors import VlxError
from vlx.explanation import Explanation
from vlx.images.files import write_whole
from vlx.show.cards import Card, base64_text, report_card
from vlx.show.colours import OPACITY, ramp
from vlx.show.figures import percent
from vlx.show.html import part, policy, rendered

__all__ = ["Card", "report_card", "report_page", "write_report"]


def write_report(
    path: str | Path,
    items: Iterable[Sequence[Explanation]],
    title: str = "What the words look at",
    *,
    names: Sequence[str] = (),
) -> Path:
    """Write one HTML file that shows all items, and return its path.

    An item holds explanations of the same image, text and targets by different methods; they are shown
    side by side. ``names`` are the images' names, one for each item. Items may come from a generator:
    only what the page needs is kept of each. Raises VlxError where there are none or an item's differ.

    >>> import tempfile
    >>> found = vlx.explain_caption(captioner, photo, "a dog")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_report(folder + "/page.html", [[found]]).name
    'page.html'
    """
    cards = [report_card(item, names[i] if i < len(names) else "") for i, item in enumerate(items)]
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, report_page(cards, title).encode("utf-8", "replace"))
    return path


def report_page(cards: Sequence[Card], title: str = "What the words look at") -> str:
    """The page as HTML text. Raises VlxError where there is nothing to show."""
    if not cards:
        raise VlxError("nothing to report: give at least one explanation")
    from markupsafe import Markup

    style, script = part("vlx.show", "report.css"), part("vlx.show", "report.js")
    photos: dict[str, str] = {}
    for card in cards:
        photos.setdefault(card.photo, f"photo-{len(photos) + 1}")
    return rendered(
        "vlx.show",
        "report.html",
        {"percent": percent, "number": _number},
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
    )


def _whole_words(explanation: Explanation) -> list[tuple[str, int | None]]:
    """The words of a caption, each with the target that explains it alone, if there is one."""
    alone = {t.words[0]: i for i, t in reversed(list(enumerate(explanation.targets))) if len(t.words) == 1}
    return [(word, alone.get(position)) for position, word in enumerate(explanation.words)]


def _number(value: float) -> str:
    return f"{value:.3g}".replace("-", "\N{MINUS SIGN}")


def _embedded(cards: Sequence[Card], photos: dict[str, str]) -> str:
    """How much the page carries, for its footer."""
    maps = [one.get("grid") or one["jpeg"] for card in cards for view in card.views for one in view["maps"]]
    return (
        f"{_counted(len(photos), 'photo')} ({_megabytes(sum(map(len, photos)))}) and "
        f"{_counted(len(maps), 'map')} ({_megabytes(sum(map(len, maps)))})"
    )


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{max(1, round(count / 1e3))} kB"
