"""Which tokens a given answer has behind a prompt, against what transformers' own templates write there."""

import numpy as np
import pytest
import torch
import transformers as hf

import vlx
from tests.adapters.huggingface import tiny, wording
from tests.adapters.huggingface.test_speakers import noise
from tests.adapters.huggingface.wording import QUESTION
from vlx.adapters.huggingface import wrap
from vlx.adapters.huggingface.inputs import moved
from vlx.adapters.huggingface.prompts import Parts, added, chat, continuation, encoded, plain, signed
from vlx.adapters.huggingface.texts import Said, words_of
from vlx.errors import TextError, VlxError

ANSWERS = ("red", "a red bus.", "the dog runs on grass")


def turns(answer=None, *, image=True, texts=False):
    """The conversation that is explained, as one writes it for transformers."""
    asked = [*([{"type": "image", "image": noise()}] if image else []), {"type": "text", "text": QUESTION}]
    user = {"role": "user", "content": f"<image>\n{QUESTION}" if texts else asked}
    if answer is None:
        return [user]
    said = answer if texts else [{"type": "text", "text": answer}]
    return [user, {"role": "assistant", "content": said}]


def written(processor, answer=None):
    """What transformers itself makes of the conversation, with the generation prompt or the answer."""
    how = {"tokenize": True, "return_dict": True, "return_tensors": "pt"}
    return processor.apply_chat_template(turns(answer), add_generation_prompt=answer is None, **how)


def asked(adapter, answer):
    return adapter._item(noise(), answer, adapter._asked([noise()], [QUESTION])[0])


CHATS = {
    "qwen2_vl": (tiny.qwen2_vl, wording.byte_level, wording.CHATML),
    "qwen3_vl that thinks": (tiny.qwen3_vl, wording.byte_level, wording.THINKING),
    "qwen3_vl with thoughts opened": (tiny.qwen3_vl, wording.byte_level, wording.OPENED),
    "internvl": (tiny.internvl, wording.byte_level, wording.CHATML),
    "llava 1.5": (tiny.llava, wording.prepending, wording.VICUNA),
    "llava with a blank in its prompt": (tiny.llava, wording.prepending, wording.TRAILING),
    "llava without a blank": (tiny.llava, wording.byte_level, wording.GLUED),
    "llava_next": (tiny.llava_next, wording.prepending, wording.VICUNA),
    "llava of Llama 3": (tiny.llava, wording.with_bos, wording.CHATML),
    "llava whose template writes BOS": (tiny.llava, wording.with_bos, "{{ bos_token }}" + wording.CHATML),
    "llava of Gemma": (tiny.llava, wording.unprefixed, "{{ bos_token }}" + wording.CHATML),
}  # fmt: skip


@pytest.fixture(params=CHATS)
def chatting(request, monkeypatch):
    model, processor = wording.fitted(monkeypatch, *CHATS[request.param])
    return wrap(model, processor), processor


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_given_answer_is_read_as_the_template_writes_it(chatting, answer):
    """Its tokens and all before them are those of transformers; so is the score."""
    adapter, processor = chatting
    whole = written(processor, answer)
    item = asked(adapter, answer)
    length = item.inputs["input_ids"].shape[1]
    assert item.inputs["input_ids"][0].tolist() == whole["input_ids"][0, :length].tolist()
    rest = processor.tokenizer.decode(whole["input_ids"][0, length:]).strip()
    assert rest in ("", "<|im_end|>", "<|im_end|>\n")
    (reading,) = adapter.read([noise()], [answer], [QUESTION]).readings
    assert reading.text == answer
    (result,) = vlx.explain(adapter.read([noise()], [answer], [QUESTION]), [vlx.caption()])
    with torch.no_grad():
        logits = adapter.model(**moved(adapter.model, dict(whole))).logits[0].log_softmax(-1)
    own = sum(float(logits[item.first + step, token]) for step, token in enumerate(item.ids))
    assert result.targets[0].score == pytest.approx(own, rel=1e-4)


def test_bos_stands_once_and_no_end_before_the_answer(chatting):
    adapter, processor = chatting
    tokenizer = processor.tokenizer
    for ids in (adapter._prepared(noise(), QUESTION)["input_ids"], asked(adapter, "red").inputs["input_ids"]):
        assert ids[0].tolist().count(tokenizer.bos_token_id) == ("<s>" in tokenizer.decode(ids[0][:1]))


def test_what_a_model_said_follows_the_generation_prompt(chatting):
    adapter, processor = chatting
    adapter.steps = 4
    said = adapter.respond([noise()], [QUESTION])[0]
    prompt = written(processor)["input_ids"][0].tolist()
    assert asked(adapter, said).inputs["input_ids"][0].tolist() == [*prompt, *said.ids]


def difference(tokenizer, prompt, whole):
    """Tokens of the whole less those of the prompt."""
    adds = not prompt.startswith(tokenizer.bos_token or "\0")
    begun, all_of_it = (tokenizer(text, add_special_tokens=adds)["input_ids"] for text in (prompt, whole))
    assert all_of_it[: len(begun)] == begun
    return all_of_it[len(begun) :]


def llava_processor(tokenizer, template):
    images = hf.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    return hf.LlavaProcessor(
        images, tokenizer, patch_size=8, vision_feature_select_strategy="default",
        num_additional_image_tokens=1, chat_template=template and template.replace("IMG", "<image>"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("make", "template", "tokens"),
    [
        (wording.byte_level, wording.CHATML, ["red"]),
        (wording.byte_level, wording.VICUNA, ["Ġred"]),
        (wording.prepending, wording.VICUNA, ["▁red"]),
        (wording.unprefixed, wording.VICUNA, ["▁red"]),
        (wording.unprefixed, wording.CHATML, ["red"]),
        (wording.prepending, None, ["▁red"]),
        (wording.byte_level, None, ["Ġred"]),
    ],
)
def test_the_blank_is_the_templates(make, template, tokens):
    tokenizer = make(image_token="<image>")
    parts = Parts(None, tokenizer, llava_processor(tokenizer, template))
    found = continuation(parts, chat(parts, QUESTION, "red"), "red")
    assert tokenizer.convert_ids_to_tokens(list(found.ids)) == tokens


def test_a_template_for_texts_gets_the_sign_in_the_text():
    tokenizer = wording.with_bos(image_token="<image>")
    parts = Parts(None, tokenizer, llava_processor(tokenizer, None))
    tokenizer.chat_template = wording.TEXTS  # the processor has none: the tokenizer's counts
    found = chat(parts, QUESTION, "red")
    assert found.prompt == f"<s><|im_start|>user\n<image>\n{QUESTION}<|im_end|>\n<|im_start|>assistant\n"
    assert found.tail == "<|im_end|>\n"
    ids = encoded(tokenizer, found.prompt)
    assert ids[:2] == tokenizer.convert_tokens_to_ids(["<s>", "<|im_start|>"])
    assert tokenizer.convert_ids_to_tokens(list(continuation(parts, found, "red").ids)) == ["red"]


def test_the_end_of_an_answer_is_the_templates():
    tokenizer = wording.byte_level(image_token="<image>")
    parts = Parts(None, tokenizer, llava_processor(tokenizer, wording.CHATML))
    found = continuation(parts, chat(parts, QUESTION, "red"), "red")
    assert found.end == tokenizer.convert_tokens_to_ids("<|im_end|>")


def test_a_prompts_end_in_the_first_token_is_no_part_of_the_word():
    tokenizer = wording.unprefixed(image_token="<image>")
    parts = Parts(None, tokenizer, llava_processor(tokenizer, wording.GLUED))
    words = chat(parts, QUESTION, "red bus")
    found = continuation(parts, words, "red bus")
    assert tokenizer.convert_ids_to_tokens(list(found.ids[:1])) == [":red"]
    assert found.swallowed == ":"
    before = encoded(tokenizer, found.context)
    joined = [*before[: len(before) - found.dropped], *found.instead, *found.ids]
    assert joined == encoded(tokenizer, words.head + "red bus")
    assert [word.text for word in words_of(tokenizer, found.ids, found.swallowed)] == ["red", "bus"]


@pytest.mark.parametrize(
    ("template", "error", "complaint"),
    [
        (wording.CHATML.replace("c.text", "c.text | replace('red', 'blue')"), TextError, "changes 'red'"),
        ("{% for m in messages[:1] %}IMG {{ m.content[1].text }}{% endfor %}", VlxError, "writes no answer"),
        ("{{ raise_exception('only the weather') }}", VlxError, "no turn with an image.*only the weather"),
        ("{% for m in messages %}{{ m.content[1].text }}{% endfor %}", VlxError, "no turn with an image"),
    ],
)
def test_templates_that_cannot_be_followed(template, error, complaint):
    tokenizer = wording.byte_level(image_token="<image>")
    parts = Parts(None, tokenizer, llava_processor(tokenizer, template))
    with pytest.raises(error, match=complaint):
        chat(parts, QUESTION, "red")


@pytest.mark.parametrize(
    ("prompt", "tokens"),
    [("Answer:", ["Ġred"]), ("a photo of ", ["Ġred"]), ("", ["red"]), ("grass.\n", ["red"])],
)
def test_an_answer_behind_a_plain_prompt(prompt, tokens):
    tokenizer = wording.byte_level()
    parts = Parts(None, tokenizer)
    found = continuation(parts, plain(parts, prompt), "red")
    assert tokenizer.convert_ids_to_tokens(list(found.ids)) == tokens
    before = encoded(tokenizer, found.context)
    joined = [*before[: len(before) - found.dropped], *found.ids]
    assert joined == encoded(tokenizer, plain(parts, prompt).head + "red")


def test_what_a_tokenizer_puts_behind_a_text_does_not_part_prompt_and_answer(monkeypatch):
    tokenizer = wording.with_both_ends()
    assert [len(some) for some in added(tokenizer)] == [1, 1]
    assert encoded(tokenizer, "red bus")[-1] != tokenizer.eos_token_id
    model, processor = wording.fitted(monkeypatch, tiny.llava, wording.with_both_ends, None)
    item = asked(wrap(model, processor), "red bus")
    assert tokenizer.eos_token_id not in item.inputs["input_ids"][0]


@pytest.mark.parametrize("make", [wording.unprefixed, wording.byte_level])
def test_paligemma_reads_an_answer_as_its_processor_does_a_suffix(monkeypatch, make):
    """The same tokens and types: image and prompt see each other, an answer what is before it."""
    model, processor = wording.fitted(monkeypatch, tiny.paligemma, make, None)
    adapter = wrap(model, processor)
    for answer in ANSWERS:
        whole = processor(
            images=noise(), text=f"<image>answer en {QUESTION}", suffix=answer, return_tensors="pt"
        )
        item = asked(adapter, answer)
        for name in ("input_ids", "token_type_ids"):
            assert item.inputs[name][0].tolist() == whole[name][0, :-1].tolist(), name  # without EOS
        assert adapter.read([noise()], [answer], [QUESTION]).readings[0].text == answer


def test_bos_of_paligemma_is_its_processors(monkeypatch):
    model, processor = wording.fitted(monkeypatch, tiny.paligemma, wording.with_bos, None)
    ids = asked(wrap(model, processor), "red").inputs["input_ids"][0].tolist()
    assert ids.count(processor.tokenizer.bos_token_id) == 1


def test_a_decoder_that_starts_with_the_end_emits_bos_first(monkeypatch):
    """As those of BART and TrOCR; one that starts with BOS has it once."""
    for start, opening in (("<|im_end|>", ["<s>"]), ("<s>", []), ("<vs>", [])):
        model, (images, _) = tiny.vit_gpt2()
        tokenizer = wording.with_both_ends()
        model.generation_config.decoder_start_token_id = tokenizer.convert_tokens_to_ids(start)
        item = wrap(model, images, tokenizer)._item(noise(), "red bus", "")
        said = tokenizer("red bus", add_special_tokens=False)["input_ids"]
        front = tokenizer.convert_tokens_to_ids([start, *opening])
        assert item.inputs["decoder_input_ids"][0].tolist() == [*front, *said]


def test_what_another_model_said_is_a_given_text(monkeypatch):
    """Its tokens mean something else here."""
    model, processor = wording.fitted(monkeypatch, tiny.llava, wording.byte_level, wording.CHATML)
    adapter = wrap(model, processor)
    other = Said("red bus", (1, 2, 3))
    assert asked(adapter, other).ids == asked(adapter, "red bus").ids
    own = Said("red bus", adapter.parts.tokenizer(" red bus")["input_ids"])
    assert asked(adapter, own).ids == own.ids


def real(shared_data, name, template=None):
    folder = shared_data / "tokenizers" / name
    tokenizer = hf.AutoTokenizer.from_pretrained(folder, extra_special_tokens={"image_token": "<image>"})
    return tokenizer, Parts(None, tokenizer, llava_processor(tokenizer, template))


@pytest.mark.parametrize(
    ("name", "inserted", "end"),
    [("qwen3", "<think>\n\n</think>\n\n", "<|im_end|>"), ("llama3_1", "", "<|eot_id|>")],
)
@pytest.mark.parametrize("answer", ["red", "a red bus.", "3 dogs", "un café 犬が"])
def test_published_templates_write_no_blank(shared_data, name, inserted, end, answer):
    """Also where they insert an empty block of thoughts, which is not part of what is scored."""
    tokenizer, parts = real(shared_data, name)
    prompt = tokenizer.apply_chat_template(turns(texts=True), tokenize=False, add_generation_prompt=True)
    whole = tokenizer.apply_chat_template(turns(answer, texts=True), tokenize=False)
    rest = tokenizer(f"{inserted}", add_special_tokens=False)["input_ids"]
    expected = difference(tokenizer, prompt, whole)[len(rest) :]
    found = continuation(parts, chat(parts, QUESTION, answer), answer)
    assert list(found.ids) == expected[: len(found.ids)]
    assert tokenizer.convert_ids_to_tokens(expected[len(found.ids)]) == end
    assert found.end == expected[len(found.ids)]
    assert list(found.ids) == tokenizer(answer, add_special_tokens=False)["input_ids"]
    spelled = [word.text for word in words_of(tokenizer, found.ids)]
    assert "".join(spelled) == answer.replace(" ", "")
    ids = encoded(tokenizer, found.context)
    assert ids.count(tokenizer.bos_token_id) == (name == "llama3_1")
    assert [*ids, *found.ids] == encoded(tokenizer, whole)[: len(ids) + len(found.ids)]


@pytest.mark.parametrize("template", [wording.VICUNA, wording.TRAILING, None])
@pytest.mark.parametrize("answer", ["red", "a red bus.", "3 dogs", "un café 犬が"])
def test_a_published_tokenizer_of_pieces(shared_data, template, answer):
    tokenizer, parts = real(shared_data, "llama2", template)
    words = (chat if template else signed)(parts, QUESTION, answer)
    found = continuation(parts, words, answer)
    before = encoded(tokenizer, found.context)
    assert [*before, *found.ids] == encoded(tokenizer, words.head + answer)
    first = tokenizer.convert_ids_to_tokens(found.ids[0])
    assert first == {"red": "▁red", "a red bus.": "▁a", "un café 犬が": "▁un", "3 dogs": "▁"}[answer] or (
        template == wording.TRAILING and first == "3"  # behind a blank of its prompt's own
    )
    assert "".join(word.text for word in words_of(tokenizer, found.ids)) == answer.replace(" ", "")
    assert before.count(tokenizer.bos_token_id) == 1


def test_a_model_with_a_published_tokenizer(shared_data, monkeypatch):
    """From the question to the map: the words are those of the answer, and BOS stands once."""

    def make(**extra):
        folder = shared_data / "tokenizers" / "llama3_1"
        return hf.AutoTokenizer.from_pretrained(
            folder, pad_token="<|end_of_text|>", extra_special_tokens={"image_token": "<image>", **extra}
        )

    model, processor = wording.fitted(monkeypatch, tiny.llava, make, None)
    adapter = wrap(model, processor)
    result = vlx.explain_caption(adapter, noise(), "a red bus", prompt=QUESTION)
    assert result.words == ("a", "red", "bus")
    assert np.isfinite(result.raw).all()
    ids = asked(adapter, "a red bus").inputs["input_ids"][0].tolist()
    assert ids.count(adapter.parts.tokenizer.bos_token_id) == 1
