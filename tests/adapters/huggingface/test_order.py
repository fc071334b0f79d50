"""Where the tokens of a layer lie: a marked patch changes its own cell, whatever the order of tokens."""

import re
from copy import deepcopy

import pytest
from PIL import Image

import vlx
from tests.adapters.huggingface import tiny
from tests.adapters.huggingface.test_speakers import noise
from vlx.adapters.huggingface import wrap
from vlx.errors import LayerError

PLACES = ((0.3, 0.35), (0.3, 0.65), (0.7, 0.35), (0.7, 0.65), (0.1, 0.9))


def wrapped(build, layer=None, *, mixing=True):
    model, processor = build()
    if not mixing:  # patches keep to themselves
        model = deepcopy(model)
        for name, parameter in model.named_parameters():
            if re.search(r"att|mlp|fc|ffn|dense|intermediate|output", name) and "patch" not in name:
                parameter.data *= 0.02
    return wrap(model, *(processor if isinstance(processor, tuple) else (processor,)), layer=layer)


def marked_cells(adapter, size=(64, 96)):
    """The middle of the cell that each marked place changes most, in pixels of the image, and the place."""
    height, width = size

    def features(picture):
        texts = (["a dog"],) if hasattr(adapter, "generate") or hasattr(adapter, "compare") else ()
        run = (adapter.compare if hasattr(adapter, "compare") else adapter.read)([picture], *texts)
        return run.grid(run.features.detach())[0], run.frames[0]

    before, frame = features(Image.new("RGB", (width, height), (110, 120, 130)))
    rows, cols = before.shape[1:]
    for row, col in PLACES:
        marked = Image.new("RGB", (width, height), (110, 120, 130))
        top, left = round(row * height), round(col * width)
        marked.paste((250, 20, 40), (left - 4, top - 4, left + 4, top + 4))
        at = divmod(int((features(marked)[0] - before).norm(dim=0).argmax()), cols)
        high, wide = frame.input_size
        yield (
            frame.to_image((at[0] + 0.5) * high / rows, (at[1] + 0.5) * wide / cols),
            (top, left),
            (rows, cols),
        )


HIERA = (
    None, "hiera.embeddings", "hiera.embeddings.patch_embeddings", "hiera.encoder",
    "hiera.encoder.stages.0.layers.0", "hiera.encoder.stages.1.layers.0.layernorm_before",
    "hiera.encoder.stages.1.layers.0", "hiera.encoder.stages.2.layers.1.attn.qkv",
    "hiera.encoder.stages.2.layers.1.mlp", "hiera.encoder.stages.3.layers.0.layernorm_after",
)  # fmt: skip


@pytest.mark.parametrize(
    ("build", "layer"),
    [
        *((tiny.hiera, layer) for layer in HIERA),
        (tiny.hiera_gpt2, None),
        (tiny.hiera_gpt2, "encoder.encoder.stages.1.layers.0"),
        (tiny.swin_gpt2, None),
        (tiny.swin_gpt2, "encoder.encoder.layers.1.blocks.0.layernorm_before"),
        (tiny.swin, "swin.encoder.layers.1.blocks.0.layernorm_after"),
        (tiny.swin, "swin.encoder.layers.0.blocks.0"),
        (tiny.naflex, None),
        (tiny.naflex_classifier, None),
        (tiny.naflex_classifier, "vision_model.embeddings"),
    ],
)
def test_a_marked_patch_changes_its_own_cell(build, layer):
    adapter = wrapped(build, layer, mixing=False)
    for size in ((64, 96), (96, 64)) if layer is None else ((64, 96),):
        for found, (top, left), (rows, cols) in marked_cells(adapter, size):
            assert abs(found[0] - top) <= 4 + 0.5 * size[0] / rows, (found, top, left, rows, cols)
            assert abs(found[1] - left) <= 4 + 0.5 * size[1] / cols, (found, top, left, rows, cols)


@pytest.mark.parametrize(
    ("build", "layer", "complaint"),
    [
        (tiny.swin, "swin.encoder.layers.0.blocks.0.attention", "64 pieces, such as windows"),
        (tiny.swin, "swin.encoder.layers.1.blocks.0.attention.q_proj", "16 pieces, such as windows"),
        (tiny.swin_gpt2, "encoder.encoder.layers.0.blocks.0.attention.o_proj", "pieces, such as windows"),
    ],
)
def test_layers_inside_attention_over_windows_are_refused(build, layer, complaint):
    adapter = wrapped(build, layer)
    with pytest.raises(LayerError, match=complaint):
        adapter.read([noise()], *((["a dog"],) if hasattr(adapter, "generate") else ()))


def test_maps_of_mask_units_lie_where_their_cells_do():
    """A batch too, and the same gradients whatever the order."""
    adapter = wrapped(tiny.hiera)
    run = adapter.read([noise(), noise(seed=1)])
    together = vlx.explain(run, [vlx.label(0)])
    for image, result in zip((noise(), noise(seed=1)), together, strict=True):
        (alone,) = vlx.explain(adapter.read([image]), [vlx.label(0)])
        assert result.raw == pytest.approx(alone.raw, rel=1e-3, abs=1e-6)
        assert result.raw.shape == (1, 4, 6)
