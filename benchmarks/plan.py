"""What ``vlx plan`` says beside what is measured: ``python -m benchmarks.plan [--only NAME]``.

Random models of several sizes, each in a fresh process on a CPU. Peaks are above what is resident once the
model is loaded and has run, so weights are no part of them.
"""

import argparse
import gc
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import transformers as hf
from PIL import Image

import vlx
from benchmarks.huggingface import TEXT, llava
from benchmarks.memory import peak_while
from tests.adapters.huggingface import tiny
from vlx.adapters.huggingface import wrap
from vlx.adapters.huggingface.footprint import Attention
from vlx.adapters.huggingface.inputs import moved
from vlx.adapters.huggingface.plan import Asked, plan_of

COUNTS = 0, 1, 4, 12
"""Words that are explained; 0 is a forward that records nothing."""
_RETURNED = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
"""Has glibc hand memory back at once: what a first run left would hide some of what the next one takes."""
SIZE = 640, 480
"""Width and height of the photo, in pixels."""


@dataclass(frozen=True)
class Subject:
    """A model that is measured."""

    build: Callable[[], Any]
    precision: str = "float32"
    attention: Attention = "sdpa"


def qwen2_vl(width: int = 512, layers: int = 4) -> Any:
    """A Qwen2-VL whose keys are shared by four heads each."""
    config = hf.Qwen2VLConfig(
        text_config=dict(
            vocab_size=32064, hidden_size=width, intermediate_size=4 * width, num_hidden_layers=layers,
            num_attention_heads=width // 64, num_key_value_heads=width // 256, max_position_embeddings=4096,
            rope_parameters={"rope_type": "default", "mrope_section": [8, 12, 12], "rope_theta": 1e6},
            bos_token_id=tiny.ID("[BOS]"), eos_token_id=tiny.ID("[EOS]"), pad_token_id=tiny.ID("[PAD]"),
        ),
        vision_config=dict(
            depth=4, embed_dim=256, num_heads=4, mlp_ratio=4, patch_size=14, hidden_size=width
        ),
        image_token_id=tiny.ID("<image>"), video_token_id=tiny.ID("<video>"),
        vision_start_token_id=tiny.ID("<vs>"), vision_end_token_id=tiny.ID("<ve>"),
    )  # fmt: skip
    model = hf.Qwen2VLForConditionalGeneration(config)
    images = hf.Qwen2VLImageProcessor(patch_size=14, merge_size=2)
    words = tiny.tokenizer(
        image_token="<image>", video_token="<video>", vision_start_token="<vs>", vision_end_token="<ve>"
    )
    joint = hf.Qwen2VLProcessor(images, words, hf.Qwen2VLVideoProcessor(patch_size=14, merge_size=2))
    return wrap(model.eval(), joint)


def blip(width: int = 512, layers: int = 6) -> Any:
    """A BLIP that reads 577 image tokens by cross-attention."""
    vision = dict(
        hidden_size=width, intermediate_size=4 * width, num_hidden_layers=layers, num_attention_heads=8,
        image_size=384, patch_size=16, initializer_range=0.02,
    )  # fmt: skip
    text = dict(
        vocab_size=30524, hidden_size=width, encoder_hidden_size=width, intermediate_size=4 * width,
        num_hidden_layers=layers, num_attention_heads=8, initializer_range=0.02,
    )  # fmt: skip
    images = hf.BlipImageProcessor(size={"height": 384, "width": 384})
    model = hf.BlipForConditionalGeneration(hf.BlipConfig(vision_config=vision, text_config=text))
    return wrap(model.eval(), hf.BlipProcessor(images, tiny.tokenizer(bert=True)))


def vit(width: int = 768, layers: int = 6) -> Any:
    """A ViT classifier of 1000 classes at 384 pixels."""
    labels: Any = {"num_labels": 1000}
    config = hf.ViTConfig(
        hidden_size=width, intermediate_size=4 * width, num_hidden_layers=layers, image_size=384, **labels
    )
    images = hf.ViTImageProcessor(size={"height": 384, "width": 384})
    return wrap(hf.ViTForImageClassification(config).eval(), images)


SUBJECTS = {
    "llava-256": Subject(lambda: llava(width=256, layers=6)),
    "llava-512": Subject(lambda: llava(width=512, layers=4)),
    "llava-1024": Subject(lambda: llava(width=1024, layers=8)),
    "llava-512-eager": Subject(lambda: llava(width=512, layers=4), attention="eager"),
    "llava-512-bfloat16": Subject(lambda: llava(width=512, layers=4), precision="bfloat16"),
    "llava-1024-bfloat16": Subject(lambda: llava(width=1024, layers=4), precision="bfloat16"),
    "qwen2-vl-512": Subject(qwen2_vl),
    "qwen2-vl-512-eager": Subject(qwen2_vl, attention="eager"),
    "qwen2-vl-1024": Subject(lambda: qwen2_vl(1024)),
    "blip-512": Subject(blip),
    "vit-768": Subject(vit),
}


def built(subject: Subject) -> Any:
    """The model of a subject in its precision, with its attention."""
    torch.manual_seed(0)
    adapter = subject.build()
    model = adapter.model.to(getattr(torch, subject.precision))
    if subject.attention != "sdpa":
        model.set_attn_implementation(subject.attention)
    return adapter


def works_of(adapter: Any) -> Callable[[int], Callable[[], object]]:
    """What is measured: a forward without gradients for 0 words, else so many explained."""
    image = Image.new("RGB", SIZE, (90, 120, 60))
    if not hasattr(adapter, "family"):
        inputs = moved(adapter.model, adapter._prepared(image))

        def classes(count: int) -> Callable[[], object]:
            targets = [vlx.label(name) for name in adapter.labels[:count]]
            return lambda: vlx.explain(adapter.read([image]), targets) if count else bare(adapter, inputs)

        return classes
    given = moved(adapter.model, adapter._item(image, TEXT, adapter.family.describe).inputs)

    def words(count: int) -> Callable[[], object]:
        asked = [vlx.word(at) for at in range(count)]
        return lambda: vlx.explain(adapter.read([image], [TEXT]), asked) if count else bare(adapter, given)

    return words


def bare(adapter: Any, inputs: Any) -> object:
    """A forward that records nothing."""
    with torch.no_grad():
        return adapter.model(**inputs)


def text_of(adapter: Any) -> tuple[int, int]:
    """How many tokens the prompt has, the image's aside, and how many are scored."""
    if not hasattr(adapter, "family"):
        return 0, 0
    item = adapter._item(Image.new("RGB", SIZE), TEXT, adapter.family.describe)
    name = "decoder_input_ids" if adapter.family.decoder else "input_ids"
    ids = item.inputs[name]
    of_image = int((ids == tiny.ID("<image>")).sum())
    return ids.shape[1] - of_image - len(item.ids), len(item.ids)


def print_subject(name: str) -> None:
    """Print what was said and what was measured, for a forward and for some numbers of words."""
    subject = SUBJECTS[name]
    adapter = built(subject)
    prompt, tokens = text_of(adapter)
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.plan", "--measure", name],
        capture_output=True, text=True, check=True, env={**os.environ, **_RETURNED},
    )  # fmt: skip
    found: list[str] = []
    for count, peak in zip(COUNTS, map(int, done.stdout.split()), strict=True):
        asked = Asked(words=count, prompt=prompt, tokens=tokens, image=SIZE)
        said = plan_of(adapter.model.config, asked, subject.precision, subject.attention).above_weights
        found.append(f"{said / 2**20:7.0f} {peak / 2**20:6.0f} {said / peak:5.2f}")
    print(f"{name:20s}" + "   ".join(found), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Planned and measured memory.")
    parser.add_argument("--only", choices=list(SUBJECTS), nargs="+")
    parser.add_argument("--measure", choices=list(SUBJECTS), help="the peaks of this process")
    given = parser.parse_args()
    if given.measure:
        work = works_of(built(SUBJECTS[given.measure]))
        for count in (0, 1):
            work(count)()
        for count in COUNTS:
            gc.collect()
            print(peak_while(work(count)), flush=True)
        return
    heads = "".join(f"{f'{count} words' if count else 'forward':23s}" for count in COUNTS)
    print(f"planned MiB, measured MiB above the weights, planned / measured\n{'':22s}{heads}")
    for name in given.only or SUBJECTS:
        print_subject(name)


if __name__ == "__main__":
    main()
