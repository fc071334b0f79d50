"""Models of transformers at full size on random weights: ``python -m benchmarks.huggingface [--runs N]``.

All words of a text beside one bare teacher-forced forward, and beside the usual practice: for each word a
forward and a backward through the whole model. Memory is measured in fresh processes, above what is
resident once the model is loaded and has run.
"""

import argparse
import inspect
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import transformers as hf
from PIL import Image

import vlx
from benchmarks.memory import peak_while
from benchmarks.speed import RUNS, alternating
from tests.adapters.huggingface import tiny
from vlx.adapters.huggingface import wrap
from vlx.adapters.huggingface.inputs import moved

TEXT = "a red dog runs on the grass there is a blue ball"  # 12 words
WIDE = 150_000  # words of the vocabulary of today's chat models


MEASURED = {
    "forward": "bare forward",
    "scored": "the same, logits of the text alone if it can",
    "words": "vlx, 12 word maps",
    "usual": "usual practice, 12 word maps",
}


def _image() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8))


def blip_base() -> Any:
    """BLIP at the size of blip-image-captioning-base, 384 pixels."""
    config = hf.BlipConfig(
        vision_config={"initializer_range": 0.02, "image_size": 384},
        text_config={"vocab_size": 30524, "initializer_range": 0.02},
    )
    images = hf.BlipImageProcessor(size={"height": 384, "width": 384})
    model = hf.BlipForConditionalGeneration(config)
    return wrap(model.eval(), hf.BlipProcessor(images, tiny.tokenizer(bert=True)))


def vit_gpt2() -> Any:
    """ViT-B/16 and GPT-2, 224 pixels."""
    decoder = hf.GPT2Config(add_cross_attention=True)
    config = hf.VisionEncoderDecoderConfig.from_encoder_decoder_configs(hf.ViTConfig(), decoder)
    config.decoder_start_token_id = config.pad_token_id = 0
    model = hf.VisionEncoderDecoderModel(config=config)
    return wrap(model.eval(), hf.ViTImageProcessor(), tiny.tokenizer())


def llava(width: int = 1024, layers: int = 8, side: int = 336, vocabulary: int = 32064) -> Any:
    """A LLaVA of 576 image tokens with a language model of some size."""
    vision = hf.CLIPVisionConfig(
        image_size=side, patch_size=14, hidden_size=width, num_attention_heads=16, num_hidden_layers=layers,
        intermediate_size=4 * width,
    )  # fmt: skip
    text = hf.LlamaConfig(
        vocab_size=vocabulary, hidden_size=width, intermediate_size=3 * width, num_hidden_layers=layers,
        num_attention_heads=16, num_key_value_heads=16,
    )  # fmt: skip
    config = hf.LlavaConfig(vision_config=vision, text_config=text, image_token_index=tiny.ID("<image>"))
    images = hf.CLIPImageProcessor(size={"shortest_edge": side}, crop_size={"height": side, "width": side})
    joint = hf.LlavaProcessor(
        images, tiny.tokenizer(image_token="<image>"), patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )  # fmt: skip
    return wrap(hf.LlavaForConditionalGeneration(config).eval(), joint)


SUBJECTS: dict[str, Callable[[], Any]] = {
    "blip-base": blip_base,
    "vit-gpt2": vit_gpt2,
    "llava": llava,
    "wide": lambda: llava(width=64, layers=2, vocabulary=WIDE),
}


def works_of(adapter: Any) -> dict[str, Callable[[], object]]:
    """The bare forward, ours for one map and for all words, and the usual practice."""
    image = _image()
    item = adapter._item(image, TEXT, adapter.family.describe)
    inputs = moved(adapter.model, item.inputs)
    words = [vlx.word(at) for at in range(len(TEXT.split()))]

    def bare() -> object:
        with torch.no_grad():
            return adapter.model(**inputs)

    def usual() -> None:
        for at, token in enumerate(item.ids):
            adapter.model.zero_grad()
            logits = adapter.model(**inputs).logits
            row = logits[0, item.first + at - (inputs_length(inputs, adapter) - logits.shape[1])]
            torch.log_softmax(row, -1)[token].backward()
        adapter.model.zero_grad()

    return {
        "bare forward": bare,
        "vlx, caption map": lambda: vlx.explain(adapter.read([image], [TEXT]), [vlx.caption()]),
        f"vlx, {len(words)} word maps": lambda: vlx.explain(adapter.read([image], [TEXT]), words),
        f"usual practice, {len(words)} word maps": usual,
    }


def inputs_length(inputs: dict[str, torch.Tensor], adapter: Any) -> int:
    """How many tokens of text a forward reads."""
    return inputs["decoder_input_ids" if adapter.family.decoder else "input_ids"].shape[1]


def print_speed(name: str, runs: int) -> None:
    """Print medians, ratios to a bare forward, and the usual practice beside ours."""
    adapter = SUBJECTS[name]()
    count = sum(parameter.numel() for parameter in adapter.model.parameters()) / 1e6
    seconds = alternating(works_of(adapter), runs)
    bare, _, own, _ = seconds.values()
    print(
        f"\n{name}, {count:.0f} million parameters, layer {adapter.layer}, medians of {runs} alternating runs"
    )
    for work, value in seconds.items():
        beside = f"   {value / own:6.1f} x vlx" if work.startswith("usual") else ""
        print(f"  {work:32s} {1000 * value:9.1f} ms   {value / bare:6.2f} x forward{beside}")


def print_memory(name: str) -> None:
    """Print the peaks of fresh processes that do one thing each, above the model's own memory."""
    found = {what: _peak(name, what) / 2**20 for what in MEASURED}
    print("  peak memory above the model, MiB:")
    for what, peak in found.items():
        beside = "" if what == "forward" else f"   {peak - found['forward']:+.0f} to the bare forward"
        print(f"  {MEASURED[what]:44s} {peak:7.0f}{beside}")


def _peak(name: str, what: str) -> int:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.huggingface", "--measure", name, what],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return int(done.stdout.split()[-1])


def _measure(name: str, what: str) -> None:
    adapter = SUBJECTS[name]()
    bare, _, words, usual = works_of(adapter).values()
    scored = _scored_rows(adapter)
    scored()  # what stays after a first run is not counted
    print(peak_while({"forward": bare, "scored": scored, "words": words, "usual": usual}[what]))


def _scored_rows(adapter: Any) -> Callable[[], object]:
    """The bare forward with logits for the words of the text alone, where the model can be asked for that."""
    item = adapter._item(_image(), TEXT, adapter.family.describe)
    inputs = moved(adapter.model, item.inputs)
    able = "logits_to_keep" in inspect.signature(type(adapter.model).forward).parameters
    asked = {"logits_to_keep": len(item.ids) + 1} if able else {}

    def forward() -> object:
        with torch.no_grad():
            return adapter.model(**inputs, **asked)

    return forward


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed and memory on models of transformers.")
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--only", choices=list(SUBJECTS))
    parser.add_argument("--measure", nargs=2, metavar=("NAME", "WHAT"), help="one peak of this process")
    given = parser.parse_args()
    if given.measure:
        _measure(*given.measure)
        return
    print(f"torch {torch.__version__}, transformers {hf.__version__}, {torch.get_num_threads()} threads")
    for name in [given.only] if given.only else SUBJECTS:
        print_speed(name, given.runs)
        print_memory(name)


if __name__ == "__main__":
    main()
