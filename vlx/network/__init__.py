"""Explain a plain network: tensors in, maps as tensors out; no images, names or vocabulary."""

from vlx.network.explain_model import explain_model

__all__ = ["explain_model"]
