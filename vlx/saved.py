"""Explanations as files: facts as JSON, raw maps and the image as NPZ; written and read back."""

import io
import json
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from vlx.errors import VlxError
from vlx.explanation import Explained, Explanation, Provenance
from vlx.images.files import decode_image, png_of
from vlx.images.frame import frame_of

FORMAT = 1


def facts_of(explanation: Explanation) -> str:
    """Everything but maps and image, as JSON."""
    made, frame = explanation.provenance, explanation.frame
    facts: dict[str, Any] = {
        "format": FORMAT,
        "provenance": {**_plain(made), "versions": dict(made.versions)},
        "frame": {name: value for name, value in asdict(frame).items() if value is not None},
        "words": explanation.words,
        "prompt": explanation.prompt,
        "unknown": explanation.unknown,
        "predicted": explanation.predicted,
        "targets": [_plain(target) for target in explanation.targets],
    }
    return json.dumps(facts, indent=1, ensure_ascii=False)


def arrays_of(explanation: Explanation) -> bytes:
    """Raw maps and image, as NPZ."""
    buffer = io.BytesIO()
    photo = np.frombuffer(png_of(explanation.image), np.uint8)
    np.savez_compressed(buffer, raw=explanation.raw, image_png=photo)
    return buffer.getvalue()


def load_explanation(stem: str | Path) -> Explanation:
    """Read an explanation back from the ``.json`` and ``.npz`` that `Explanation.save` wrote.

    Raises VlxError naming the file that is missing or damaged.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     paths = vlx.explain_caption(captioner, photo, "a dog").save(folder + "/dog")
    ...     vlx.load_explanation(folder + "/dog").words
    ('a', 'dog')
    """
    base = Path(stem)
    paths = base.with_name(base.name + ".json"), base.with_name(base.name + ".npz")
    for path in paths:
        if not path.is_file():
            raise VlxError(f"no file {path}: save an explanation as {base} first")
    try:
        return _read(*paths)
    except Exception as error:  # zipfile, zlib, NumPy, json and Pillow raise anything for a damaged file
        reason = f"no {error} in it" if isinstance(error, KeyError) else str(error).strip().split("\n")[0]
        raise VlxError(f"{base} is not a saved explanation: {reason or type(error).__name__}") from None


def _read(json_path: Path, npz_path: Path) -> Explanation:
    facts = json.loads(json_path.read_text(encoding="utf-8"))
    if facts["format"] != FORMAT:
        raise VlxError(f"its format is {facts['format']!r}, this version reads {FORMAT}")
    if not zipfile.is_zipfile(npz_path):
        raise VlxError(f"{npz_path.name} is no whole NPZ file")
    with np.load(npz_path, allow_pickle=False) as arrays:
        raw, photo = arrays["raw"], arrays["image_png"].tobytes()
    if raw.dtype.kind != "f":
        raise VlxError(f"its raw maps are of type {raw.dtype}, not floats")
    return Explanation(
        image=decode_image(photo, "its image"),
        frame=frame_of(**facts["frame"]),
        raw=raw,
        targets=tuple(_explained(**target) for target in facts["targets"]),
        provenance=Provenance(**facts["provenance"]),
        words=tuple(facts["words"]),
        prompt=facts["prompt"],
        unknown=tuple(facts["unknown"]),
        predicted=tuple((name, float(share)) for name, share in facts["predicted"]),
    )


def _plain(told: Explained | Provenance) -> dict[str, Any]:
    """What is known, without what was not asked for; ``from_image`` is for those who read the file."""
    known = asdict(told) | ({"from_image": told.from_image} if isinstance(told, Explained) else {})
    usual = ("probability", "batched")
    return {name: value for name, value in known.items() if name in usual or value is not None}


def _explained(*, score: Any, words: list[int], from_image: Any = None, **facts: Any) -> Explained:
    return Explained(score=float(score), words=tuple(words), **facts)
