"""The calls that most people want: explain captions, answers, classes, and texts that fit."""

from vlx.api.answers import explain_answer, explain_answers
from vlx.api.captions import explain_caption, explain_captions, written
from vlx.api.labels import explain_label, explain_labels, explain_match
from vlx.api.protocols import Answerer, Captioner, ImageClassifier, Matcher, Responder

__all__ = [
    "Answerer",
    "Captioner",
    "ImageClassifier",
    "Matcher",
    "Responder",
    "explain_answer",
    "explain_answers",
    "explain_caption",
    "explain_captions",
    "explain_label",
    "explain_labels",
    "explain_match",
    "written",
]
