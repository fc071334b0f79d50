"""``vlx inspect``: what a checkpoint is."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

SHOWN = 12
"""Layers in the table; ``--all`` and ``--json`` show every one."""


def inspect(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="A checkpoint; for TensorFlow its prefix or any of its files."),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
    all_layers: Annotated[bool, typer.Option("--all", help="Name every layer.")] = False,
) -> None:
    """Say what a checkpoint file is, and what it lacks, without running it."""
    from vlx.adapters.inspect import inspect as inspected

    found = inspected(file)
    print(json.dumps(_facts(found), indent=2) if as_json else _table(found, all_layers))


def _facts(found: Any) -> dict[str, Any]:
    return {
        "path": str(found.path),
        "format": found.format,
        "holds": found.holds,
        "family": found.family,
        "vocabulary": found.vocabulary,
        "sizes": dict(found.sizes),
        "layers": {name: list(sizes) for name, sizes in found.layers.items()},
        "missing": list(found.missing),
    }


def _table(found: Any, all_layers: bool) -> str:
    from vlx.cli.explaining import columns

    rows = [("family", found.family), ("format", f"{found.format}: {found.holds}")]
    if found.vocabulary is not None:
        rows.append(("vocabulary", f"{found.vocabulary} words"))
    if found.sizes:
        rows.append(("sizes", ", ".join(f"{name} {size}" for name, size in found.sizes.items())))
    rows += [("missing", told) for told in found.missing]
    if found.layers:
        rows.append(("tensors", str(len(found.layers))))
    lines = [f"{found.path}", columns(rows, indent="  ")]
    shown = list(found.layers.items())[: None if all_layers else SHOWN]
    if shown:
        named = [(name, " x ".join(map(str, sizes)) or "a number") for name, sizes in shown]
        lines.append(columns(named, indent="    "))
    if len(found.layers) > len(shown):
        lines.append(f"    and {len(found.layers) - len(shown)} more: see them with --all")
    return "\n".join(lines)
