"""Tokenizers that mark blanks as those of published models do, and chat templates, at a tiny size."""

from collections.abc import Callable
from typing import Any

import transformers as hf
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from tests.adapters.huggingface import tiny

QUESTION = "What colour is the bus?"
_CORPUS = [
    "a red bus and a blue bus", "red blue dog cat the dog runs on grass", "What colour is the bus? red",
    "Answer: red", "user assistant USER: ASSISTANT: model start of turn", "answer en caption en", ":red",
    "Describe this image in one sentence.",
] * 20  # fmt: skip
SIGNS = [
    "<pad>", "<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>", "<image>", "<video>", "<vs>", "<ve>",
    "<img>", "</img>", "<ctx>", "<think>", "</think>",
]  # fmt: skip


def byte_level(**extra: str) -> Any:
    """As of GPT-2, Llama 3 and Qwen: a word behind a blank is another token than one without."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    core.train_from_iterator(
        _CORPUS, trainers.BpeTrainer(vocab_size=420, special_tokens=SIGNS, initial_alphabet=alphabet)
    )
    return hf.PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", bos_token="<s>", eos_token="<|im_end|>",
        extra_special_tokens=extra,
    )  # fmt: skip


def with_bos(**extra: str) -> Any:
    """As of Llama 3: BOS is put before every text."""
    return _adding(byte_level(**extra), "<s> $A")


def with_both_ends(**extra: str) -> Any:
    """A tokenizer that puts EOS behind every text too."""
    return _adding(byte_level(**extra), "<s> $A <|im_end|>")


def _adding(tokenizer: Any, single: str) -> Any:
    ends = [(sign, tokenizer.convert_tokens_to_ids(sign)) for sign in ("<s>", "<|im_end|>") if sign in single]
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=single, special_tokens=ends
    )
    return tokenizer


def prepending(**extra: str) -> Any:
    """As of Llama 2: a blank is put before every text, and BOS before that."""
    front = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    back = decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    tokenizer = _pieces(front, back, **extra)
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", tokenizer.convert_tokens_to_ids("<s>"))]
    )
    return tokenizer


def unprefixed(**extra: str) -> Any:
    """As of Gemma: blanks are pieces of words, and none is put before a text."""
    back = decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse()])
    return _pieces(normalizers.Replace(" ", "▁"), back, **extra)


def _pieces(front: Any, back: Any, **extra: str) -> Any:
    core = Tokenizer(models.BPE(unk_token="<unk>"))
    core.normalizer, core.decoder = front, back
    core.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="never")
    core.train_from_iterator(_CORPUS, trainers.BpeTrainer(vocab_size=330, special_tokens=[*SIGNS, "\n"]))
    core.pre_tokenizer = None  # it kept merges inside words, as those of SentencePiece are
    return hf.PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", unk_token="<unk>", bos_token="<s>", eos_token="</s>",
        extra_special_tokens=extra,
    )  # fmt: skip


_PARTS = "{% for c in m.content %}{% if c.type == 'image' %}IMG{% else %}{{ c.text }}{% endif %}{% endfor %}"
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n" + _PARTS + "<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
OPENED = CHATML.replace("assistant\n{% endif", "assistant\n<think>\n{% endif")
"""Its generation prompt opens a block of thoughts, which it leaves out of an answer that is given."""
THINKING = CHATML.replace(
    "\n" + _PARTS, "\n{% if m.role == 'assistant' %}<think>\n\n</think>\n\n{% endif %}" + _PARTS
)
"""It puts an empty block of thoughts before an answer, as that of Qwen3."""
VICUNA = (
    "{% for m in messages %}{{ m.role | upper }}: {% for c in m.content %}{% if c.type == 'image' %}IMG\n"
    "{% else %}{{ c.text }} {% endif %}{% endfor %}{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
"""As of LLaVA 1.5: a blank before and behind an answer."""
TRAILING = VICUNA.replace("ASSISTANT:", "ASSISTANT: ")
"""Its generation prompt ends with the blank that belongs to the answer's first token."""
GLUED = VICUNA.replace("{{ m.role | upper }}: ", "{{ m.role | upper }}:")
"""No blank between what stands before an answer and the answer."""
TEXTS = (
    "{{ bos_token }}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content | trim }}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""As of Llama 3.1: it takes the content of a turn as a text, and writes BOS itself."""


def fitted(monkeypatch: Any, build: Callable[[], Any], make: Callable[..., Any], template: str | None) -> Any:
    """A tiny model and its processor with another tokenizer, whose ids it is built for."""
    words = make()

    def index(sign: str) -> int:
        named = {"[BOS]": words.bos_token_id, "[EOS]": words.eos_token_id, "[PAD]": words.pad_token_id}
        return named[sign] if sign in named else words.convert_tokens_to_ids(sign)

    special = {"bos_token_id": index("[BOS]"), "eos_token_id": index("[EOS]"), "pad_token_id": index("[PAD]")}
    with monkeypatch.context() as changed:
        changed.setattr(tiny, "ID", index)
        changed.setattr(tiny, "tokenizer", lambda **extra: make(**extra))
        changed.setattr(tiny, "_TEXT", {**tiny._TEXT, "vocab_size": len(words), **special})
        model, processor = build()
    sign = {"qwen2_vl": "<vs><image><ve>", "qwen3_vl": "<vs><image><ve>", "internvl": "<ctx>"}
    processor.chat_template = template and template.replace("IMG", sign.get(build.__name__, "<image>"))
    return model, processor
