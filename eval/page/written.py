"""Writing a page of tables, one part a model."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vlx.errors import VlxError
from vlx.images.files import write_whole
from vlx.show.cards import base64_text
from vlx.show.html import part, policy, rendered


def drawn(svg: str) -> str:
    """A plot as the address of an image."""
    return f"data:image/svg+xml;base64,{base64_text(svg.encode())}"


def write_parts(
    path: Path, template: str, title: str, parts: Sequence[Any], missing: Sequence[tuple[str, str]]
) -> Path:
    """Write the page. Raises VlxError where nothing was measured, which the page then says too."""
    from markupsafe import Markup

    style = part("vlx.eval.page", "evaluation.css")
    text = rendered(
        "vlx.eval.page",
        template,
        {"drawn": drawn},
        title=title,
        parts=parts,
        missing=missing,
        style=Markup(style),
        policy=policy(style),
    )
    write_or_say(path, text)
    need_parts(parts, missing)
    return path


def write_or_say(path: Path, text: str) -> None:
    """Write a page. Raises VlxError where that cannot be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text.encode("utf-8", "replace"))
    except OSError as error:
        raise VlxError(f"no page can be written to {path} ({error.strerror}): give another folder") from None


def need_parts(parts: Sequence[Any], missing: Sequence[tuple[str, str]]) -> None:
    """Raise VlxError where nothing was measured, with why."""
    if not parts:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in missing)
        raise VlxError(f"nothing was measured ({reasons})")
