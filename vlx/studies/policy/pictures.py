"""Pictures of an episode: every observation beside the map of what the agent does."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from vlx.images.files import png_of, write_whole
from vlx.show.colours import overlay, shared_scale
from vlx.studies.policy.agents import Player
from vlx.studies.policy.explaining import explain_actions

_SIDE = 168  # pixels that a picture is drawn with, at least
_BATCH = 32


def drawn(player: Player, layer: Any, method: str, observations: Sequence[Any]) -> list[Image.Image]:
    """For every observation its newest picture, and beside it the map of the action against the next best.

    All maps have one scale.
    """
    maps, words = list[np.ndarray](), list[str]()
    for begin in range(0, len(observations), _BATCH):
        some = np.stack(observations[begin : begin + _BATCH])
        plain = explain_actions(player.network, some, layer=layer, method=method)
        order = np.argsort(-plain.logits, axis=1)
        against = order[:, 1].tolist()
        found = explain_actions(
            player.network, some, list(plain.actions), against=against, layer=layer, method=method
        )
        maps += list(found.maps)
        words += [_called(player, one) for one in plain.actions]
    scale = shared_scale(maps)
    return [
        _panel(_picture(seen), plane, scale, word)
        for seen, plane, word in zip(observations, maps, words, strict=True)
    ]


def _called(player: Player, action: int) -> str:
    names = player.actions
    return names[action] if action < len(names) else f"action {action}"


def _picture(seen: Any) -> Image.Image:
    """The newest picture of an observation: its last channel, or its colours where it has three."""
    values = np.asarray(seen, np.float64)
    values = values if values.max() > 1 else values * 255
    plane = values.transpose(1, 2, 0) if len(values) == 3 else values[-1]
    return Image.fromarray(np.clip(plane, 0, 255).astype(np.uint8)).convert("RGB")


def _panel(picture: Image.Image, plane: np.ndarray, scale: Any, word: str) -> Image.Image:
    times = -(-_SIDE // picture.height)
    size = picture.width * times, picture.height * times
    panel = Image.new("RGB", (2 * size[0] + 4, size[1] + 16), "white")
    panel.paste(picture.resize(size, Image.Resampling.NEAREST), (0, 16))
    panel.paste(overlay(picture, plane, scale).resize(size, Image.Resampling.NEAREST), (size[0] + 4, 16))
    ImageDraw.Draw(panel).text((2, 2), word, fill="black")
    return panel


def gif(panels: Sequence[Image.Image], path: Path, *, milliseconds: int = 120) -> None:
    """Write pictures as one that moves."""
    blob = io.BytesIO()
    first, *others = (one.quantize(64) for one in panels)
    first.save(blob, "GIF", save_all=True, append_images=others, duration=milliseconds, loop=0)
    write_whole(path, blob.getvalue())


def sheet(panels: Sequence[Image.Image], across: int = 3) -> bytes:
    """Pictures of one size as one sheet."""
    wide, high = panels[0].size
    rows = -(-len(panels) // across)
    found = Image.new("RGB", (across * (wide + 8), rows * (high + 8)), "white")
    for at, panel in enumerate(panels):
        found.paste(panel, (at % across * (wide + 8), at // across * (high + 8)))
    return png_of(found)
