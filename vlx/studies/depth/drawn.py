"""The paper's figures over depth: targets in rows, layers in columns; and several models side by side."""

import math
from collections.abc import Sequence
from typing import Any

from PIL import Image

from vlx.explain import explain
from vlx.explanation import Explanation
from vlx.methods.values import Method
from vlx.passes.forward import Pass
from vlx.passes.targets import Target
from vlx.show.colours import shared_scale, target_picture
from vlx.studies.depth.maps import AtLayer, Read, maps_at
from vlx.studies.panels import Tile, panel_png

COLUMNS = 8
"""Layers side by side; more go on in rows below."""


def layers_figure(
    model: Any, read: Read, layers: Sequence[str | int], targets: Sequence[tuple[str, Target]], method: Method
) -> tuple[bytes, list[AtLayer]]:
    """Targets in rows and layers in columns, the deepest first as in the paper; a PNG, and what was drawn."""
    found, _ = maps_at(model, read, layers, [target for _, target in targets], [method])
    deepest = found[::-1]
    wide = math.ceil(len(deepest) / math.ceil(len(deepest) / COLUMNS))
    passed = deepest[0].passed
    rows: list[list[Tile | None]] = []
    for at, (name, _) in enumerate(targets):
        for start in range(0, len(deepest), wide):
            photo = Tile(small(passed.images[0]), name, passed.model) if start == 0 else None
            some = [
                Tile(
                    overlaid(one.found[0], at),
                    one.layer,
                    f"{one.grid[0]} x {one.grid[1]}, to {one.found[0].grid_maps[at].max():.2g}",
                )
                for one in deepest[start : start + wide]
            ]
            rows.append([photo, *some])
    text = passed.readings[0].prompt or passed.readings[0].text
    note = f"{method.name} of {passed.model}, the deepest layer first; each map has a colour scale of its own"
    return panel_png(rows, title=text, note=note), found


def models_figure(
    runs: Sequence[tuple[str, Pass, Target]], methods: Sequence[Method]
) -> tuple[bytes, list[list[Explanation]]]:
    """Models in rows: the photo with what each says, and its maps by each method (paper, figure 19)."""
    rows, found = list[list[Tile | None]](), list[list[Explanation]]()
    for name, passed, target in runs:
        (made,) = explain(passed, target, methods)
        told = made[0].targets[0]
        sure = "" if told.probability is None else f", p {told.probability:.2f}"
        rows.append(
            [
                Tile(small(passed.images[0]), name, f"{told.name}{sure}"),
                *(Tile(overlaid(one, 0), one.provenance.method, passed.layer) for one in made),
            ]
        )
        found.append(list(made))
    first = runs[0][1]
    text = first.readings[0].prompt or first.readings[0].text
    return panel_png(rows, title=text, note="each map has a colour scale of its own"), found


def overlaid(explained: Explanation, at: int) -> Image.Image:
    """One map over the photo, on a colour scale of its own."""
    return target_picture(explained, at, shared_scale([explained.grid_maps[at]]), longest=320)


def small(photo: Image.Image) -> Image.Image:
    """A photo of at most 320 pixels a side."""
    found = photo.copy()
    found.thumbnail((320, 320), Image.Resampling.LANCZOS)
    return found
