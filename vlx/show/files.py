"""Pictures of explanations as people ask for them: one target's overlay, the figure as a file."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from vlx.errors import VlxError
from vlx.explanation import Explanation
from vlx.images.files import png_of, write_whole
from vlx.saved import arrays_of, facts_of
from vlx.show.colours import Scaling, gradient_picture, overlay, scales, tint
from vlx.show.figures import drawn_figure, figure
from vlx.show.panels import DPI, quiet_fonts, rendered

FORMATS = (".png", ".pdf", ".svg")
"""What the name of a figure may end in."""


def png(explanation: Explanation) -> bytes:
    """The figure as a PNG file."""
    return png_of(figure(explanation))


def overlay_of(explanation: Explanation, target: str | int, scaling: Scaling) -> Image.Image:
    """See `Explanation.overlay`."""
    at = explanation.index(target)
    scale = scales(explanation, scaling)[at]
    if explanation.at_pixels:
        return _gradients(explanation, at)
    return overlay(explanation.image, explanation.map(at), scale)


def heatmap_of(explanation: Explanation, target: str | int, scaling: Scaling) -> Image.Image:
    """See `Explanation.heatmap`."""
    at = explanation.index(target)
    scale = scales(explanation, scaling)[at]
    if explanation.at_pixels:
        return _gradients(explanation, at)
    colours = Image.fromarray(tint(explanation.map(at), scale)[..., :3].copy())
    bare = Image.new("RGB", colours.size, "white" if scale.signed else "black")
    opaque = Image.fromarray(tint(explanation.map(at), scale)[..., 3].copy())
    bare.paste(colours, mask=opaque)
    return bare


def save(
    explanation: Explanation,
    path: Path,
    dpi: int | None,
    columns: int,
    words: Sequence[str | int] | None,
    scaling: Scaling,
) -> tuple[Path, ...]:
    """See `Explanation.save`."""
    if dpi is not None and not 10 <= dpi <= 2400:
        raise VlxError(f"dpi {dpi}: give 10 to 2400")
    drawing, canvas = drawn_figure(explanation, columns, scaling, words)
    alone = path.suffix.lower() in FORMATS
    if alone:
        blobs = {path: _figure(drawing, canvas, path.suffix.lower(), dpi)}
    else:
        blobs = {
            path.with_name(path.name + ".png"): _figure(drawing, canvas, ".png", dpi),
            path.with_name(path.name + ".json"): facts_of(explanation).encode(),
            path.with_name(path.name + ".npz"): arrays_of(explanation),
        }
    path.parent.mkdir(parents=True, exist_ok=True)
    for one, blob in blobs.items():
        write_whole(one, blob)
    return tuple(blobs)


def show(explanation: Explanation, target: str | int | None) -> None:
    """Draw the figure, or one target's overlay, in a notebook, or in the system's image viewer elsewhere."""
    picture = figure(explanation) if target is None else overlay_of(explanation, target, "own")
    if not _in_notebook():
        picture.show()
        return
    from IPython.display import display

    display(picture)


def _gradients(explanation: Explanation, at: int) -> Image.Image:
    raw = torch.from_numpy(explanation.raw[at])
    return gradient_picture(explanation.frame.on_image(raw).numpy())


def _figure(drawing: Any, canvas: Any, suffix: str, dpi: int | None) -> bytes:
    """The drawing as a file of that kind; the same drawing gives the same bytes."""
    if suffix == ".png":
        drawing.set_dpi(dpi or DPI)
        return png_of(rendered(canvas))
    import matplotlib

    buffer = io.BytesIO()
    undated = {"Date": None} if suffix == ".svg" else {"CreationDate": None}
    chosen: Any = {"svg.hashsalt": "vlx", "pdf.fonttype": 42}
    with matplotlib.rc_context(chosen), quiet_fonts():
        drawing.savefig(buffer, format=suffix[1:], dpi=dpi or DPI, metadata=undated)
    return buffer.getvalue()


def _in_notebook() -> bool:
    import sys

    shell = sys.modules.get("IPython")
    running = shell.get_ipython() if shell else None
    return running is not None and "IPKernelApp" in getattr(running, "config", {})
