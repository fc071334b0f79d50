"""Tables of summaries in Markdown and LaTeX, each with the protocol it was measured by."""

from collections.abc import Mapping

from vlx.eval.baselines import notice_of
from vlx.eval.items.faults import meaning
from vlx.eval.measures.drawn import Statistic
from vlx.eval.measures.statistics import Summary

_HEAD = ("", "mean", "s.e.", "SD", "interval", "median", "trimmed", "n", "left out")
_BY_IMAGE = ("s.e. by image", "interval by image")


def markdown_table(
    rows: Mapping[str, Summary],
    *,
    protocol: str,
    digits: int = 3,
    by_image: Mapping[str, Summary] | None = None,
    median: bool = False,
) -> str:
    """A Markdown table, one row for each summary, the protocol below it; ``median`` puts that first.

    ``by_image`` holds the same rows summarised with images as clusters; it adds their standard error and
    their interval beside those of independent items.
    """
    first, *body = table_cells(rows, digits, by_image, median=median)
    lines = [first, ["---", *["---:"] * (len(first) - 2), "---"], *body]
    text = "\n".join("| " + " | ".join(_markdown(cell) for cell in line) + " |" for line in lines)
    return f"{text}\n\n{table_note(rows, protocol, by_image)}\n"


def latex_table(
    rows: Mapping[str, Summary],
    *,
    protocol: str,
    digits: int = 3,
    by_image: Mapping[str, Summary] | None = None,
    median: bool = False,
) -> str:
    """A LaTeX tabular (package booktabs), the protocol in a comment and below it; see markdown_table."""
    cells = table_cells(rows, digits, by_image, median=median)
    head, *body = [" & ".join(_latex(cell) for cell in line) + r" \\" for line in cells]
    note = table_note(rows, protocol, by_image)
    return "\n".join(
        [
            "% " + note.replace("\n", " "),
            rf"\begin{{tabular}}{{l{'r' * (len(cells[0]) - 2)}l}}",
            r"\toprule",
            head,
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            r"\par\smallskip " + _latex(note),
            "",
        ]
    )


def table_cells(
    rows: Mapping[str, Summary],
    digits: int = 3,
    by_image: Mapping[str, Summary] | None = None,
    *,
    median: bool = False,
) -> list[list[str]]:
    """The cells of a table as text, its head first; see markdown_table."""
    lines: list[list[str]] = [
        list(_HEAD),
        *(list(_cells(name, summary, digits)) for name, summary in rows.items()),
    ]
    if by_image is not None:
        added = [_BY_IMAGE, *(_clustered(by_image[name], digits) for name in rows)]
        for line, cells in zip(lines, added, strict=True):
            line[5:5] = cells
    if median:
        at = lines[0].index("median")
        middles = [by_image[name] if by_image else one for name, one in rows.items()]
        told = ["interval of the median", *(_span(one.median_interval, digits) for one in middles)]
        for line, cell in zip(lines, told, strict=True):
            line[1:1] = [line.pop(at), cell]
    return lines


def statistics_table(rows: Mapping[str, Statistic], *, digits: int = 3) -> str:
    """A Markdown table of statistics that are no means, what their intervals are below it."""
    first, *body = statistics_cells(rows, digits)
    lines = [first, ["---", *["---:"] * (len(first) - 2), "---"], *body]
    text = "\n".join("| " + " | ".join(_markdown(cell) for cell in line) + " |" for line in lines)
    return f"{text}\n\n{statistics_note(rows)}\n"


def statistics_cells(rows: Mapping[str, Statistic], digits: int = 3) -> list[list[str]]:
    """The cells of a table of statistics as text, its head first."""
    return [
        ["", "value", "interval by image", "of", "images", "left out"],
        *(
            [
                name,
                _number(one.value, digits),
                _span(one.interval, digits),
                ", ".join(f"{count} {kind}" for kind, count in one.counts.items()),
                str(one.clusters),
                ", ".join(f"{reason} {count}" for reason, count in one.left_out.items()) or "none",
            ]
            for name, one in rows.items()
        ),
    ]


def statistics_note(rows: Mapping[str, Statistic]) -> str:
    """What stands below a table of statistics."""
    levels = " and ".join(sorted({f"{one.level:.0%}" for one in rows.values()}))
    return f"Value over all rows; {levels} percentile bootstrap that draws images, each with all its rows."


def _clustered(summary: Summary, digits: int) -> tuple[str, str]:
    return _number(summary.clustered_error, digits), _interval(summary, digits)


def _interval(summary: Summary, digits: int) -> str:
    return _span(summary.interval, digits)


def _span(interval: tuple[float, float] | None, digits: int) -> str:
    return "" if interval is None else " to ".join(_number(b, digits) for b in interval)


def _cells(name: str, summary: Summary, digits: int) -> tuple[str, ...]:
    counts = dict(summary.left_out)
    if summary.infinite:
        counts["infinite"] = summary.infinite
    return (
        name,
        _number(summary.mean, digits),
        _number(summary.standard_error, digits),
        _number(summary.sd, digits),
        _interval(summary, digits),
        _number(summary.median, digits),
        _number(summary.trimmed_mean, digits),
        str(summary.n),
        ", ".join(f"{reason} {count}" for reason, count in counts.items()) or "none",
    )


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def table_note(
    rows: Mapping[str, Summary], protocol: str, by_image: Mapping[str, Summary] | None = None
) -> str:
    """What stands below a table: the protocol, and how its errors and intervals were found."""
    levels = sorted({f"{summary.level:.0%}" for summary in rows.values()})
    clustered = any(summary.clusters is not None for summary in rows.values())
    unit = "clusters" if clustered else "items"
    unit += "" if by_image is None else ", and over images"
    notice = notice_of(rows)
    return (
        f"Protocol: {protocol.rstrip('.')}. Standard error with ddof 1; {' and '.join(levels)} "
        f"percentile bootstrap over {unit}; trimmed mean without a tenth at each end.{_reasons(rows)}"
        + (f" Notice: {notice}." if notice else "")
    )


def _reasons(rows: Mapping[str, Summary]) -> str:
    """What the reasons in the last column mean."""
    counted = {reason for summary in rows.values() for reason in summary.left_out}
    counted |= {"infinite"} if any(summary.infinite for summary in rows.values()) else set()
    told = [f"{reason} ({meaning(reason)})" for reason in sorted(counted) if meaning(reason)]
    return f" Left out: {', '.join(told)}." if told else ""


def _markdown(cell: str) -> str:
    return cell.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")


_LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "&": r"\&",
        "%": r"\%",
        "$": r"\$",
        "#": r"\#",
        "_": r"\_",
        "{": r"\{",
        "}": r"\}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "\n": " ",
    }
)


def _latex(cell: str) -> str:
    return cell.translate(_LATEX)
