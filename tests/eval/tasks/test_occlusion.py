"""Occlusion compares maps on the network input: the image that is prepared twice is the same."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from tests.eval import small
from vlx.errors import VlxError
from vlx.eval.items.models import with_controls
from vlx.eval.tasks.occlusion import for_input, on_input, prepared_view
from vlx.images.preprocess import Preprocess, ShortSide, Squash


@pytest.mark.parametrize(
    "preprocess",
    [
        Preprocess(Squash((20, 30)), channels="BGR", scale=255.0, mean=(104.0, 117.0, 123.0), std=(1.0,) * 3),
        Preprocess(ShortSide(24), (20, 20)),
        Preprocess(ShortSide(16), (20, 20), mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25)),
    ],
    ids=["squashed BGR", "cropped", "padded"],
)
def test_a_view_prepared_again_is_the_same_network_input(preprocess: Preprocess) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 52, 3), dtype=np.uint8)
    model = SimpleNamespace(preprocess=preprocess)
    first, _ = preprocess(Image.fromarray(pixels))
    view = prepared_view(model, Image.fromarray(pixels))
    second, frame = on_input(model).preprocess(view)
    assert frame.image_size == frame.input_size == (view.height, view.width)
    step = preprocess.scale / 255 / min(preprocess.std)  # one grey level; padding is rounded to one
    assert float((first - second).abs().max()) <= 0.51 * step
    seen = (first != 0).all(0)
    assert torch.allclose(first[:, seen], second[:, seen], atol=1e-4 * preprocess.scale)


def test_a_model_that_does_not_say_how_it_prepares_images_is_refused() -> None:
    with pytest.raises(VlxError, match="needs a model with a preprocess"):
        on_input(SimpleNamespace(name="x"))


def test_a_preprocess_of_another_kind_is_left_alone() -> None:
    for model in (SimpleNamespace(name="x"), SimpleNamespace(name="x", preprocess=lambda image: image)):
        models = with_controls(model)
        assert for_input(models) == (models, None)
    models = with_controls(small.vqa())
    changed, view = for_input(models)
    assert view is not None
    assert changed.trained.preprocess != models.trained.preprocess
