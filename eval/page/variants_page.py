"""The page of variants: a table and a plot for each evaluation, and one target by all variants."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vlx.eval.page.variants import Column, VariantsTable
from vlx.eval.page.variants_plots import difference_plot, layers_plot
from vlx.eval.page.variants_table import cells, note
from vlx.eval.page.written import write_parts
from vlx.show.cards import base64_text


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
    title = tables[0].what if tables else "Variants, measured"
    return write_parts(path, "variants.html", title, [variants_part(one) for one in tables], missing)
