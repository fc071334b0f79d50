"""Decisions of every kind of model, and dissections of awkward data."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import cycle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import vlx
from tests.eval import small
from tests.studies.test_neurons_broden import LABELS, broden
from tests.studies.test_neurons_study import SIDE, planted, squares
from vlx.errors import ImageError, VlxError
from vlx.eval.data.folder import look
from vlx.eval.data.vqa import Question
from vlx.images.preprocess import Squash
from vlx.passes.forward import Pass
from vlx.studies.neurons.concepts import MaskData
from vlx.studies.neurons.decisions import again, decisions_in, row_of
from vlx.studies.neurons.dissect import dissect, load_dissection, save_dissection
from vlx.studies.neurons.explained import Telling
from vlx.studies.neurons.features import reader
from vlx.studies.neurons.named import mask_data
from vlx.studies.neurons.names import called, names_from
from vlx.studies.neurons.of_folder import folder_masks
from vlx.studies.neurons.tally import Counts
from vlx.studies.neurons.zeroed import BEARERS, GROUPS, falls, groups_of


@pytest.fixture(scope="module")
def scenes(held_out: Path) -> MaskData:
    return folder_masks(look(held_out))


def test_scenes_know_objects_colours_and_grounds(scenes: MaskData):
    by = {one.category: scenes.categories.index(one.category) for one in scenes.concepts}
    assert by == {"object": 0, "colour": 1, "ground": 2}
    masks = scenes.images[1].masks()
    named = {scenes.concepts[at].name: mask for at, mask in masks.items()}
    assert set(named) == {"suitcase", "car", "blue", "purple", "road"}
    objects = np.any([m for at, m in masks.items() if scenes.concepts[at].category == "object"], 0)
    (ground,) = (m for at, m in masks.items() if scenes.concepts[at].category == "ground")
    assert np.array_equal(ground, ~objects)
    assert all(mask.shape == (112, 112) for mask in masks.values())


def test_answers_to_questions_are_decisions(scenes: MaskData):
    model = vlx.load("scenes/vqa")
    image = scenes.images[1]
    asked = ("what colour is the car ?", "is there a car ?", "what colour is the car ?")
    questions = {image.id: [Question(at, 2, text) for at, text in enumerate(asked)]}
    row = row_of(model, scenes, questions, 0)(image)
    found = decisions_in(image.id, row)
    assert [one.text for one in found] == [asked[0]], "yes and no are no concepts; a question counts once"
    assert scenes.concepts[found[0].own or 0].name == found[0].target
    other = scenes.concepts[found[0].other or 0]
    assert other.category == "colour"
    assert found[0].other not in image.masks()
    assert found[0].importance.shape == found[0].activity.shape == (160,)
    same = decisions_in(image.id, again(model, image, row))
    np.testing.assert_allclose(same[0].importance, found[0].importance)
    names = names_from(_all_named(found[0].own or 0, len(scenes.concepts)), scenes.concepts)
    units = groups_of(found[0], scenes, names, Telling(iou=0.0), 0)
    lost = falls(model, image, found, lambda _one: units)["falls"]
    assert set(GROUPS) <= set(lost[0])
    assert lost[0][BEARERS] != 0


def _all_named(concept: int, concepts: int) -> Counts:
    """The first 40 of 160 units bear one name, the others another."""
    shared = np.zeros((160, concepts))
    shared[:40, concept], shared[40:, (concept + 1) % concepts] = 1, 1
    return Counts(shared, np.ones((160, 3)), np.ones(concepts), np.ones(concepts))


def test_words_of_a_caption_are_decisions(scenes: MaskData):
    row = row_of(vlx.load("scenes/captioner"), scenes, {}, 0)(scenes.images[1])
    found = decisions_in(scenes.images[1].id, row)
    words = {scenes.concepts[one.own].name for one in found if one.own is not None}
    assert {"suitcase", "car", "road"} <= words
    assert all(one.target in one.text.split() for one in found)


def test_grids_of_several_sizes_have_the_exact_threshold(tmp_path: Path):
    data = folder_masks(look(squares(tmp_path / "data", 6)))
    sides = (8, 32, 16, 32, 8, 16)  # the first tells of fewer values than there will be
    models = {side: planted() for side in set(sides)}
    for side, model in models.items():
        model.preprocess = replace(model.preprocess, resize=Squash((side, side)))
    turns = cycle(sides)

    def read(images: Sequence[Image.Image]) -> Pass:
        if len(images) > 1:
            raise ImageError("sizes differ")
        return models[next(turns)].read(images)

    found = dissect(read, data, share=0.1)
    values = [
        models[side].read([vlx.open_image(image.path)]).features.detach()[0].flatten(1).numpy()
        for image, side in zip(data.images, sides, strict=True)
    ]
    expected = np.quantile(np.concatenate(values, 1).astype(float), 0.9, axis=1)
    np.testing.assert_allclose(found.thresholds, expected, atol=1e-12)


def test_broden_names_the_planted_units(tmp_path: Path):
    squares(tmp_path / "squares", 6)
    rows: list[str] = []
    root = tmp_path / "broden"
    broden(root, "", LABELS)
    for at in range(6):
        photo = Image.open(tmp_path / "squares" / "images" / f"{at}.png")
        photo.save(root / "images" / f"{at}.png")
        red = np.asarray(photo)[..., 0] > 0
        Image.fromarray((red[..., None] * np.array([1, 0, 0])).astype(np.uint8)).save(
            root / "images" / f"{at}_color.png"
        )
        cells = f"{at}_color.png,,,,," if red.any() else ",,,,301,"
        rows.append(f"{at}.png,train,{SIDE},{SIDE},{SIDE},{SIDE},{cells}\n")
    broden(root, "".join(rows))
    data = mask_data(str(root), None)
    found = dissect(reader(planted()), data, share=0.06)
    names = names_from(found.counts, data.concepts)
    assert [one and one.shown for one in (called(names, unit, 0.5) for unit in (0, 4))] == ["red", "red"]
    assert called(names, 3, 0.0) is None
    assert mask_data(str(root), None, ("color",)).categories == ("color",)


def test_a_dissection_is_kept_whole(tmp_path: Path):
    data = folder_masks(look(squares(tmp_path / "data", 9)))
    found = dissect(reader(planted()), data, share=0.06, seed=3)
    save_dissection(tmp_path / "kept.npz", found)
    read = load_dissection(tmp_path / "kept.npz")
    for one, other in zip((*found.parts, found.permuted), (*read.parts, read.permuted), strict=True):
        assert np.array_equal(one.intersect, other.intersect)
        assert np.array_equal(one.active, other.active)
    assert (read.part_of, read.concepts, read.dead) == (found.part_of, found.concepts, 1)
    assert np.array_equal(read.best, found.best)
    left, right = found.halves()
    assert np.array_equal((left + right).truth, found.counts.truth)
    image = data.images[0].id
    own = found.parts[found.part_of[image]]
    assert np.array_equal((found.without(image) + own).intersect, found.counts.intersect)
    (tmp_path / "kept.npz").write_bytes(b"PK")
    with pytest.raises(VlxError, match="is damaged"):
        load_dissection(tmp_path / "kept.npz")


def test_images_that_cannot_be_read_are_left_out(tmp_path: Path):
    root = squares(tmp_path / "data", 6)
    (root / "images" / "2.png").write_bytes(b"no image")
    (root / "images" / "3.png").unlink()
    data = folder_masks(look(root))
    assert data.left_out == {"no_image": 1}
    found = dissect(reader(planted()), data, share=0.06)
    assert found.left_out == {"no_image": 1, "damaged_image": 1}
    assert set(found.part_of) == {"0", "1", "4", "5"}


def test_a_model_without_a_part_above_says_so(tmp_path: Path):
    data = folder_masks(look(squares(tmp_path / "data", 3)))

    class Alone:
        labels = ("red", "green", "blue")
        layer = "1"

        def read(self, images: Sequence[Image.Image]) -> Pass:
            return replace(planted().read(images), above=None)

    row = row_of(Alone(), data, {}, 0)(data.images[0])
    found = decisions_in("0", row)
    lost = falls(Alone(), data.images[0], found, lambda _one: {name: [0] for name in GROUPS})
    assert lost["falls"] == [{"left_out": "nothing_runs_above_the_layer"}]


def test_half_precision_is_dissected(tmp_path: Path):
    model = small.three_classes()
    model.network.to(torch.bfloat16)
    data = folder_masks(look(squares(tmp_path / "data", 4)))
    found = dissect(reader(model), data, share=0.1)
    assert found.thresholds.shape == (6,)
