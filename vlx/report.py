"""One self-contained page that shows many explanations: a photo, its words, and a map for each.

The page needs no network and no server. Each photo is embedded once as JPEG, and each map as the few
numbers of its grid, which the page draws over the photo itself (bilinear, in the frame's box).
"""

import base64
import hashlib
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from PIL import Image

from vlx.colours import OPACITY, Scale, gradient_picture, is_single, ramp, reduced, scales
from vlx.errors import VlxError
from vlx.explanation import Explanation, write_whole
from vlx.figures import percent
from vlx.frame import Frame

LONGEST = 640
"""Longer side of an embedded photo, in pixels."""

_TITLES = {
    "grad_cam": "Grad-CAM",
    "hires_cam": "HiResCAM",
    "grad_cam_pp": "Grad-CAM++",
    "layer_cam": "LayerCAM",
    "xgrad_cam": "XGrad-CAM",
    "gradient": "Gradient",
    "guided_backprop": "Guided backpropagation",
    "deconvolution": "Deconvolution",
    "guided_grad_cam": "Guided Grad-CAM",
    "deconvolution_grad_cam": "Deconvolution Grad-CAM",
}


@dataclass(frozen=True, eq=False)
class Entry:
    """What a page keeps of one image and text: small pictures and numbers, no arrays."""

    name: str
    """Of the image, such as its file name; may be empty."""
    first: Explanation
    """Without its image and maps: text, targets and predictions, shared by all methods."""
    photo: str
    """JPEG, base64."""
    size: tuple[int, int]
    """Width and height of the embedded photo."""
    views: tuple[dict[str, Any], ...]
    """For each method its maps and scales, as the page's script reads them."""
    tables: tuple[dict[str, Any], ...]
    """For each method the facts for its table."""


def write_report(
    path: str | Path,
    items: Iterable[Sequence[Explanation]],
    title: str = "What the words look at",
    *,
    names: Sequence[str] = (),
) -> Path:
    """Write one HTML file that shows all items, and return its path.

    An item holds explanations of the same image, text and targets by different methods; they are shown
    side by side. ``names`` are the images' names, one for each item. Items may come from a generator:
    only what the page needs is kept of each. Raises VlxError where there are none or an item's differ.
    """
    entries = [report_entry(item, names[i] if i < len(names) else "") for i, item in enumerate(items)]
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, report_page(entries, title).encode("utf-8", "replace"))
    return path


def report_entry(item: Sequence[Explanation], name: str = "") -> Entry:
    """Reduce the explanations of one image and text to what a page shows of them."""
    if not item:
        raise VlxError("an item of a report is empty: give at least one explanation of each image")
    first = item[0]
    for other in item[1:]:
        if [t.name for t in other.targets] != [t.name for t in first.targets] or (
            (other.words, other.prompt) != (first.words, first.prompt)
        ):
            raise VlxError(
                "explanations of one item must share their text and targets: put others in an item of their own"
            )
    small, _ = reduced(first, LONGEST)
    bare = Explanation(
        image=Image.new("RGB", (1, 1)),
        frame=Frame.resized((1, 1), (1, 1)),
        raw=np.zeros((len(first.targets), 1, 1), np.float32),
        targets=first.targets,
        provenance=first.provenance,
        words=first.words,
        prompt=first.prompt,
        unknown=first.unknown,
        predicted=first.predicted,
    )
    views = tuple(_view(explanation) for explanation in item)
    tables = tuple(_table(explanation) for explanation in item)
    return Entry(name, bare, _jpeg(small, 82), small.size, views, tables)


def report_page(entries: Sequence[Entry], title: str = "What the words look at") -> str:
    """The page as HTML text. Raises VlxError where there is nothing to show."""
    if not entries:
        raise VlxError("nothing to report: give at least one explanation")
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    style, script = _part("report.css"), _part("report.js")
    environment = Environment(
        loader=PackageLoader("vlx"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=percent, number=_number)
    photos: dict[str, str] = {}
    for entry in entries:
        photos.setdefault(entry.photo, f"photo-{len(photos) + 1}")
    return environment.get_template("report.html").render(
        title=title,
        entries=entries,
        photos=photos,
        embedded=_embedded(entries, photos),
        style=Markup(style),
        script=Markup(script),
        policy=_policy(style, script),
        ramps={"plain": _bytes(ramp().tobytes()), "signed": _bytes(ramp(signed=True).tobytes())},
        opacity=OPACITY,
        single=is_single,
        whole=_whole_words,
    )


def _view(explanation: Explanation) -> dict[str, Any]:
    """One method's maps as the page's script reads them; positions as shares of the photo."""
    size, box = explanation.frame.image_size, explanation.frame.box
    own = scales(explanation)
    drawn = [
        _gradient(raw) if explanation.at_pixels else {"grid": _quantised(raw, scale)}
        for raw, scale in zip(explanation.raw, own, strict=True)
    ]
    maps = [
        {
            **one,
            "high": scale.high,
            "signed": scale.signed,
            "peak": float(np.abs(scale.share(plane)).max()),
            "own": not is_single(target),
            "evidence": bool(seen),
        }
        for one, scale, plane, target, seen in zip(
            drawn,
            own,
            explanation.grid_maps,
            explanation.targets,
            explanation.evidence,
            strict=True,
        )
    ]
    return {
        "title": _TITLES.get(explanation.provenance.method, explanation.provenance.method),
        "box": [side / size[axis % 2] for axis, side in enumerate(box)],
        "rows": explanation.raw.shape[-2],
        "cols": explanation.raw.shape[-1],
        "pixels": explanation.at_pixels,
        "maps": maps,
    }


def _gradient(raw: Float[np.ndarray, "3 height width"]) -> dict[str, Any]:
    low, high = float(raw.min()), float(raw.max())
    zero = round(255 * -low / (high - low)) if high > low else 128
    return {"jpeg": _jpeg(gradient_picture(raw), 80), "zero": zero}


def _quantised(plane: Float[np.ndarray, "row col"], scale: Scale) -> str:
    """A map on its scale in 65536 steps, row by row, little-endian, base64."""
    share = scale.share(plane)
    share = (share + 1) / 2 if scale.signed else share
    return _bytes(np.rint(share * 65535).astype("<u2").tobytes())


def _table(explanation: Explanation) -> dict[str, Any]:
    made, frame = explanation.provenance, explanation.frame
    facts = {
        "Model": made.model,
        "Layer": made.layer,
        "Method": made.method,
        "Score": f"{made.score}, raw",
        "Gradients": "one batched product" if made.batched else "one target after another",
        "ReLUs under a guided rule": str(made.guided_relus),
        "Map": " × ".join(map(str, explanation.raw.shape[1:])),
        "Image": f"{frame.image_size[0]} × {frame.image_size[1]} (height × width)",
        "Network input": f"{frame.input_size[0]} × {frame.input_size[1]}",
        "Part of the image seen": ", ".join(f"{side:g}" for side in frame.box)
        + " (top, left, bottom, right)",
        "Versions": ", ".join(f"{name} {version}" for name, version in made.versions.items()),
    }
    rows = [
        {
            "name": target.name,
            "score": target.score,
            "probability": target.probability,
            "low": float(raw.min()),
            "high": float(raw.max()),
            "evidence": seen,
        }
        for target, raw, seen in zip(explanation.targets, explanation.raw, explanation.evidence, strict=True)
    ]
    return {"facts": {key: value for key, value in facts.items() if value}, "rows": rows}


def _whole_words(explanation: Explanation) -> list[tuple[str, int | None]]:
    """The words of a caption, each with the target that explains it alone, if there is one."""
    alone = {t.words[0]: i for i, t in reversed(list(enumerate(explanation.targets))) if len(t.words) == 1}
    return [(word, alone.get(position)) for position, word in enumerate(explanation.words)]


def _number(value: float) -> str:
    return f"{value:.3g}".replace("-", "\N{MINUS SIGN}")


def _jpeg(image: Image.Image, quality: int) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, optimize=True)
    return _bytes(buffer.getvalue())


def _bytes(blob: bytes) -> str:
    return base64.b64encode(blob).decode("ascii")


def _embedded(entries: Sequence[Entry], photos: dict[str, str]) -> str:
    """How much the page carries, for its footer."""
    maps = [one.get("grid") or one["jpeg"] for e in entries for v in e.views for one in v["maps"]]
    return (
        f"{_counted(len(photos), 'photo')} ({_megabytes(sum(map(len, photos)))}) and "
        f"{_counted(len(maps), 'map')} ({_megabytes(sum(map(len, maps)))})"
    )


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{max(1, round(count / 1e3))} kB"


@cache
def _part(name: str) -> str:
    return files("vlx").joinpath("templates").joinpath(name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    """What a browser may do with the page: run its one script, use its one style, show its pictures."""
    style_hash, script_hash = (_bytes(hashlib.sha256(text.encode()).digest()) for text in (style, script))
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{style_hash}'; "
        f"script-src 'sha256-{script_hash}'; base-uri 'none'; form-action 'none'"
    )
