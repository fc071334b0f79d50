"""Texts and images that transformers stumbles over, or cuts without a word: one line says what is wrong."""

import numpy as np
import pytest
from PIL import Image

import vlx
from tests.adapters.huggingface import tiny
from tests.adapters.huggingface.test_speakers import noise
from vlx.adapters.huggingface import wrap
from vlx.adapters.huggingface.refusals import need_room, preparing, room_of
from vlx.errors import ImageError, TextError, VlxError

EVERY = (*tiny.SPEAKERS, tiny.vit, tiny.swin, tiny.vilt, tiny.clip, tiny.siglip, tiny.naflex)


def wrapped(build):
    model, processor = build()
    return wrap(model, *(processor if isinstance(processor, tuple) else (processor,)))


def explained(adapter, image, text="a dog"):
    if hasattr(adapter, "compare"):
        return vlx.explain_match(adapter, image, [text, "grass"])
    if hasattr(adapter, "generate"):
        return vlx.explain_caption(adapter, image, text)
    return vlx.explain_answer(adapter, image, text) if hasattr(adapter, "answers") else (
        vlx.explain_label(adapter, image)
    )  # fmt: skip


@pytest.mark.parametrize("build", EVERY)
def test_thin_images_are_explained_or_refused_in_one_line(build):
    """Never by an error that ends a batch of files, and a map that is drawn lies on the image."""
    adapter = wrapped(build)
    for width, height in ((1, 1), (1, 60), (60, 1), (3, 60), (60, 3), (2, 500), (500, 2), (4, 4), (10, 1000)):
        image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8))
        refused, result = "", None
        try:
            result = explained(adapter, image)
        except ImageError as error:
            refused = str(error)
        if result is None:
            assert f"{width} x {height} pixels" in refused
            assert len(refused.splitlines()) == 1
            assert "give one" in refused
            continue
        assert min(width, height) > 1
        assert np.isfinite(result.raw).all()
        top, left, bottom, right = result.frame.box
        assert (top + bottom) / 2 == pytest.approx(height / 2, abs=0.02 * height + 0.2)
        assert (left + right) / 2 == pytest.approx(width / 2, abs=0.02 * width + 0.2)


@pytest.mark.parametrize(
    ("build", "size"), [(tiny.blip, (1, 60)), (tiny.vilt, (3, 60)), (tiny.qwen2_vl, (2, 500))]
)
def test_a_bad_image_of_several_is_named(build, size):
    adapter, good, bad = wrapped(build), noise(), Image.new("RGB", size)
    with pytest.raises(ImageError, match=rf"image 2 of 2: .* {size[0]} x {size[1]} pixels"):
        adapter.read([good, bad], ["a dog", "a dog"])
    assert adapter.read([good], ["a dog"]).batch == 1


SIGNS = {
    tiny.llava: "<image>", tiny.qwen2_vl: "<vs>", tiny.internvl: "<ctx>",
    tiny.idefics3: "<fake_token_around_image>", tiny.paligemma: "<image>", tiny.blip: "[SEP]",
    tiny.git: "[CLS]", tiny.vit_gpt2: "[EOS]", tiny.blip2_t5: "<image>",
}  # fmt: skip


@pytest.mark.parametrize("build", SIGNS)
@pytest.mark.parametrize("where", ["prompt", "text"])
def test_signs_of_the_models_own_in_a_text(build, where):
    adapter, sign = wrapped(build), SIGNS[build]
    prompts = [f"what is {sign} there"] if where == "prompt" else None
    said = f"a {sign} dog" if where == "text" else "a dog"
    if prompts and not adapter.family.takes_prompt:
        return
    with pytest.raises(TextError, match=r"holds '.*', a sign of the model's own: leave it out"):
        adapter.read([noise()], [said], prompts)
    if prompts:
        with pytest.raises(TextError, match="leave it out"):
            adapter.respond([noise()], prompts)


@pytest.mark.parametrize("build", [tiny.clip, tiny.siglip, tiny.vilt])
def test_signs_in_the_texts_of_other_models(build):
    with pytest.raises(TextError, match="leave it out"):
        explained(wrapped(build), noise(), "a [SEP] dog")


LONG = " ".join(["dog"] * 700)


@pytest.mark.parametrize("build", [b for b in tiny.SPEAKERS if b is not tiny.blip2_t5])
def test_texts_longer_than_a_model_reads(build):
    adapter = wrapped(build)
    with pytest.raises(TextError, match=r"'dog dog .*\.\.\.' is 7\d\d tokens long .*: shorten it"):
        adapter.read([noise()], [LONG])
    if adapter.family.takes_prompt:
        for call in (
            lambda: adapter.read([noise()], ["a dog"], [LONG]),
            lambda: adapter.respond([noise()], [LONG]),
        ):
            with pytest.raises(TextError, match=r"tokens long .*: shorten it"):
                call()


def test_questions_longer_than_a_vilt_reads():
    with pytest.raises(TextError, match="reads 32: shorten it"):
        vlx.explain_answer(wrapped(tiny.vilt), noise(), LONG)


def test_a_model_writes_no_further_than_it_reads():
    model, processor = tiny.blip2_opt()
    adapter = wrap(model, processor)
    prompt = " ".join(["dog"] * 52)  # and 4 tokens of the image, and the words around a question
    said = adapter.respond([noise()], [prompt])[0]
    assert adapter.read([noise()], [said], [prompt]).scores.isfinite().all()


@pytest.mark.parametrize(
    ("kind", "pad", "room"), [("roberta", 1, 62), ("gpt2", None, 64), ("xlm-roberta", 1, 62)]
)
def test_positions_that_are_counted_from_behind_the_padding(kind, pad, room):
    class Config:
        model_type, max_position_embeddings, pad_token_id = kind, 64, pad

    assert room_of(Config) == room
    need_room(room, room, "a dog")
    with pytest.raises(TextError):
        need_room(room, room + 1, "a dog")
    assert room_of(object()) is None


@pytest.mark.parametrize("build", [tiny.vit, tiny.clip, tiny.siglip, tiny.blip, tiny.vit_gpt2, tiny.llava])
def test_a_processor_made_for_another_model(build):
    """Of larger images than there are positions for, with the model's own complaint."""
    model, processor = build()
    parts = processor if isinstance(processor, tuple) else (processor,)
    images = getattr(parts[0], "image_processor", parts[0])
    side, cropped = {"height": 48, "width": 48}, bool(getattr(images, "crop_size", None))
    images.size = {"shortest_edge": 48} if cropped else side
    if cropped:
        images.crop_size = side
    with pytest.raises(VlxError, match=r"cannot read what its processor prepared \(.+\): give") as told:
        explained(wrap(model, *parts), noise())
    assert told.value.__cause__ is not None


def test_errors_of_a_processor_keep_their_reason():
    with pytest.raises(ImageError, match=r"of 90 x 60 pixels \(first\)$"), preparing(90, 60):
        raise ValueError("first\nsecond")
    with (
        pytest.raises(ImageError, match=r"\(no reason\): give one that is larger or less thin"),
        preparing(2, 60),
    ):
        raise IndexError("no reason")
    with pytest.raises(TextError), preparing(2, 60):
        raise TextError("of our own")
