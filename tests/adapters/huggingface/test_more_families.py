"""Further families that write text: what is scored, and where its features lie."""

from functools import partial

import pytest

import vlx
from tests.adapters import conformance
from tests.adapters.huggingface import test_speakers as speakers
from tests.adapters.huggingface import tiny, tiny_more
from vlx.adapters.huggingface import wrap

BUILDS = {build.__name__: build for build in tiny_more.MORE}
BUILDS["aya_vision_tiles"] = partial(tiny_more.aya_vision, split=True)


@pytest.fixture(scope="module", params=BUILDS)
def speaker(request):
    found = wrap(*BUILDS[request.param]())
    found.steps = 5
    return found


@pytest.mark.parametrize(
    "check",
    [
        conformance.check_batch, conformance.check_padding, conformance.check_later_words,
        conformance.check_nothing_stays, conformance.check_above,
    ],
)  # fmt: skip
def test_conforms(speaker, check):
    speakers.test_conforms(speaker, check)


@pytest.mark.parametrize("size", [(60, 90), (90, 60)])
def test_a_marked_patch_changes_the_features_where_it_lies(speaker, size):
    speakers.test_a_marked_patch_changes_the_features_where_it_lies(speaker, size)


def test_greedy_text_is_the_likeliest_token_at_every_step(speaker):
    speakers.test_greedy_text_is_the_likeliest_token_at_every_step(speaker)


def test_a_prompt_counts_and_is_not_scored(speaker):
    speakers.test_a_prompt_counts_and_is_not_scored(speaker)


def test_gradients_are_those_of_the_whole_graph(speaker):
    speakers.test_gradients_are_those_of_the_whole_graph(speaker)


@pytest.mark.parametrize(
    "build", [tiny_more.gemma3, tiny.paligemma, tiny_more.llava_onevision, tiny_more.glm4v]
)
@pytest.mark.parametrize("prompt", [None, "what is there"])
def test_an_answer_does_not_see_its_later_words(build, prompt):
    """The first words score alike whatever follows, at every place."""
    adapter = wrap(*build())
    prompts = None if prompt is None else [prompt]
    longer, other, short = (
        adapter.read([speakers.noise()], [text], prompts).scores[0, :4].detach()
        for text in ("a dog runs on grass", "a dog runs on ball", "a dog runs on")
    )
    assert (longer - other).abs().max() < 1e-5
    assert (longer - short).abs().max() < 1e-5


def test_prompt_and_image_of_a_prefix_see_each_other():
    """What stands last in the prompt changes what is read at its beginning, as PaliGemma learnt it."""
    adapter = wrap(*tiny.paligemma())
    types = adapter._item(speakers.noise(), "a dog", "what is there").inputs["token_type_ids"][0].tolist()
    assert types == [0] * (len(types) - 2) + [1, 1]
    types = wrap(*tiny_more.gemma3())._item(speakers.noise(), "a dog", "is there").inputs["token_type_ids"]
    assert sum(types[0].tolist()) == 4  # those of the image alone


def test_questions_of_different_length_to_queries_that_read_them():
    adapter = wrap(*tiny_more.instructblip_opt())
    prompts = ["what is there", "is the dog on the grass"]
    images = [speakers.noise(), speakers.noise(seed=1)]
    together = vlx.explain(adapter.read(images, ["a dog", "no"], prompts), [vlx.caption()])
    for image, text, prompt, found in zip(images, ["a dog", "no"], prompts, together, strict=True):
        (alone,) = vlx.explain(adapter.read([image], [text], [prompt]), [vlx.caption()])
        assert found.targets[0].score == pytest.approx(alone.targets[0].score, rel=1e-4)
