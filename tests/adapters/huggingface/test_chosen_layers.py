"""Layers by where they stand, in models of transformers: stages are found, a grid that stays is an error."""

import pytest

from tests.adapters.huggingface import tiny
from vlx.adapters.huggingface import wrap
from vlx.errors import LayerError


@pytest.mark.parametrize(
    ("make", "last", "finer"),
    [
        (tiny.swin, "swin.encoder.layers.2.blocks.0.layernorm_before", "swin.encoder.layers.1.blocks.0"),
        (tiny.hiera, "hiera.encoder.stages.3.layers.0.layernorm_before", "hiera.encoder.stages.1"),
        (tiny.resnet, "resnet.encoder.stages.1", "resnet.encoder.stages.0"),
    ],
)
def test_stages_are_found(make, last, finer):
    made = make()
    assert wrap(*made, layer="last").layer == wrap(*made).layer == last
    assert wrap(*made, layer="last/2").layer == finer


@pytest.mark.parametrize("make", [tiny.vit, tiny.clip, tiny.vilt, tiny.blip, tiny.blip_vqa, tiny.llava])
def test_a_grid_that_never_changes_is_a_clear_error(make):
    made = make()
    assert wrap(*made, layer="last").layer == wrap(*made).layer
    with pytest.raises(LayerError, match=r"^last/2: all blocks have 4 x 4 places: name a block$"):
        wrap(*made, layer="last/2")


def test_patches_that_a_processor_cuts_have_no_known_rows():
    made = tiny.qwen2_vl()
    with pytest.raises(LayerError, match=r"rows and columns at model\.visual are not known: name a layer"):
        wrap(*made, layer="last/2")
