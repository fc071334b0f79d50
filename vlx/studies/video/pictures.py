"""Pictures of clips: their frames above the maps that lie on them, as a sheet and as one that moves."""

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from vlx.images.files import png_of, write_whole
from vlx.network import explain_clip
from vlx.show.colours import overlay, shared_scale
from vlx.studies.video.items import Item
from vlx.studies.video.measured import Explainer

Strip = Sequence[Image.Image]
"""One picture a frame."""
_SIDE = 96  # pixels that a frame is drawn with, about
_MOST = 8  # frames of a sheet
_EVENT = "#d1242f"


def strips(made: Explainer, item: Item) -> list[Strip]:
    """The frames, those with the map of the target, those with that of the wrong class; of one scale."""
    x = item.pixels[None].to(next(made.network.parameters()).device)
    classes = [item.target, *([] if item.wrong is None else [item.wrong])]
    maps = [
        explain_clip(made.network, x, one, made.layer, method=made.methods[0]).maps[0].double().cpu().numpy()
        for one in classes
    ]
    scale = shared_scale(maps)
    span = [False] * len(item.shown) if item.mask is None else [bool(one.any()) for one in item.mask]
    photos = [Image.fromarray(frame) for frame in item.shown]
    rows: list[Strip] = [[_drawn(photo, on) for photo, on in zip(photos, span, strict=True)]]
    for planes in maps:
        rows.append([
            _drawn(overlay(photo, plane, scale), on)
            for photo, plane, on in zip(photos, planes, span, strict=True)
        ])  # fmt: skip
    return rows


def _drawn(picture: Image.Image, on: bool) -> Image.Image:
    """A frame, enlarged, with a frame around it while the event lasts."""
    times = max(1, round(_SIDE / picture.height))
    size = picture.width * times, picture.height * times
    found = Image.new("RGB", (size[0] + 6, size[1] + 6), "white")
    if on:
        ImageDraw.Draw(found).rectangle((0, 0, size[0] + 5, size[1] + 5), fill=_EVENT)
    found.paste(picture.resize(size, Image.Resampling.NEAREST), (3, 3))
    return found


def sheet(rows: Sequence[Strip]) -> bytes:
    """Every few frames beside one another, the maps below them."""
    every = max(1, -(-len(rows[0]) // _MOST))
    shown = [row[::every] for row in rows]
    wide, high = shown[0][0].size
    found = Image.new("RGB", (len(shown[0]) * wide, len(shown) * high), "white")
    for down, row in enumerate(shown):
        for across, one in enumerate(row):
            found.paste(one, (across * wide, down * high))
    return png_of(found)


def gif(rows: Sequence[Strip], path: Path, *, milliseconds: int = 180) -> None:
    """The clip and its maps beside one another, frame after frame."""
    wide, high = rows[0][0].size
    frames: list[Image.Image] = []
    for at in range(len(rows[0])):
        frame = Image.new("RGB", (len(rows) * wide, high), "white")
        for across, row in enumerate(rows):
            frame.paste(row[at], (across * wide, 0))
        frames.append(frame.quantize(96))
    blob = io.BytesIO()
    frames[0].save(blob, "GIF", save_all=True, append_images=frames[1:], duration=milliseconds, loop=0)
    write_whole(path, blob.getvalue())
