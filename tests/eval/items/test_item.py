"""Items: which are drawn, in which order, and by what two lists of them differ."""

import shutil
from dataclasses import replace
from pathlib import Path

from vlx.eval.data.folder import look
from vlx.eval.items.item import digest, drawn, seed_of
from vlx.eval.items.options import Options
from vlx.eval.items.truth import Region
from vlx.eval.tasks.attention import ATTENTION
from vlx.eval.tasks.boxes import BOXES
from vlx.eval.tasks.pointing import POINTING


def test_a_draw_is_random_of_the_seed_and_keeps_images_whole(world: Path) -> None:
    items = BOXES.items(look(world), "captioner", Options())
    some = drawn(items, 4, 0)
    assert len({item.cluster for item in some}) == 4
    assert len(some) == 20
    order = {item.id: at for at, item in enumerate(items)}
    assert [order[item.id] for item in some] == sorted(order[item.id] for item in some)
    assert {item.id for item in drawn(items, 4, 2)} != {item.id for item in some}
    assert [item.id for item in drawn(items[::-1], 4, 0)] == [item.id for item in some[::-1]]
    assert {item.id for item in drawn(items, 3, 0)} < {item.id for item in some}
    assert drawn(items, None, 0) == items
    assert len(drawn(items, 1000, 0)) == len(items)


def test_seeds_belong_to_names() -> None:
    assert seed_of(0, "a") == seed_of(0, "a")
    assert len({seed_of(0, "a"), seed_of(1, "a"), seed_of(0, "b"), seed_of(11, ""), seed_of(1, "1")}) == 5


def test_a_digest_knows_texts_and_truth_but_no_folder(world: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(world, tmp_path / "elsewhere"))
    for task, model_type in ((BOXES, "captioner"), (POINTING, "captioner"), (ATTENTION, "vqa")):
        here, there = (task.items(look(folder), model_type, Options()) for folder in (world, copy))
        assert digest(here) == digest(there)
        assert digest(here[:-1]) != digest(here)
        assert digest([replace(here[0], text="x"), *here[1:]]) != digest(here)
    items = BOXES.items(look(world), "captioner", Options())
    assert isinstance(items[0].truth, Region)
    moved = replace(items[0], truth=replace(items[0].truth, box=replace(items[0].truth.box, x=1.5)))
    assert digest([moved]) != digest(items[:1])
