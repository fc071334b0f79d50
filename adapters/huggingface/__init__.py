"""Models of Hugging Face's transformers, explained through the same core as every other model."""

import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from vlx.adapters.huggingface.families import SPEAKING, family_of
from vlx.adapters.huggingface.inputs import taken
from vlx.adapters.huggingface.prompts import Parts
from vlx.adapters.huggingface.speaker import Speaker
from vlx.adapters.huggingface.vilt import ViltAnswerer
from vlx.adapters.huggingface.vision import ImageModel, ImageText
from vlx.errors import CheckpointError, VlxError
from vlx.passes.site import Layer
from vlx.passes.unwrap import unwrapped

VQA = "ViltForQuestionAnswering"
IMAGE_TEXT = ("CLIPModel", "SiglipModel", "Siglip2Model")

Adapter = Speaker | ViltAnswerer | ImageModel | ImageText


def wrap(
    model: Any, processor: Any, tokenizer: Any = None, *, layer: Layer | None = None, name: str | None = None
) -> Adapter:
    """Wrap a loaded model with the processor that prepares its images and texts.

    Where the two come apart, as for ViT-GPT2, ``processor`` is the image processor and ``tokenizer`` the
    tokenizer. The family is known from the model's config. Raises VlxError for a model of no known
    family, saying which are. A model in DataParallel, of peft (LoRA) or compiled is unwrapped.
    """
    if processor is None:
        raise VlxError("a model of transformers needs what prepares its images: wrap(model, processor)")
    model = unwrapped(model)  # what was compiled is explained as it was written, on the same weights
    images = getattr(processor, "image_processor", processor)
    joint = None if images is processor else processor
    parts = Parts(images, tokenizer or getattr(processor, "tokenizer", None), joint)
    kind, called = type(model).__name__, name or getattr(model, "name_or_path", "") or type(model).__name__
    if "ForImageClassification" in kind and "input_ids" not in taken(type(model)):
        return ImageModel(model, parts, layer=layer, name=called)
    family = family_of(model) if hasattr(model, "generate") else None
    if family is None and kind not in (VQA, *IMAGE_TEXT):
        raise VlxError(
            f"no adapter for {kind} ({model.config.model_type}): known are models that write text "
            f"({', '.join(SPEAKING)}), {VQA}, {', '.join(IMAGE_TEXT)} and …ForImageClassification; "
            "for others write an adapter (adapters/README.md)"
        )
    if parts.tokenizer is None:
        raise VlxError(f"a {kind} needs a tokenizer too: wrap(model, image_processor, tokenizer)")
    if family is not None:
        return Speaker(model, parts, family, layer=layer, name=called)
    adapter = ViltAnswerer if kind == VQA else ImageText
    return adapter(model, parts, layer=layer, name=called)


def load_huggingface(
    where: str, *, layer: Layer | None = None, device: str = "cpu", trust_remote_code: bool = False
) -> Adapter:
    """Load a model with its processor from a local folder or, with a network, from the hub.

    ``device="auto"`` lets accelerate spread the model over the devices there are. Weights are read
    from safetensors only, and no code that comes with a model is run unless ``trust_remote_code`` says so.
    Raises CheckpointError where files are missing or do not fit.
    """
    import transformers as hf
    from safetensors import SafetensorError

    asked: dict[str, Any] = {"trust_remote_code": trust_remote_code}
    try:
        config = hf.AutoConfig.from_pretrained(where, **asked)
        kind = (config.architectures or ["?"])[0]
        build = getattr(hf, kind, None)
        if build is None:
            raise CheckpointError(f"{where} is a {kind}, which transformers {hf.__version__} does not have")
        placed = _placed(config, device)
        with _quiet(hf):
            model = build.from_pretrained(where, use_safetensors=True, dtype="auto", **placed, **asked)
        processor, tokenizer = _prepared_by(hf, where, asked)
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CheckpointError(f"{where} could not be loaded: {first}") from None
    return wrap(model if placed else model.to(device), processor, tokenizer, layer=layer, name=f"hf:{where}")


def _placed(config: Any, device: str) -> dict[str, Any]:
    """How a model is put in its place while it is loaded; nothing where it is moved there afterwards."""
    if device == "auto":
        return {"device_map": "auto"}
    quantised = getattr(config, "quantization_config", None) is not None  # these do not move
    return {"device_map": {"": device}} if quantised else {}


@contextmanager
def _quiet(hf: Any) -> Generator[None, None, None]:
    """No progress bars where nobody watches."""
    shown = hf.utils.logging.is_progress_bar_enabled() and not sys.stderr.isatty()
    if shown:
        hf.utils.logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            hf.utils.logging.enable_progress_bar()


def _prepared_by(hf: Any, where: str, asked: dict[str, Any]) -> tuple[Any, Any]:
    """The processor; or the image processor and the tokenizer, where there is no joint one."""
    joint = hf.AutoProcessor.from_pretrained(where, **asked)
    if hasattr(joint, "image_processor"):
        return joint, None
    images = hf.AutoImageProcessor.from_pretrained(where, **asked)
    try:
        return images, hf.AutoTokenizer.from_pretrained(where, **asked)
    except (OSError, ValueError, KeyError):
        return images, None
