"""What a report keeps of each image and text: small pictures and numbers, no large arrays."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float
from PIL import Image, features

from vlx.errors import VlxError
from vlx.explanation import Explanation
from vlx.images.frame import Frame
from vlx.show.colours import Scale, gradient_picture, on_shared_scale, reduced, scales, target_picture
from vlx.show.evidence import adds_up, has_evidence, most_visual, spoken, spoken_error, unit

LONGEST = 640
"""Longer side of an embedded photo, in pixels."""
SMALL = 128
"""Longer side of the small maps, which are printed, and shown where no script runs."""

_TITLES = {
    "grad_cam": "Grad-CAM",
    "hires_cam": "HiResCAM",
    "grad_cam_pp": "Grad-CAM++",
    "layer_cam": "LayerCAM",
    "xgrad_cam": "XGrad-CAM",
    "eigen_cam": "Eigen-CAM (no target)",
    "gradient": "Gradient",
    "guided_backprop": "Guided backpropagation",
    "deconvolution": "Deconvolution",
    "guided_grad_cam": "Guided Grad-CAM",
    "deconvolution_grad_cam": "Deconvolution Grad-CAM",
    "ablation_cam": "Ablation-CAM",
    "score_cam": "Score-CAM",
    "rise": "RISE",
    "smooth_gradient": "SmoothGrad",
    "integrated_gradients": "Integrated gradients",
    "integrated_grad_cam": "Integrated Grad-CAM",
    "occlusion": "Occlusion",
    "reveal": "Reveal",
    "reveal_and_hide": "Reveal and hide",
    "bands": "Bands",
    "logit_lens": "Logit lens",
    "logit_lens_less_earlier": "Logit lens, less earlier words",
    "logit_lens_ranked": "Logit lens, rank filter",
    "token_activation_map": "Token activation map",
    "layer_cam_fusion": "LayerCAM, layers fused",
    "refine_cam": "RefineCAM",
    "integrated_fusion": "Integrated gradients, layers fused",
    "class_activation_map": "CAM",
    "mwp": "MWP (patented: US 9,846,840)",
    "c_mwp": "c-MWP (patented: US 9,846,840)",
}
_GRADIENTS = {True: "one batched product", False: "one target after another", None: "none"}


@dataclass(frozen=True, eq=False)
class Card:
    """What a page keeps of one image and text: small pictures and numbers, no arrays."""

    name: str
    """Of the image, such as its file name; may be empty."""
    first: Explanation
    """Without its image and maps: text, targets and predictions, shared by all methods; of several methods
    the first that knows how much of the scores comes from the image, if there is one."""
    photo: str
    """JPEG, base64."""
    size: tuple[int, int]
    """Width and height of the embedded photo."""
    views: tuple[dict[str, Any], ...]
    """For each method its maps and scales, as the page's script reads them."""
    tables: tuple[dict[str, Any], ...]
    """For each method the facts for its table, and small maps."""
    visual: int | None = None
    """The most visual word of a caption, a position among the targets."""


def report_card(item: Sequence[Explanation], name: str = "") -> Card:
    """Reduce the explanations of one image and text to what a page shows of them."""
    if not item:
        raise VlxError("an item of a report is empty: give at least one explanation of each image")
    first = next((one for one in item if has_evidence(one)), item[0])
    for other in item:
        if [t.name for t in other.targets] != [t.name for t in first.targets] or (
            (other.words, other.prompt) != (first.words, first.prompt)
        ):
            raise VlxError(
                "explanations of one item must share their text and targets: give others an item of their own"
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
    layers = len({explanation.provenance.layer for explanation in item}) > 1
    views = tuple(view_of(explanation, with_layer=layers) for explanation in item)
    tables = tuple(_table(explanation) for explanation in item)
    return Card(name, bare, jpeg_text(small, 82), small.size, views, tables, most_visual(first))


def view_of(explanation: Explanation, *, with_layer: bool = False) -> dict[str, Any]:
    """One method's maps as the page's script reads them; positions as shares of the photo."""
    made = explanation.provenance
    method = _TITLES.get(made.method, made.method)
    size, box = explanation.frame.image_size, explanation.frame.box
    down, across = _centres(explanation.frame, explanation.raw.shape[-2:])
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
            "own": not on_shared_scale(target),
            "evidence": bool(seen),
            "told": spoken(explanation, target),
            "error": spoken_error(explanation, target),
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
        "title": f"{method}, {made.layer}" if with_layer else method,
        "box": [side / size[axis % 2] for axis, side in enumerate(box)],
        "rows": explanation.raw.shape[-2],
        "cols": explanation.raw.shape[-1],
        "down": down,
        "across": across,
        "pixels": explanation.at_pixels,
        "unit": unit(explanation) if adds_up(explanation) else "",
        "maps": maps,
    }


def _centres(frame: Frame, shape: tuple[int, ...]) -> list[list[float] | None]:
    """The centres of rows and of columns as shares of the network input, where cells do not divide it."""
    if frame.centres is None or tuple(map(len, frame.centres)) != shape:
        return [None, None]
    return [
        [at / length for at in line] for line, length in zip(frame.centres, frame.input_size, strict=True)
    ]


def _gradient(raw: Float[np.ndarray, "3 height width"]) -> dict[str, Any]:
    low, high = float(raw.min()), float(raw.max())
    zero = round(255 * -low / (high - low)) if high > low else 128
    return {"jpeg": jpeg_text(gradient_picture(raw), 80), "zero": zero}


def _quantised(plane: Float[np.ndarray, "row col"], scale: Scale) -> str:
    """A map on its scale in 65536 steps, row by row, little-endian, base64."""
    share = scale.share(plane)
    share = (share + 1) / 2 if scale.signed else share
    return base64_text(np.rint(share * 65535).astype("<u2").tobytes())


def _table(explanation: Explanation) -> dict[str, Any]:
    made, frame = explanation.provenance, explanation.frame
    facts = {
        "Model": made.model,
        "Layer": made.layer,
        "Method": made.method,
        "Score": f"{made.score}, raw",
        "Gradients": _GRADIENTS[made.batched],
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
            "from_image": target.from_image,
            "blank": target.blank,
            "error": target.error,
            "told": spoken(explanation, target),
            "small": small,
        }
        for target, raw, seen, small in zip(
            explanation.targets, explanation.raw, explanation.evidence, _small(explanation), strict=True
        )
    ]
    return {"facts": {key: value for key, value in facts.items() if value}, "rows": rows}


def _small(explanation: Explanation) -> list[str]:
    """Every map over the photo, small, as addresses that hold the pictures themselves."""
    photo, frame = reduced(explanation, SMALL)
    little, kind = replace(explanation, image=photo, frame=frame), "webp" if features.check("webp") else "png"
    found: list[str] = []
    for target, scale in enumerate(scales(explanation)):
        buffer = io.BytesIO()
        target_picture(little, target, scale).save(buffer, kind, quality=35, method=6)
        found.append(f"data:image/{kind};base64,{base64_text(buffer.getvalue())}")
    return found


def jpeg_text(image: Image.Image, quality: int) -> str:
    """A picture as JPEG, base64."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, optimize=True)
    return base64_text(buffer.getvalue())


def base64_text(blob: bytes) -> str:
    """Bytes as base64, for a page."""
    return base64.b64encode(blob).decode("ascii")
