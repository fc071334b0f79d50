"""The page of variants: a table and a plot for each evaluation, and one target by all variants."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vlx.errors import VlxError
from vlx.eval.page.variants import Column, VariantsTable
from vlx.eval.page.variants_plots import difference_plot, layers_plot
from vlx.eval.page.variants_table import cells, note
from vlx.images.files import write_whole
from vlx.show.cards import base64_text
from vlx.show.html import part, policy, rendered


@dataclass(frozen=True, eq=False)
class Evaluated:
    """One evaluation of the variants on the page."""

    column: Column
    cells: Sequence[Sequence[str]]
    note: str
    plot: str
    """SVG."""


@dataclass(frozen=True, eq=False)
class VariantsPart:
    """One model on the page."""

    table: VariantsTable
    evaluations: Sequence[Evaluated]
    pictures: Sequence[tuple[str, str]]
    """What is shown, and PNG in base64."""


def drawn(svg: str) -> str:
    """A plot as the address of an image."""
    return f"data:image/svg+xml;base64,{base64_text(svg.encode())}"


def variants_part(table: VariantsTable) -> VariantsPart:
    """What a page shows of the variants of one model."""
    made = [
        Evaluated(
            one,
            cells(table, one),
            note(table, one),
            layers_plot(table, one) if "grid" in table.facts else difference_plot(table, one),
        )
        for one in table.columns
    ]
    return VariantsPart(table, made, [(name, base64_text(picture)) for name, picture in table.pictures])


def write_variants_page(
    path: Path, tables: Sequence[VariantsTable], missing: Sequence[tuple[str, str]]
) -> Path:
    """Write the page. Raises VlxError where nothing was measured, which the page then says too."""
    from markupsafe import Markup

    style = part("vlx.eval.page", "evaluation.css")
    text = rendered(
        "vlx.eval.page",
        "variants.html",
        {"drawn": drawn},
        title=tables[0].what if tables else "Variants, measured",
        parts=[variants_part(one) for one in tables],
        missing=missing,
        style=Markup(style),
        policy=policy(style),
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text.encode("utf-8", "replace"))
    except OSError as error:
        raise VlxError(f"no page can be written to {path} ({error.strerror}): give another folder") from None
    if not tables:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in missing)
        raise VlxError(f"nothing was measured ({reasons})")
    return path
