"""Hierarchical question-image co-attention (Lu et al. 2016, HieCoAttenVQA) as a plain module at any size."""

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

Variant = Literal["Alternating", "Parallel"]
"""How question and image attend to each other, as the authors call it."""

_NEVER = -9_999_999.0  # the authors' logit of a word that is not there


class Attended(NamedTuple):
    """What one level gives: the attended question and image, and the weights of words and places."""

    question: Float[Tensor, "batch hidden"]
    image: Float[Tensor, "batch hidden"]
    words: Float[Tensor, "batch word"]
    places: Float[Tensor, "batch place"]


class AlternatingAttention(nn.Module):
    """First the question is attended, then the image by it, then the question by the image.

    Section 3.3, Eq. 6.
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.first = nn.Linear(hidden, hidden)
        self.first_score = nn.Linear(hidden, 1)
        self.places = nn.Linear(hidden, hidden)
        self.asked = nn.Linear(hidden, hidden)
        self.place_score = nn.Linear(hidden, 1)
        self.words = nn.Linear(hidden, hidden)
        self.seen = nn.Linear(hidden, hidden)
        self.word_score = nn.Linear(hidden, 1)

    def forward(
        self,
        question: Float[Tensor, "#batch word hidden"],
        image: Float[Tensor, "batch place hidden"],
        absent: Bool[Tensor, "#batch word"],
    ) -> Attended:
        """Attend; ``absent`` marks padding."""
        first = _shares(self.first_score(torch.tanh(self.first(question))), absent)
        asked = self.asked(_mean(question, first))[:, None]
        places = _shares(self.place_score(torch.tanh(self.places(image) + asked)))
        attended = _mean(image, places)
        seen = self.seen(attended)[:, None]
        words = _shares(self.word_score(torch.tanh(self.words(question) + seen)), absent)
        return Attended(_mean(question, words), attended, words, places)


class ParallelAttention(nn.Module):
    """Question and image attend to each other at once, through the affinity of words and places.

    Section 3.3, Eq. 3 to 5.
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.affinity = nn.Linear(hidden, hidden)
        self.places = nn.Linear(hidden, hidden)
        self.words = nn.Linear(hidden, hidden)
        self.word_score = nn.Linear(hidden, 1)
        self.place_score = nn.Linear(hidden, 1)

    def forward(
        self,
        question: Float[Tensor, "#batch word hidden"],
        image: Float[Tensor, "batch place hidden"],
        absent: Bool[Tensor, "#batch word"],
    ) -> Attended:
        """Attend; ``absent`` marks padding, which the authors' affinity takes in all the same."""
        affinity = torch.tanh(question @ self.affinity(image).mT)
        of_words, of_places = self.words(question), self.places(image)
        words = _shares(self.word_score(torch.tanh(of_words + affinity @ of_places)), absent)
        places = _shares(self.place_score(torch.tanh(of_places + affinity.mT @ of_words)))
        return Attended(_mean(question, words), _mean(image, places), words, places)


_ATTENTIONS = {"Alternating": AlternatingAttention, "Parallel": ParallelAttention}


class CoAttentionNetwork(nn.Module):
    """Co-attention over words, phrases and the whole question, then an answer from all three.

    The CNN gives a feature map whose places are attended. Token 0 is padding, after the words; every
    question is padded or clipped to ``steps`` tokens, as in training.
    """

    def __init__(
        self,
        cnn: nn.Module,
        features: int,
        words: int,
        answers: int,
        *,
        variant: Variant = "Alternating",
        hidden: int = 512,
        last: int = 1024,
        layers: int = 2,
        steps: int = 26,
    ) -> None:
        super().__init__()
        self.cnn = cnn
        self.steps = steps
        self.image = nn.Linear(features, hidden)
        self.words = nn.Embedding(words, hidden, padding_idx=0)
        self.unigram = nn.Conv1d(hidden, hidden, 1)
        self.bigram = nn.Conv1d(hidden, hidden, 2, padding=1)
        self.trigram = nn.Conv1d(hidden, hidden, 3, padding=1)
        self.lstm = nn.LSTM(hidden, hidden, layers, batch_first=True)
        attention = _ATTENTIONS[variant]
        self.of_words = attention(hidden)
        self.of_phrases = attention(hidden)
        self.of_question = attention(hidden)
        self.hidden_words = nn.Linear(hidden, hidden)
        self.hidden_phrases = nn.Linear(2 * hidden, hidden)
        self.hidden_question = nn.Linear(2 * hidden, last)
        self.answers = nn.Linear(last, answers)

    def phrases(self, words: Float[Tensor, "batch word hidden"]) -> Float[Tensor, "batch word hidden"]:
        """At each word the strongest of one, two and three words: those before it, and one after it."""
        turned = words.mT
        count = turned.shape[2]
        grams = (self.unigram(turned), self.bigram(turned)[:, :, :count], self.trigram(turned))
        return torch.tanh(torch.stack(grams).amax(0)).mT

    def asked(
        self, ids: Int[Tensor, "batch word"], lengths: Int[Tensor, " batch"]
    ) -> tuple[
        Float[Tensor, "batch step hidden"],
        Float[Tensor, "batch step hidden"],
        Float[Tensor, "batch step hidden"],
        Bool[Tensor, "batch step"],
    ]:
        """The questions' words, phrases and states of the LSTM, and which of their words are padding."""
        ids = F.pad(ids, (0, max(0, self.steps - ids.shape[1])))[:, : self.steps]
        words = torch.tanh(self.words(ids))
        phrases = self.phrases(words)
        packed = nn.utils.rnn.pack_padded_sequence(
            phrases, lengths.clamp(max=self.steps).cpu(), batch_first=True, enforce_sorted=False
        )
        out, _ = self.lstm(packed)
        question, _ = nn.utils.rnn.pad_packed_sequence(out, batch_first=True, total_length=self.steps)
        return words, phrases, question, ids == 0

    def levels(
        self,
        features: Float[Tensor, "batch feature row col"],
        words: Float[Tensor, "#batch step hidden"],
        phrases: Float[Tensor, "#batch step hidden"],
        question: Float[Tensor, "#batch step hidden"],
        absent: Bool[Tensor, "#batch step"],
    ) -> tuple[Attended, Attended, Attended]:
        """What is attended at the level of words, of phrases and of the question."""
        image = torch.tanh(self.image(features.flatten(2).mT))  # place = row * cols + col
        return (
            self.of_words(words, image, absent),
            self.of_phrases(phrases, image, absent),
            self.of_question(question, image, absent),
        )

    def answered(
        self, pixels: Float[Tensor, "batch 3 height width"], *asked: Tensor
    ) -> Float[Tensor, "batch answer"]:
        """Answer logits of questions that are `asked` already; one may serve all images."""
        words, phrases, question = self.levels(self.cnn(pixels), *asked)
        hidden = torch.tanh(self.hidden_words(words.question + words.image))
        hidden = torch.tanh(self.hidden_phrases(torch.cat([phrases.question + phrases.image, hidden], 1)))
        hidden = torch.tanh(self.hidden_question(torch.cat([question.question + question.image, hidden], 1)))
        return self.answers(hidden)

    def forward(
        self,
        pixels: Float[Tensor, "batch 3 height width"],
        ids: Int[Tensor, "batch word"],
        lengths: Int[Tensor, " batch"],
    ) -> Float[Tensor, "batch answer"]:
        """Answer logits."""
        return self.answered(pixels, *self.asked(ids, lengths))


def _shares(
    scores: Float[Tensor, "batch item 1"], absent: Bool[Tensor, "#batch item"] | None = None
) -> Float[Tensor, "batch item"]:
    flat = scores.squeeze(2)
    return torch.softmax(flat if absent is None else flat.masked_fill(absent, _NEVER), 1)


def _mean(
    vectors: Float[Tensor, "#batch item hidden"], shares: Float[Tensor, "#batch item"]
) -> Float[Tensor, "out hidden"]:
    return (shares[:, None] @ vectors).squeeze(1)
