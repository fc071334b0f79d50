"""What images show, by all that is known of them: what is not there can then be told."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from vlx.eval.data.coco import Captions, Instances, read_captions, read_instances
from vlx.eval.data.folder import DataFolder
from vlx.eval.data.lexicon import built_in, categories_named
from vlx.eval.data.published import CAPTIONS, INSTANCES
from vlx.eval.data.records import DataError
from vlx.eval.items.item import Item


def shown_in(instances: Instances, image_id: int, texts: Iterable[str]) -> tuple[str, ...] | None:
    """The categories that an image may show, in alphabetical order; None where its instances are not known.

    Those of its segments, crowds and damaged ones included, and those that a word of the texts may name. A
    category of the lexicon that the instances do not have may be there too.
    """
    if image_id not in instances.images:
        return None
    found = {one.category for one in instances.of(image_id)}
    found |= {category for image, category in instances.lost if image == image_id}
    found |= set(built_in().names) - set(instances.categories)
    return tuple(sorted(found | categories_named(texts)))


def with_shown(folder: DataFolder, items: Sequence[Item]) -> list[Item]:
    """The items with what `shown_in` says of their images, by all captions of the folder and their own texts.

    An image is known by the name of its file. Of one that the COCO instances of the folder do not have, or
    without such instances, it is not known: regions never tell what they do not show.
    """
    try:
        instances = read_instances(folder.path(INSTANCES), _passed_by)
    except DataError:
        return list(items)
    captions = _captions(folder)
    numbers: dict[str, list[int]] = {}
    for image in instances.images.values():
        numbers.setdefault(PurePosixPath(image.file_name).name, []).append(image.id)
    texts: dict[str, list[str]] = {}
    for item in items:
        texts.setdefault(item.image.name, []).append(item.text)
    known: dict[str, tuple[str, ...] | None] = {}
    for name, mine in texts.items():
        said = [one.text for at in numbers.get(name, ()) for one in captions.by_image.get(at, ())]
        each = [shown_in(instances, at, (*mine, *said)) or () for at in numbers.get(name, ())]
        known[name] = tuple(sorted({category for one in each for category in one})) if each else None
    return [replace(item, shown=known[item.image.name]) for item in items]


def _captions(folder: DataFolder) -> Captions:
    """The captions of a folder; none where they cannot be read, and what the instances say stands."""
    try:
        return read_captions(folder.path(CAPTIONS), _passed_by)
    except DataError:
        return Captions({}, {})


def _passed_by(_error: DataError) -> None:
    """A damaged record is told by those who measure it."""
