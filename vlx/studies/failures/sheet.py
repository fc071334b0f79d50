"""A figure of the mistakes that a model is most confident of, in the arrangement of the paper's Fig. 6."""

from collections.abc import Sequence

from PIL import Image

from vlx.errors import ImageError, quietly
from vlx.images.files import open_image, png_of
from vlx.show.evidence import signed
from vlx.show.figures import percent
from vlx.studies.failures.browser import most_confident
from vlx.studies.failures.drawn import fitted, picture_of
from vlx.studies.failures.numbers import Case
from vlx.studies.failures.seen import reduced

ROWS = 4
_WIDE, _HIGH = 2.1, 2.45  # inches of a panel


def sheet(cases: Sequence[Case], shrink: int) -> bytes | None:
    """The photo, what was said, the truth and the contrast of a few mistakes; None where there are none."""
    told = [one for one in cases if one.facts["scores"].get("truth")]
    chosen = most_confident(told, ROWS)
    if not chosen:
        return None
    with quietly():
        return _drawn(chosen, shrink)


def _drawn(chosen: Sequence[Case], shrink: int) -> bytes:
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    drawing = Figure((4 * _WIDE, len(chosen) * _HIGH), dpi=90, facecolor="white")
    canvas = FigureCanvasAgg(drawing)
    for row, case in enumerate(chosen):
        try:
            photo = fitted(reduced(open_image(case.image), shrink), 260)
        except ImageError:
            photo = Image.new("RGB", (200, 200), "grey")
        view = case.facts["views"][0]
        pictures = [photo, *(picture_of(photo, view, at) for at in range(3))]
        for col, (picture, title) in enumerate(zip(pictures, _titles(case), strict=True)):
            axes = drawing.add_subplot(len(chosen), 4, 4 * row + col + 1)
            axes.imshow(np.asarray(picture))
            axes.set_axis_off()
            axes.set_title(title.replace("$", r"\$"), fontsize=7.5, loc="left", color="#1a1a1a")
    drawing.tight_layout(pad=0.4)
    canvas.draw()
    return png_of(Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB"))


def _titles(case: Case) -> list[str]:
    facts = case.facts
    text = case.text if len(case.text) <= 40 else f"{case.text[:38]} …"
    return [
        text or "photo",
        f"said: {facts['said']}\n{_told(facts, 'said')}",
        f"truth: {facts['truth']}\n{_told(facts, 'truth')}",
        f"red: why {facts['said']},\nblue: why {facts['truth']}",
    ]


def _told(facts: dict[str, object], part: str) -> str:
    """Probability and evidence, where they are known."""
    score = facts["scores"][part]  # type: ignore[index]
    told = [] if score["probability"] is None else [f"p {percent(score['probability'])}"]
    if score["image"] is not None:
        told.append(f"{signed(score['image'])} {facts['unit']} of image")
    return ", ".join(told)
