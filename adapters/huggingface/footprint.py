"""The memory that an explanation of a transformer takes, by arithmetic on its shapes.

Weights are frozen, so a linear layer keeps nothing of its input. What automatic differentiation does keep of
a block of H channels, of T tokens in b bytes a number, with queries of A channels in h heads, keys of K
channels and an MLP of I channels:

    norm        RMS: its input in float32, 4TH; LayerNorm: its input and two numbers a token, bTH + 8T
    attention   queries, keys, values and output, b(2TA + 2TK), and a number a head, 4hT
      eager     queries, keys and values of every head, 3bTA, and attention in float32, 4hTT, and in the
                model's precision, bhTT, where that is another
    MLP         gated: gate, its activation and the other half, 3bTI; else one, bTI

On the way back the graph stays as it is, and each word that goes back at the same time has gradients of its
own, of one block at a time: those of the widest part of it, held three to six times. These factors (`_MLP`,
`_NORM`, `_ATTENTION`, `_SQUARE`) follow what torch does and are checked by ``python -m benchmarks.plan``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

Attention = Literal["sdpa", "eager"]
"""How attention is computed: by a kernel that never holds all of it, or step by step."""

SIZES = {"bfloat16": 2, "float16": 2, "float32": 4}
"""Bytes of a number in each precision."""

_FLOAT = 4  # bytes of what is always in float32
_MLP = 3  # tensors of the MLP's width that a word has at once on the way back through it
_NORM = 5  # tensors of float32 that a word has at once in a norm
_ATTENTION = 6  # tensors like the queries that a word has at once in attention
_SQUARE = 3  # tensors like all of attention that a word has at once where it is computed step by step


@dataclass(frozen=True)
class Block:
    """A layer of a transformer, as often as it stands one above another, and the tokens that it reads.

    >>> Block(tokens=10, hidden=8, heads=2, head=4, width=32).kept(4, "sdpa")
    3440
    """

    tokens: int
    hidden: int
    heads: int
    head: int
    """Channels of a head."""
    width: int
    """Channels inside the MLP; of experts, of all that one token is sent to."""
    count: int = 1
    shared: int = 0
    """Heads of keys and values, where several heads of queries share one; 0 where none do."""
    repeated: bool = False
    """Whether shared keys are written out for every head before sdpa."""
    gated: bool = False
    inside: int = 1
    """How many tensors the MLP's activation keeps: one, if it is one operation."""
    rms: bool = False
    norms: int = 2
    head_norms: bool = False
    """Whether queries and keys have norms."""
    reads: int = 0
    """Tokens from elsewhere that a second attention reads."""
    every: int = 1
    """In one of how many layers that second attention stands."""
    eager: bool = False
    """Whether its class knows no other attention."""

    @property
    def inner(self) -> int:
        """Channels of the queries of all heads."""
        return self.heads * self.head

    @property
    def keys(self) -> int:
        """Channels of the keys."""
        return (self.shared or self.heads) * self.head

    def steps(self, attention: Attention) -> bool:
        """Whether attention is computed step by step."""
        return self.eager or attention == "eager"

    def norm(self, size: int) -> int:
        """Bytes that one norm keeps."""
        return self.tokens * (self.hidden * _FLOAT if self.rms else self.hidden * size + 2 * _FLOAT)

    def kept(self, size: int, attention: Attention) -> int:
        """Bytes that all layers keep for the way back, of numbers of ``size`` bytes."""
        norms = (self.norms + bool(self.reads) / self.every) * self.norm(size)
        if self.head_norms:
            norms += self.tokens * (self.inner + self.keys) * _FLOAT
        within = self._attention(self.tokens, size, attention)
        beside = self._attention(self.reads, size, attention) / self.every if self.reads else 0
        mlp = (self.inside + 2 * self.gated) * self.tokens * self.width * size
        return round(self.count * (norms + within + beside + mlp))

    def _attention(self, read: int, size: int, attention: Attention) -> int:
        steps = self.steps(attention)
        keys = self.inner if steps or self.repeated else self.keys
        lines = self.tokens * self.inner + 2 * read * keys
        if not steps:
            return (lines + self.tokens * self.inner) * size + self.heads * self.tokens * _FLOAT
        square = self.heads * self.tokens * read
        return lines * size + square * (size if size == _FLOAT else size + _FLOAT)

    def back(self, words: int, size: int, attention: Attention) -> int:
        """Bytes of the gradients of so many words at once, in the part of a layer that holds most."""
        stream = 2 * self.tokens * self.hidden * size
        read = max(self.tokens, self.reads)
        part = _ATTENTION * read * self.inner * size
        if self.steps(attention):
            part = self.tokens * self.inner * size + _SQUARE * self.heads * self.tokens * read * _FLOAT
        mlp = _MLP * self.tokens * self.width * size
        norm = _NORM * self.tokens * self.hidden * _FLOAT
        return words * (stream + max(part, mlp, norm))

    def forward(self, size: int, attention: Attention) -> int:
        """Bytes that one layer holds while it runs and records nothing."""
        stream = 2 * self.tokens * self.hidden * size
        part = 4 * self.tokens * self.inner * size
        if self.steps(attention):
            part += 2 * self.heads * self.tokens * max(self.tokens, self.reads) * _FLOAT
        mlp = (3 if self.gated else 2) * self.tokens * self.width * size
        norm = 3 * self.tokens * self.hidden * _FLOAT if self.rms else 0
        return stream + max(part, mlp, norm)


@dataclass(frozen=True)
class Shape:
    """What of a model its memory depends on."""

    below: Block
    """A layer of what is below the features, which records nothing."""
    pieces: int = field(default=1, kw_only=True)
    """Pieces of the photo that run through it side by side."""
    hidden_states: int
    """How many hidden states of the layers below are kept until all have run."""
    features: int
    """Numbers of the features that are explained."""
    above: tuple[Block, ...]
    """What is above them, in the order in which it runs."""
    others: int
    """Numbers that are kept between features and the first of these: projectors, embeddings."""
    rows: int
    """Rows of the last hidden state that are scored."""
    choices: int
    """Scores of a row: the size of the vocabulary, or the number of classes."""
    image_tokens: int
    """Tokens of the image that what is above reads."""
    log: bool = True
    """Whether scores are log-probabilities, in float32 beside the logits."""
    means: bool = True
    """Whether of a word's gradients the mean over places alone is kept."""

    @property
    def largest(self) -> int:
        """Numbers of the features or of the hidden states that are scored, whichever are more."""
        return max(self.features, self.rows * self.above[-1].hidden)

    def at_depth(self, blocks: int) -> "Shape":
        """The same model explained in its vision encoder, with so many blocks of that above the layer."""
        rest = self.above if self.log else ()
        more = replace(self.below, count=blocks * self.pieces)
        features = self.pieces * self.below.tokens * self.below.hidden
        return replace(self, features=features, above=(more, *rest))

    def parts(self, words: int, at_once: int, size: int, attention: Attention) -> dict[str, int]:
        """Bytes of each part while ``words`` are explained, ``at_once`` together.

        With 0 words those of a forward that records nothing, keeps keys and values, and has all logits.
        """
        if not words:
            return {"workspace": self._forward(size, attention)}
        features = 3 * self.features * size  # as found, the leaf, and the copy that runs on
        kept = sum(block.kept(size, attention) for block in self.above) + self.others * size
        wide = self.rows * self.choices
        logits = wide * (size + (_FLOAT if self.log else 0))
        seeds = wide * (size + 2 * _FLOAT)  # the way back through them, once for all words
        results = 0 if self.means else words * self.features * _FLOAT
        back = [block.back(at_once, size, attention) for block in self.above]
        back.append(at_once * 4 * self.features * size)
        running = [block.forward(size, attention) for block in self.above]
        above = features + kept + logits + results
        below = self._below(size, attention)
        return {
            "features": features,
            "activations": kept,
            "logits": logits,
            "gradients": max(*back, seeds) + results,
            "workspace": max(0, below - above - max(*back, seeds), max(running) - max(*back, seeds)),
        }

    def _below(self, size: int, attention: Attention) -> int:
        states = self.hidden_states * self.below.tokens * self.below.hidden * size
        return self.pieces * (states + self.below.forward(size, attention))

    def _forward(self, size: int, attention: Attention) -> int:
        last = self.above[-1]
        rows = last.tokens if self.log else 1
        stream = 2 * last.tokens * last.hidden * size
        top = stream + rows * self.choices * size
        cache = sum(2 * block.count * block.tokens * block.keys * size for block in self.above if self.log)
        running = max(block.forward(size, attention) for block in self.above)
        return self.features * size + max(cache + max(top, running), self._below(size, attention))


def fitting(shape: Shape, weights: int, words: int, memory: int, size: int, attention: Attention) -> int:
    """The most words that can go back together in so many bytes; 0 if not even one can."""

    def total(at_once: int) -> int:
        return weights + sum(shape.parts(words, at_once, size, attention).values())

    counts: Sequence[int] = range(words, 0, -1)
    return next((count for count in counts if total(count) <= memory), 0)
