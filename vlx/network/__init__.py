"""Explain a plain network: tensors in, maps as tensors out; no images, names or vocabulary."""

from vlx.network.explain_clip import ClipMaps, explain_clip
from vlx.network.explain_model import explain_model

__all__ = ["ClipMaps", "explain_clip", "explain_model"]
