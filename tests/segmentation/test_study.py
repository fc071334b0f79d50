"""The study from end to end on a tiny folder, by the command line; seeds and scores against loops."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.conftest import Run
from tests.eval import small
from tests.segmentation.conftest import CLASSES, SIZE
from vlx.errors import VlxError
from vlx.eval.data.folder import look
from vlx.eval.data.records import DataError
from vlx.eval.measures.maps import area_average
from vlx.eval.measures.seeds import NONE, confusion, foreground, mean_iou, quality, seeds_of
from vlx.explain import explain
from vlx.methods.values import class_activation_map, grad_cam
from vlx.passes.targets import label
from vlx.segmentation.cues import Cues, write_cues
from vlx.segmentation.network import small_network
from vlx.segmentation.pictures import need_apart, pictures_in, true_labels
from vlx.segmentation.scores import counts_of, mean_iou_with_interval, segmented
from vlx.segmentation.seeding import background_seeds, class_seeds, quality_of
from vlx.segmentation.sheet import coloured

GRID = (10, 14)


def test_seeds_are_those_of_each_map_alone(voc: Path):
    pictures = pictures_in(look(voc, "train"))
    nothing = background_seeds(pictures, small.three_classes().at("1"), GRID)
    cues = class_seeds(pictures, small.three_classes(), grad_cam, nothing, GRID, batch=3)
    for at, image in enumerate(pictures.images):
        photo = Image.open(image.path).convert("RGB")
        (kind,) = pictures.shown[at]
        (found,) = explain(small.three_classes().read([photo]), [label(kind - 1)], grad_cam)
        cells = foreground(area_average(found.map(0), GRID))
        assert (cues.labels[at] == seeds_of({kind: cells}, nothing[at])).all()
    assert all(0 < one.sum() <= 14 for one in nothing)


def test_cam_and_grad_cam_agree_where_maps_are_averaged(voc: Path):
    pictures = pictures_in(look(voc, "train"))
    nothing = [np.zeros(GRID, bool)] * 4
    one, other = (
        class_seeds(pictures, small.three_classes(), method, nothing, GRID)
        for method in (grad_cam, class_activation_map)
    )
    cam = foreground(np.array([[1.0, -5.0]]))  # signed: what is below 0 is no seed of either
    assert cam.tolist() == [[True, False]]
    rectified = [(a == kind[0]).sum() for a, kind in zip(one.labels, pictures.shown, strict=True)]
    signed = [(a == kind[0]).sum() for a, kind in zip(other.labels, pictures.shown, strict=True)]
    # Means over cells come after the ReLU of the one and before that of none of the other.
    assert all(
        abs(int(a) - int(b)) <= 0.35 * GRID[0] * GRID[1] for a, b in zip(rectified, signed, strict=True)
    )


def test_true_labels_are_perfect_seeds_but_for_borders(voc: Path):
    pictures = pictures_in(look(voc, "train"))
    cues = true_labels(pictures, SIZE)
    told = quality(quality_of(pictures, cues))
    assert np.nanmin(told.precision) == np.nanmin(told.recall) == 1
    assert (cues.labels == NONE).sum() == 4 * 20  # what does not count is no seed


def test_images_without_a_mask_or_a_file_are_told(voc: Path):
    (voc / "SegmentationClass" / "1.png").write_text("no image")
    (voc / "JPEGImages" / "2.jpg").unlink()
    pictures = pictures_in(look(voc, "train"))
    assert pictures.ids == ("0", "3")
    assert len(pictures.lost) == 2
    assert pictures_in(look(voc, "train"), limit=1).ids == ("0",)
    for path in (voc / "JPEGImages").iterdir():
        path.unlink()
    (voc / "JPEGImages" / "other.jpg").write_bytes(b"")
    with pytest.raises(DataError, match="no image with a mask"):
        pictures_in(look(voc, "train"))


def test_sets_of_other_classes_are_refused(voc: Path):
    first = pictures_in(look(voc, "train"))
    (voc / "labels.txt").write_text("background\ndog\ncat\nbus\n")
    with pytest.raises(VlxError, match="car are not among"):
        need_apart(first, pictures_in(look(voc, "val")))


def test_the_mean_iou_is_of_one_matrix(voc: Path):
    pictures = pictures_in(look(voc))
    torch.manual_seed(0)
    network = small_network(3)
    torch.nn.init.normal_(network.last.weight)
    counts = counts_of(network, pictures, 224)
    total = np.zeros((4, 5))
    for at, image in enumerate(pictures.images):
        photo = Image.open(image.path).convert("RGB").resize((224, 224), Image.Resampling.BILINEAR)
        pixels = torch.from_numpy(np.asarray(photo, np.float32).copy()).permute(2, 0, 1)
        found = segmented(network, pixels, SIZE)
        assert found.shape == SIZE
        total += confusion(pictures.truth(at), found, 3)
    value, interval = mean_iou_with_interval(counts, pictures.ids)
    assert value == pytest.approx(float(mean_iou(total)))
    assert interval is not None
    assert interval[0] <= value <= interval[1]


def test_the_command_compares_networks_and_goes_on(voc: Path, tmp_path: Path, run: Run, small_models: None):
    asked = (
        "train", "sec", "--data", voc, "--split", "train", "--test-split", "val", "--steps", 2, "--batch", 2,
        "--every", 1, "--out", tmp_path / "out", "--pictures", 2, "--model", "small", "--cam-model", "small",
        "--threads", 1,
    )  # fmt: skip
    status, out, err = run(*asked)
    assert (status, err) == (0, "")
    for said in (
        "| grad_cam |",
        "| cam |",
        "| masks |",
        "grad_cam minus cam",
        "background everywhere",
        "step 2 of 2",
    ):
        assert said in out
    assert (tmp_path / "out" / "summary.md").read_text() in out
    assert {path.name for path in (tmp_path / "out").glob("*.png")} == {"seeds.png", "segmentations.png"}
    status, again, _ = run(*asked)
    assert "step" not in again.partition("Segmentation from seeds")[0]  # all was kept
    assert again.partition("Segmentation from seeds")[2] == out.partition("Segmentation from seeds")[2]
    status, _, err = run(*asked, "--seed", 1)
    assert status == 1
    assert "other settings" in err
    assert err.count("\n") == 1


def test_the_published_recipe_runs_a_few_steps_on_a_cue_file(
    voc: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
):
    import pickle

    held: dict[str, np.ndarray] = {}
    for at in range(4):
        held[f"{at}_labels"] = np.array([1 + at % 3])
        held[f"{at}_cues"] = np.array([[1 + at % 3, 0], [10, 30], [10, 30]])
    (tmp_path / "cues.pickle").write_bytes(pickle.dumps(held, protocol=2))
    (tmp_path / "list.txt").write_text("".join(f"{at}.jpg {at}\n" for at in range(4)))
    status, out, err = run(
        "train", "sec", "--recipe", "voc12", "--data", voc, "--split", "train", "--test-split", "val",
        "--seeds", "cues", "--cues", tmp_path / "cues.pickle", "--cues-list", tmp_path / "list.txt",
        "--steps", 2, "--batch", 1, "--test-limit", 1, "--limit", 2, "--no-weights",
        "--out", tmp_path / "out", "--threads", 1,
    )  # fmt: skip
    assert (status, err) == (0, "")
    assert "large_fov, 2 steps of 1 images of 321 x 321" in out
    assert "| cues |" in out


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["--seeds", "cues"], "--cues FILE"),
        (["--seeds", "grad_cm"], "grad_cam"),
        (["--recipe", "voc"], "voc12"),
        (["--seeds", "grad_cam", "--model", ""], "need --model"),
        (["--seeds", "cam", "--cam-model", ""], "--cam-model"),
        (["--device", "cuda:99"], "use cpu"),
        ([], "6 images to learn from are among those to test on"),
    ],
)
def test_what_cannot_be_is_one_line(
    voc: Path, tmp_path: Path, run: Run, small_models: None, given: list[str], says: str
):
    status, _, err = run("train", "sec", "--data", voc, "--out", tmp_path / "out", *given)
    assert status == 1
    assert err.count("\n") == 1
    assert says in err


def test_a_model_of_other_classes_is_refused(voc: Path):
    (voc / "labels.txt").write_text("background\nzebra\nbus\nboat\n")
    pictures = pictures_in(look(voc, "train"))
    with pytest.raises(VlxError, match="none of the classes zebra"):
        class_seeds(pictures, small.three_classes(), grad_cam, [np.zeros(GRID, bool)] * 4, GRID)


def test_what_the_crf_costs_is_printed(run: Run):
    status, out, _ = run("train", "crf", "--grid", 8, "--images", 1)
    assert status == 0
    assert "8 x 8 places, 21 classes" in out
    assert "ms and 0.0 MB" in out


def test_seeds_of_a_file_that_lacks_an_image_are_refused(voc: Path, tmp_path: Path):
    pictures = pictures_in(look(voc, "train"))
    write_cues(tmp_path / "a.npz", Cues(("0",), np.zeros((1, 2, 2), int), np.ones((1, 4), bool)))
    from vlx.segmentation.cues import aligned, read_cues

    with pytest.raises(DataError, match="no seeds of 1, and of 2 other"):
        aligned(read_cues(tmp_path / "a.npz"), pictures.ids)


def test_colours_tell_classes_apart():
    found = coloured(np.arange(-1, len(CLASSES) + 1)[None])
    assert len(np.unique(found[0], axis=0)) == len(CLASSES) + 2
