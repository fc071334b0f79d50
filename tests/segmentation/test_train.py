"""Training: the same after an interruption, deterministic, and right about what it is given."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from vlx.errors import NumericError, VlxError
from vlx.segmentation.crf import Crf
from vlx.segmentation.network import Segmenter, large_fov, network_named, small_network
from vlx.segmentation.pictures import Batch
from vlx.segmentation.recipe import SCENES, VOC12, Recipe, recipe_named
from vlx.segmentation.train import Training, full_loss, rows_of, sec_losses, train

RECIPE = Recipe(
    "tiny", "small", side=12, grid=(6, 6), steps=6, batch=2, rate=1e-2, last_rate=10.0, drop=0.5,
    drop_every=2, decay=1e-3, optimiser="sgd", frozen=False, mirror=True, crf=Crf(steps=2),
)  # fmt: skip


def network() -> Segmenter:
    torch.manual_seed(0)
    features = nn.Sequential(nn.Conv2d(3, 5, 3, 2, 1), nn.ReLU())
    head = nn.Sequential(nn.Conv2d(5, 6, 3, padding=1), nn.ReLU(), nn.Dropout(0.3))
    return Segmenter(features, head, nn.Conv2d(6, 4, 1), (0.5,) * 3, (0.25,) * 3)


def batch_of(rows: list[int]) -> Batch:
    random = torch.Generator().manual_seed(1)
    pixels = torch.rand(5, 3, 12, 12, generator=random) * 255
    labels = torch.randint(-1, 4, (5, 6, 6), generator=random)
    shown = torch.stack([(labels == kind).any(2).any(1) for kind in range(4)], 1)
    return Batch(pixels[rows], labels[rows], shown[rows])


def training(folder: Path, recipe: Recipe = RECIPE, *, full: bool = False, seed: int = 0) -> Training:
    return Training(recipe, full, 5, batch_of, folder / "checkpoint.pt", "these", seed, every=2)


def states(one: nn.Module) -> list[torch.Tensor]:
    return list(one.state_dict().values())


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
@pytest.mark.parametrize("full", [True, False])
def test_an_interrupted_training_ends_as_it_would_have(tmp_path: Path, optimiser: str, full: bool):
    recipe = replace(RECIPE, optimiser=optimiser)
    whole = train(network(), training(tmp_path / "whole", recipe, full=full))
    seen: list[int] = []

    def stop(done: int, _losses: dict[str, float]) -> None:
        seen.append(done)
        if len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(network(), training(tmp_path / "cut", recipe, full=full), stop)
    torch.rand(7)  # what random numbers come between does not matter
    again = train(network(), training(tmp_path / "cut", recipe, full=full), lambda done, _: seen.append(done))
    assert seen == [1, 2, 3, 3, 4, 5, 6]
    assert all(torch.equal(a, b) for a, b in zip(states(whole), states(again), strict=True))


def test_a_seed_decides_and_random_numbers_of_others_are_left_alone(tmp_path: Path):
    first, second = (train(network(), training(tmp_path / name)) for name in "ab")
    other = train(network(), training(tmp_path / "c", seed=1))
    assert all(torch.equal(a, b) for a, b in zip(states(first), states(second), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(states(first), states(other), strict=True))
    torch.manual_seed(5)
    wanted = torch.rand(3)
    fresh = network()
    torch.manual_seed(5)
    train(fresh, training(tmp_path / "d"))
    assert torch.equal(torch.rand(3), wanted)


def test_losses_fall(tmp_path: Path):
    for full in (True, False):
        told: list[float] = []
        recipe = replace(RECIPE, steps=60, drop=1.0, mirror=False)
        given = training(tmp_path / str(full), recipe, full=full)
        train(network(), given, lambda _done, losses, told=told: told.append(sum(losses.values())))
        assert sum(told[-10:]) < sum(told[:10])


def test_frozen_convolutions_stay_as_they_are(tmp_path: Path):
    before = [one.clone() for one in network().features.parameters()]
    found = train(network(), training(tmp_path, replace(RECIPE, frozen=True)))
    assert all(torch.equal(a, b) for a, b in zip(before, found.features.parameters(), strict=True))
    assert not torch.equal(network().last.weight, found.last.weight)


def test_every_image_comes_once_in_an_epoch():
    assert sorted(row for step in range(3) for row in rows_of(3, step, 6, 2)) == list(range(6))
    assert sorted(row for step in range(3, 6) for row in rows_of(3, step, 6, 2)) == list(range(6))
    assert len(rows_of(0, 0, 2, 16)) == 2


def test_a_mirrored_batch_has_mirrored_labels():
    batch = batch_of([0, 1])
    turned = batch.mirrored()
    assert torch.equal(turned.pixels[..., 0], batch.pixels[..., -1])
    assert torch.equal(turned.labels[..., 0], batch.labels[..., -1])


def test_losses_of_the_paper_and_of_masks():
    scores = torch.zeros(2, 4, 6, 6)
    losses = sec_losses(scores, batch_of([0, 1]), RECIPE)
    assert set(losses) == {"seed", "expand", "constrain"}
    assert float(losses["seed"]) == pytest.approx(float(torch.tensor(4.0).log()), rel=1e-3)
    assert float(full_loss(scores[:1], batch_of([0]))["cross-entropy"]) == pytest.approx(1.3863, rel=1e-3)


def test_what_does_not_fit_is_refused(tmp_path: Path):
    train(network(), training(tmp_path))
    with pytest.raises(VlxError, match="other settings"):
        train(network(), replace(training(tmp_path), settings="others"))
    (tmp_path / "checkpoint.pt").write_bytes(b"nothing")
    with pytest.raises(VlxError, match="no checkpoint that can be read"):
        train(network(), training(tmp_path))
    with pytest.raises(VlxError, match="the recipe has"):
        train(network(), training(tmp_path / "grid", replace(RECIPE, grid=(9, 9))))
    broken = network()
    nn.init.constant_(broken.last.weight, float("nan"))
    with pytest.raises(NumericError, match="step 1"):
        train(broken, training(tmp_path / "nan"))
    with pytest.raises(VlxError, match="voc12"):
        recipe_named("voc")
    with pytest.raises(VlxError, match="large_fov"):
        network_named("unet", 3)


def test_recipes_fit_their_networks():
    small = small_network(3)(torch.zeros(1, 3, SCENES.side, SCENES.side))
    assert (small.shape[1], tuple(small.shape[2:])) == (4, SCENES.grid)
    with torch.device("meta"):
        large = large_fov(20, weights=False)
        found = large(torch.zeros(1, 3, VOC12.side, VOC12.side))
    assert (found.shape[1], tuple(found.shape[2:])) == (21, VOC12.grid)


def test_the_small_network_has_the_built_in_convolutions():
    from vlx.adapters.files.weights import load_weights
    from vlx.scenes.models import ASSETS

    held = load_weights(ASSETS / "cnn.safetensors")
    found = small_network(2).state_dict()
    assert torch.equal(found["features.0.weight"], held["features.0.weight"])
