"""What a JSON file holds, told by its first records and not by its name; it is not read as a whole."""

import gzip
import json
import mmap
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlx.eval.data.records import begins, is_gzip, unzipped

Bytes = bytes | mmap.mmap

CAPTIONS, INSTANCES = "COCO captions", "COCO instances"
DENSECAP, REGIONS = "DenseCap results", "Visual Genome regions"
QUESTIONS, ANSWERS = "VQA v{} questions", "VQA v{} annotations"

_LISTS = re.compile(rb'"(images|annotations|questions|results|categories)"\s*:\s*\[')
_KEY = re.compile(rb'"([^"\\]{1,40})"\s*:')
_FIRST_KEY = re.compile(rb'\s*\{\s*"(?:[^"\\]|\\.)*"\s*:')
_BETWEEN = re.compile(r"[\s,]*")
_FIRST = 4  # records that are looked at
_RECORD = (1 << 16, 1 << 22)  # bytes in which a first record is sought, then more


@dataclass(frozen=True)
class Content:
    """What was found in a file."""

    format: str | None
    """The name of the source that it is, where evaluations read it."""
    says: str
    """For a person: what it is, or how it begins."""
    sure: bool = True
    """Whether it is known what the file is, though it may be nothing that is read."""


def content_of(path: Path) -> Content:
    """What a JSON file holds; what cannot be read or is no JSON is said, not raised.

    >>> from vlx.scenes import held_out_scenes
    >>> content_of(held_out_scenes() / "captions.json").says
    'COCO captions'
    """
    try:
        if is_gzip(path):
            return _content(unzipped(path))
        with path.open("rb") as file:
            if not path.stat().st_size:
                return Content(None, "an empty file", sure=False)
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
                content = _content(mapped)
        instead = None if content.format or content.sure else begins(path)
        return Content(None, instead, sure=False) if instead else content
    except (OSError, ValueError, EOFError, gzip.BadGzipFile) as error:
        return Content(None, f"a file that cannot be read ({error})", sure=False)


def _content(text: Bytes) -> Content:
    start = bytes(text[:4096]).removeprefix(b"\xef\xbb\xbf").lstrip()
    at = text.find(start[:1]) if start else 0
    if start.startswith(b"["):
        return _of_list(_record(text, at + 1), start)
    if not start.startswith(b"{"):
        return Content(None, "no JSON text", sure=False)
    found = _lists(text)
    for judge in (_of_questions, _of_annotations, _of_others):
        content = judge(found)
        if content is not None:
            return content
    return _of_keyed(text, at, start)


def _lists(text: Bytes) -> dict[str, Mapping[str, Any]]:
    """The first record of the lists that formats have, up to the one that decides."""
    found: dict[str, Mapping[str, Any]] = {}
    for match in _LISTS.finditer(text):
        name = match[1].decode()
        if name not in found:
            found[name] = _record(text, match.end())
        if "sentences" in found[name] or (found[name] and name not in ("images", "categories")):
            break
    return found


def _record(text: Bytes, at: int) -> Mapping[str, Any]:
    """Of the first values of a list from a byte on the object with the most keys: some may be damaged."""
    for length in _RECORD:
        part = bytes(text[at : at + length]).decode("utf-8", "replace")
        found = _values(part)
        if found:
            return max((one for one in found if isinstance(one, dict)), key=len, default={})
    return {}


def _values(part: str) -> list[object]:
    """The first values of a list whose end may be cut off."""
    found: list[object] = []
    at = 0
    try:
        while len(found) < _FIRST:
            value, at = json.JSONDecoder().raw_decode(part, _start(part, at))
            found.append(value)
    except (ValueError, RecursionError):
        pass
    return found


def _start(part: str, at: int) -> int:
    """Where the next value begins."""
    between = _BETWEEN.match(part, at)
    return between.end() if between else at


def _of_questions(found: Mapping[str, Mapping[str, Any]]) -> Content | None:
    if "questions" not in found:
        return None
    first = found["questions"]
    if {"question_id", "image_id", "question"} <= set(first):
        return _read(QUESTIONS.format(_version(first)))
    if {"image_filename", "question"} <= set(first):
        return Content(None, "questions of CLEVR")
    return Content(None, f"questions that are not VQA's ({_keys(first)})")


def _of_annotations(found: Mapping[str, Mapping[str, Any]]) -> Content | None:
    if "annotations" not in found:
        return None
    first = found["annotations"]
    if {"question_id", "answers"} <= set(first):
        return _read(ANSWERS.format(_version(first)))
    if {"image_id", "caption"} <= set(first):
        return _read(CAPTIONS)
    if "segments_info" in first:
        return Content(None, "panoptic segments of COCO, not instances")
    if "keypoints" in first:
        return Content(None, "keypoints of COCO, not instances")
    if {"image_id", "category_id"} <= set(first) and {"bbox", "segmentation"} & set(first):
        return _read(INSTANCES)
    if not first and "file_name" in found.get("images", {}):  # images may well show none of the categories
        kind = set(found.get("categories", {}))
        if {"id", "name"} <= kind and not {"keypoints", "isthing"} & kind:
            return _read(INSTANCES)
    return Content(None, f"annotations of another format ({_keys(first)})", sure=bool(first))


def _of_others(found: Mapping[str, Mapping[str, Any]]) -> Content | None:
    if {"img_name", "boxes"} <= set(found.get("results", {})):
        return _read(DENSECAP)
    if "results" in found:
        return Content(None, f"results that are not DenseCap's ({_keys(found['results'])})")
    first = found.get("images")
    if first is None:
        return None
    if "sentences" in first:
        return Content(CAPTIONS, "captions of Karpathy's splits")
    if "file_name" in first:
        return Content(None, "images of COCO without annotations")
    return Content(None, f"images of another format ({_keys(first)})", sure=bool(first))


_LISTED = (
    ({"image_id", "caption"}, "captions that a model wrote (COCO results), not reference captions"),
    ({"image_id", "category_id", "bbox"}, "detections (COCO results), not instances"),
    ({"image_id", "category_id", "segmentation"}, "detections (COCO results), not instances"),
    ({"question_id", "answer"}, "answers that a model gave (VQA results)"),
    ({"qas"}, "questions and answers of Visual Genome, which are not read"),
    ({"objects"}, "objects of Visual Genome, not its regions"),
    ({"relationships"}, "relationships of Visual Genome, not its regions"),
    ({"attributes"}, "attributes of Visual Genome, not its regions"),
    ({"width", "height", "url"}, "the images of Visual Genome (image_data.json), not its regions"),
    ({"image", "caption"}, "captions of images as BLIP's training reads them, which are not read"),
)


def _of_list(first: Mapping[str, Any], start: bytes) -> Content:
    keys, regions = set(first), first.get("regions")
    if isinstance(regions, list) and all(isinstance(one, dict) and "phrase" in one for one in regions[:1]):
        return _read(REGIONS)
    for wanted, says in _LISTED:
        if wanted <= keys:
            return Content(None, says)
    return Content(None, f"a list of another format ({_keys(first)})", sure=bool(keys))


def _of_keyed(text: Bytes, at: int, start: bytes) -> Content:
    """What an object without a known list is, by its first value."""
    key = _FIRST_KEY.match(start)
    first = _record(text, at + key.end()) if key else {}
    if {"imageId", "question"} <= set(first):
        return Content(None, "questions of GQA, which are not read")
    if {"filename", "regions"} <= set(first):
        return Content(None, "annotations of the VGG image annotator, which are not read")
    names = [name.decode("utf-8", "replace") for name in _KEY.findall(start)]
    if {"shapes", "imagePath"} <= set(names):
        return Content(None, "annotations of labelme, which are not read")
    told = f"an object that begins with {', '.join(names[:5])}" if names else "an empty object"
    return Content(None, told, sure=False)


def _read(format: str) -> Content:
    return Content(format, format)


def _version(record: Mapping[str, Any]) -> int:
    """Of VQA, by its numbers: an image's id times 10, or times 1000, plus a few."""
    question, image = record.get("question_id"), record.get("image_id")
    if isinstance(question, int) and isinstance(image, int):
        return 2 if question // 1000 == image and question // 10 != image else 1
    return 1


def _keys(record: Mapping[str, Any]) -> str:
    shown = ", ".join(list(record)[:6])
    return f"its records have {shown}" if shown else "its records are empty or no objects"
