"""Speed, memory and waits on a GPU, part by part; see `benchmarks.check_gpu`."""

import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers as hf

import vlx
from benchmarks import evaluate, huggingface, speed, subjects
from benchmarks.subjects import Work
from tests.adapters.huggingface import tiny
from vlx.adapters.huggingface import wrap
from vlx.images.preprocess import stack_images
from vlx.scenes.models import load_captioner

Told = dict[str, Any]
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Asked:
    """How to measure."""

    device: str
    runs: int
    small: bool


def _waits(work: Work) -> Counter[str]:
    """Where in the code, and how often, the host waited for the GPU while some work ran."""
    if not torch.cuda.is_initialized():
        return Counter()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            work()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return Counter(
        f"{'/'.join(Path(one.filename).parts[-2:])}:{one.lineno}"
        for one in told
        if "synchroniz" in str(one.message)
    )


def _peak(work: Work) -> float:
    """Peak GiB above what is held before some work."""
    if not torch.cuda.is_initialized():
        return 0.0
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    work()
    torch.cuda.synchronize()
    return (torch.cuda.max_memory_allocated() - before) / 2**30


def _measured(title: str, works: dict[str, Work], base: str, count: int, runs: int) -> Told:
    """Medians beside one of the works, memory and waits of each, printed and given."""
    seconds = speed.alternating(works, runs)
    print(f"\n{title}")
    told: Told = {}
    for name, work in works.items():
        peak, waits = _peak(work), _waits(work)
        told[name] = {
            "ms": round(1000 * seconds[name], 3), "times": round(seconds[name] / seconds[base], 3),
            "a second": round(count / seconds[name], 1), "GiB": round(peak, 3),
            "waits": waits.total(), "waits at": waits.most_common(12),
        }  # fmt: skip
        one = told[name]
        print(
            f"  {name:34s} {one['ms']:9.2f} ms {one['times']:7.2f} x {one['a second']:9.1f} /s "
            f"{one['GiB']:7.2f} GiB {one['waits']:5d} waits",
            flush=True,
        )
    return told


def captioners(asked: Asked) -> Told:
    """Captioners of full size at several batches: words beside one bare forward of the same images."""
    told: Told = {}
    for name in list(subjects.SUBJECTS)[: 1 if asked.small else None]:
        for precision, dtype in PRECISIONS.items():
            subject = subjects.subject(name, asked.device, dtype)
            for batch in (1,) if asked.small else (1, 16, 64):
                title = f"{name}, {precision}, batch {batch}"
                works = captioner_works(subject, batch)
                told[title] = _measured(title, works, "bare forward", batch, asked.runs)
            del subject, works
    return told


def captioner_works(subject: subjects.Subject, batch: int) -> dict[str, Work]:
    """A bare forward of ready pixels, the same from images, and maps of one caption or 12 words of each."""
    model, images, texts = subject.model, [subject.image] * batch, [subject.text] * batch
    pixels, ids = subject.pixels.expand(batch, -1, -1, -1).contiguous(), subject.ids.expand(batch, -1)

    @torch.no_grad()
    def bare() -> object:
        return model.network(pixels, ids)

    @torch.no_grad()
    def from_images() -> object:
        return model.network(stack_images(model.preprocess, images, pixels)[0], ids)

    def maps(targets: list[vlx.Target], method: vlx.Method = vlx.grad_cam) -> Work:
        return lambda: vlx.explain(model.read(images, texts), targets, method)

    works: dict[str, Work] = {
        "bare forward": bare,
        "from images": from_images,
        "vlx, read alone": lambda: model.read(images, texts),
        "vlx, a caption map": maps([vlx.caption()]),
        f"vlx, {subjects.WORDS} word maps": maps(subjects.words()),
    }
    if batch < 64:
        works["vlx, 12 integrated maps"] = maps(subjects.words(), vlx.integrated_gradients)
        works["vlx, 12 guided maps"] = maps(subjects.words(), vlx.guided_grad_cam)
    return works


def evaluations(asked: Asked) -> Told:
    """Word pointing over scenes beside one bare forward over the same images."""
    told: Told = {}
    for model in (load_captioner(), evaluate.vgg_captioner()):
        model.network.to(asked.device)
        items = evaluate.batch_of_images(2 if asked.small else evaluate.BATCH)
        images = len({item.image for item in items})
        controlled = evaluate.with_controls(model)
        works: dict[str, Work] = {
            "bare forward": evaluate.bare(model, items),
            "all words explained": lambda model=model, items=items: evaluate.explained(model, items),
            "pointing, with every control": lambda models=controlled, items=items: evaluate.POINTING.rows(
                models, items, [vlx.grad_cam], evaluate.OPTIONS
            ),
        }
        title = f"{model.name}, {len(items)} words of {images} images"
        told[title] = _measured(title, works, "bare forward", images, asked.runs)
    return told


def occlusion(asked: Asked) -> Told:
    """Occlusion of one caption, where windows are computed in full and in part."""
    model = evaluate.vgg_captioner()
    model.network.to(asked.device)
    photo = evaluate.open_image(evaluate.batch_of_images(1)[0].image)
    run = model.read([photo], ["a dog on the sand"])
    method = vlx.occlusion_with(size=35, stride=64 if asked.small else 8, batch=64)
    works: dict[str, Work] = {
        "in full": lambda: vlx.explain(evaluate.in_full(run), [vlx.caption()], method),
        "changes alone": lambda: vlx.explain(run, [vlx.caption()], method),
    }
    return _measured("occlusion, 35 pixels, stride 8", works, "in full", 1, min(3, asked.runs))


def transformers_models(asked: Asked) -> Told:
    """BLIP-base, a LLaVA of 0.3 and a Qwen2-VL of 2 billion parameters on random weights."""
    built: dict[str, Callable[[], Any]] = {
        "BLIP-base": huggingface.blip_base,
        "LLaVA, 8 layers": huggingface.llava,
        "Qwen2-VL, 2 billion": qwen,
    }
    if asked.small:
        built = {"tiny Qwen2-VL": lambda: wrap(*tiny.qwen2_vl()), "tiny BLIP": lambda: wrap(*tiny.blip())}
    told: Told = {}
    for name, build in built.items():
        for precision, dtype in PRECISIONS.items():
            if precision == "float32" and name.startswith("Qwen"):
                continue
            with torch.device(asked.device if not asked.small else "cpu"):
                adapter = build()
            adapter.model.to(asked.device, dtype)
            title = f"{name}, {precision}"
            works = {
                key: work
                for key, work in huggingface.works_of(adapter).items()
                if asked.runs > 3 or not key.startswith("usual")
            }
            told[title] = _measured(title, works, "bare forward", 1, min(5, asked.runs))
            del adapter, works
            if torch.cuda.is_initialized():
                torch.cuda.empty_cache()
    return told


def qwen() -> Any:
    """A Qwen2-VL of the published 2-billion size; the words are those of the tests."""
    config = hf.Qwen2VLConfig(
        vision_config=dict(depth=32, embed_dim=1280, hidden_size=1536, num_heads=16, mlp_ratio=4),
        text_config=dict(
            vocab_size=151_936, hidden_size=1536, intermediate_size=8960, num_hidden_layers=28,
            num_attention_heads=12, num_key_value_heads=2, max_position_embeddings=4096,
            rope_scaling={"rope_type": "default", "mrope_section": [16, 24, 24], "rope_theta": 1e6},
            bos_token_id=tiny.ID("[BOS]"), eos_token_id=tiny.ID("[EOS]"), pad_token_id=tiny.ID("[PAD]"),
        ),
        image_token_id=tiny.ID("<image>"), video_token_id=tiny.ID("<video>"),
        vision_start_token_id=tiny.ID("<vs>"), vision_end_token_id=tiny.ID("<ve>"),
        tie_word_embeddings=True,
    )  # fmt: skip
    with torch.device("cpu"):  # the small model beside it draws its weights there
        processor = tiny.qwen2_vl()[1]
    processor.image_processor.patch_size = 14
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        model = hf.Qwen2VLForConditionalGeneration(config).eval()
    finally:
        torch.set_default_dtype(before)
    return wrap(model, processor)


def heads(asked: Asked) -> Told:
    """Of 12 words of 16 images where the time goes: the ten costliest operations on host and device."""
    name = next(iter(subjects.SUBJECTS))
    subject = subjects.subject(name, asked.device)
    work = captioner_works(subject, 2 if asked.small else 16)[f"vlx, {subjects.WORDS} word maps"]
    work()
    kinds = [torch.profiler.ProfilerActivity.CPU]
    if torch.cuda.is_initialized():
        kinds.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=kinds) as profile:
        work()
    averages = profile.key_averages()
    by = "self_device_time_total" if torch.cuda.is_initialized() else "self_cpu_time_total"
    print(f"\n{name}, batch 16, 12 words")
    print(averages.table(sort_by=by, row_limit=10, max_name_column_width=60))
    costly = sorted(averages, key=lambda one: -getattr(one, by))[:25]
    return {one.key[:80]: [round(getattr(one, by)), one.count] for one in costly}


PARTS: dict[str, Callable[[Asked], Told]] = {
    "captioners": captioners,
    "evaluations": evaluations,
    "occlusion": occlusion,
    "transformers": transformers_models,
    "heads": heads,
}
