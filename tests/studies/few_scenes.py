"""A few of the held-out scenes as a data folder of their own, so that tests read few records."""

import json
import shutil
from pathlib import Path
from typing import Any


def few_scenes(held_out: Path, folder: Path, numbers: tuple[int, ...]) -> Path:
    """The scenes of these ids with their masks, captions, questions and answers."""
    (folder / "images").mkdir(parents=True)
    for name in ("instances", "captions", "questions", "annotations"):
        told: dict[str, Any] = json.loads((held_out / f"{name}.json").read_text())
        for key, rows in told.items():
            if key in ("images", "annotations", "questions"):
                told[key] = [one for one in rows if one.get("image_id", one.get("id")) in numbers]
        (folder / f"{name}.json").write_text(json.dumps(told))
    for number in numbers:
        name = f"{number:012d}.jpg"
        shutil.copy(held_out / "images" / name, folder / "images" / name)
    return folder
