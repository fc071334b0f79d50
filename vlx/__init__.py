"""Explain the words of a caption and the answers of a visual-question-answering model."""

from vlx import show  # explanations are drawn by it
from vlx.api import (
    Answerer,
    Captioner,
    ImageClassifier,
    Matcher,
    Responder,
    explain_answer,
    explain_answers,
    explain_caption,
    explain_captions,
    explain_label,
    explain_labels,
    explain_match,
)
from vlx.errors import VlxError
from vlx.explain import explain
from vlx.explanation import Explained, Explanation, Provenance, load_explanation
from vlx.images.files import open_image
from vlx.images.frame import Frame
from vlx.load import known_models, load
from vlx.methods.path import blurred
from vlx.methods.values import (
    METHODS,
    Method,
    ablation_cam,
    deconvolution,
    deconvolution_grad_cam,
    eigen_cam,
    grad_cam,
    grad_cam_pp,
    grad_cam_with,
    gradient,
    guided_backprop,
    guided_grad_cam,
    hires_cam,
    integrated_grad_cam,
    integrated_gradients,
    integrated_with,
    layer_cam,
    method_named,
    occlusion,
    occlusion_with,
    rise,
    rise_with,
    score_cam,
    smooth_gradient,
    xgrad_cam,
)
from vlx.network import explain_model
from vlx.passes.at_layer import output_at
from vlx.passes.capture import capture
from vlx.passes.cut import Cut
from vlx.passes.forward import Below, Pass, Shortcuts, conv_grid, log_probabilities, token_grid
from vlx.passes.prepare import prepared
from vlx.passes.reading import Choices, Reading, Word
from vlx.passes.site import Site, find_layer
from vlx.passes.targets import Target, answer, caption, label, phrase, word

__version__ = "0.1.0"

__all__ = [
    "METHODS",
    "Answerer",
    "Below",
    "Captioner",
    "Choices",
    "Cut",
    "Explained",
    "Explanation",
    "Frame",
    "ImageClassifier",
    "Matcher",
    "Method",
    "Pass",
    "Provenance",
    "Reading",
    "Responder",
    "Shortcuts",
    "Site",
    "Target",
    "VlxError",
    "Word",
    "ablation_cam",
    "answer",
    "blurred",
    "caption",
    "capture",
    "conv_grid",
    "deconvolution",
    "deconvolution_grad_cam",
    "eigen_cam",
    "explain",
    "explain_answer",
    "explain_answers",
    "explain_caption",
    "explain_captions",
    "explain_label",
    "explain_labels",
    "explain_match",
    "explain_model",
    "find_layer",
    "grad_cam",
    "grad_cam_pp",
    "grad_cam_with",
    "gradient",
    "guided_backprop",
    "guided_grad_cam",
    "hires_cam",
    "integrated_grad_cam",
    "integrated_gradients",
    "integrated_with",
    "known_models",
    "label",
    "layer_cam",
    "load",
    "load_explanation",
    "log_probabilities",
    "method_named",
    "occlusion",
    "occlusion_with",
    "open_image",
    "output_at",
    "phrase",
    "prepared",
    "rise",
    "rise_with",
    "score_cam",
    "show",
    "smooth_gradient",
    "token_grid",
    "word",
    "xgrad_cam",
]
