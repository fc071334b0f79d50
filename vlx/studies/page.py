"""The files of a study: its numbers as JSON and Markdown, its figures, and one page that shows all."""

import json
from pathlib import Path
from typing import Any

from vlx.errors import VlxError
from vlx.eval.page.written import write_or_say
from vlx.images.files import write_whole
from vlx.show.cards import base64_text
from vlx.show.html import part, policy, rendered
from vlx.studies.found import Findings, Picture, as_json, cells, from_json, markdown


def write_findings(out: Path, found: Findings) -> Path:
    """Write ``summary.json``, ``summary.md``, ``figures/*.png`` and ``report.html``; return the page.

    Raises VlxError where that cannot be.
    """
    write_or_say(out / "summary.json", as_json(found))
    write_or_say(out / "summary.md", markdown(found))
    (out / "figures").mkdir(exist_ok=True)
    for at, one in enumerate(found.pictures, 1):
        write_whole(out / "figures" / f"{at}.png", one.png)
    page = out / "report.html"
    write_or_say(page, findings_page(found))
    return page


def read_findings(out: Path) -> Findings:
    """What `write_findings` wrote. Raises VlxError where it is not there or damaged."""
    try:
        text = (out / "summary.json").read_text(encoding="utf-8")
        titles = json.loads(text)["pictures"]
        pngs = [(out / "figures" / f"{at}.png").read_bytes() for at in range(1, len(titles) + 1)]
        return from_json(text, [Picture(title, png) for title, png in zip(titles, pngs, strict=True)])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise VlxError(f"{out} holds no finished study ({error}): run it again") from None


def findings_page(found: Findings) -> str:
    """A page that needs no other file."""
    from markupsafe import Markup

    style = part("vlx.eval.page", "evaluation.css") + part("vlx.studies", "findings.css")
    return rendered(
        "vlx.studies",
        "findings.html",
        {"cells": cells, "embedded": base64_text, "told": _told},
        title=found.title,
        found=found,
        style=Markup(style),
        policy=policy(style),
    )


def _told(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
