"""The page of a reproduction: what the paper says, what was measured, and its pictures."""

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from vlx.eval.page.written import write_or_say
from vlx.show.cards import base64_text
from vlx.show.html import part, policy, rendered
from vlx.studies.found import cells, markdown
from vlx.studies.reproduce.run import DONE, Outcome

TITLE = "The tables and figures of Grad-CAM, measured"


def write_reproduction(out: Path, outcomes: Sequence[Outcome]) -> Path:
    """Write ``report.html`` and ``summary.md`` of all tables and figures; return the page.

    Raises VlxError where that cannot be.
    """
    page = out / "report.html"
    write_or_say(page, _page(outcomes))
    made = [markdown(one.found) for one in outcomes if one.found is not None]
    others = [f"- {one.entry.of.title}: {one.state}{one.why and f': {one.why}'}" for one in outcomes]
    lines = [line for line, one in zip(others, outcomes, strict=True) if one.state != DONE]
    write_or_say(out / "summary.md", "\n".join([*made, *lines, ""]))
    return page


def listed(outcomes: Sequence[Outcome], lacking: Sequence[str]) -> str:
    """One line for each table and figure: its name, its state, what it is, and what it lacks."""
    wide = max(len(one.entry.name) for one in outcomes)
    lines: list[str] = []
    for one, lacks in zip(outcomes, lacking, strict=True):
        state = one.state if one.state == DONE else ("needs files" if lacks else "ready")
        older = f" (2016: {one.entry.of.older})" if one.entry.of.older else ""
        lines.append(f"{one.entry.name.ljust(wide)}  {state.ljust(11)}  {one.entry.of.title}{older}")
        if lacks and one.state != DONE:
            lines.append(f"{' ' * (wide + 15)}{lacks}")
    return "\n".join(lines)


def _embedded(png: bytes) -> str:
    """A picture as JPEG, a fifth as large; the PNG lies in the folder of its entry."""
    buffer = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").save(buffer, "JPEG", quality=85, optimize=True)
    return base64_text(buffer.getvalue())


def _page(outcomes: Sequence[Outcome]) -> str:
    from markupsafe import Markup

    style = part("vlx.eval.page", "evaluation.css") + part("vlx.studies", "findings.css")
    return rendered(
        "vlx.studies",
        "reproduction.html",
        {"cells": cells, "embedded": _embedded},
        title=TITLE,
        outcomes=outcomes,
        done=[one for one in outcomes if one.found is not None],
        style=Markup(style),
        policy=policy(style),
    )
