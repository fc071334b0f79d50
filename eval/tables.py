"""Tables of summaries in Markdown and LaTeX, each with the protocol it was measured by."""

from collections.abc import Mapping

from vlx.eval.summary import Summary

_HEAD = ("", "mean", "s.e.", "SD", "interval", "median", "trimmed", "n", "left out")


def markdown_table(rows: Mapping[str, Summary], *, protocol: str, digits: int = 3) -> str:
    """A Markdown table, one row for each summary, the protocol below it."""
    lines = [_HEAD, ("---", *["---:"] * 7, "---")]
    lines += [_cells(name, summary, digits) for name, summary in rows.items()]
    body = "\n".join("| " + " | ".join(_markdown(cell) for cell in line) + " |" for line in lines)
    return f"{body}\n\n{_note(rows, protocol)}\n"


def latex_table(rows: Mapping[str, Summary], *, protocol: str, digits: int = 3) -> str:
    """A LaTeX tabular (package booktabs), the protocol in a comment and below it."""
    lines = [_HEAD, *(_cells(name, summary, digits) for name, summary in rows.items())]
    head, *body = [" & ".join(_latex(cell) for cell in line) + r" \\" for line in lines]
    note = _note(rows, protocol)
    return "\n".join(
        [
            "% " + note.replace("\n", " "),
            r"\begin{tabular}{lrrrrrrrl}",
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


def _cells(name: str, summary: Summary, digits: int) -> tuple[str, ...]:
    interval = (
        "" if summary.interval is None else " to ".join(_number(bound, digits) for bound in summary.interval)
    )
    counts = dict(summary.left_out)
    if summary.infinite:
        counts["infinite"] = summary.infinite
    return (
        name,
        _number(summary.mean, digits),
        _number(summary.standard_error, digits),
        _number(summary.sd, digits),
        interval,
        _number(summary.median, digits),
        _number(summary.trimmed_mean, digits),
        str(summary.n),
        ", ".join(f"{reason} {count}" for reason, count in counts.items()) or "none",
    )


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _note(rows: Mapping[str, Summary], protocol: str) -> str:
    levels = sorted({f"{summary.level:.0%}" for summary in rows.values()})
    clustered = any(summary.clusters is not None for summary in rows.values())
    unit = "clusters" if clustered else "items"
    return (
        f"Protocol: {protocol.rstrip('.')}. Standard error with ddof 1; {' and '.join(levels)} "
        f"percentile bootstrap over {unit}; trimmed mean without a tenth at each end."
    )


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
