"""Deeper LSTM Q + norm I (Lu et al. 2015) as a plain module at any size."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


class QuestionNetwork(nn.Module):
    """Deeper LSTM Q + norm I (Lu et al. 2015, VQA_LSTM_CNN).

    Words are embedded by a linear layer with bias and tanh, read by a two-layer LSTM whose whole
    state [c1, h1, c2, h2] after the last word is the question; the CNN vector is L2-normalised;
    both go through a linear layer and tanh, are multiplied, and give one logit for each answer.
    """

    def __init__(
        self,
        cnn: nn.Module,
        features: int,
        words: int,
        answers: int,
        *,
        embedding: int = 200,
        hidden: int = 512,
        joint: int = 1024,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.cnn = cnn
        self.word_embedding = nn.Embedding(words, embedding)
        self.word_bias = nn.Parameter(torch.zeros(embedding))
        self.lstm = nn.LSTM(embedding, hidden, num_layers=2, batch_first=True, dropout=dropout)
        self.dropout = nn.Dropout(dropout)
        self.question = nn.Linear(4 * hidden, joint)
        self.image = nn.Linear(features, joint)
        self.answers = nn.Linear(joint, answers)

    def state(
        self, ids: Int[Tensor, "batch step"], lengths: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch state"]:
        """The LSTM's state [c1, h1, c2, h2] after each question's last word; padding has no influence."""
        words = torch.tanh(self.dropout(self.word_embedding(ids) + self.word_bias))
        packed = nn.utils.rnn.pack_padded_sequence(
            words, lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        _, (hidden, cell) = self.lstm(packed)
        return torch.cat([cell[0], hidden[0], cell[1], hidden[1]], 1)

    def asked(
        self, ids: Int[Tensor, "batch step"], lengths: Int[Tensor, " batch"]
    ) -> tuple[Float[Tensor, "batch joint"]]:
        """What the questions have to say to the images."""
        return (torch.tanh(self.question(self.dropout(self.state(ids, lengths)))),)

    def logits(
        self,
        vector: Float[Tensor, "batch feature"],
        ids: Int[Tensor, "#batch step"],
        lengths: Int[Tensor, " #batch"],
    ) -> Float[Tensor, "batch answer"]:
        """Answer logits from a CNN vector that is not yet normalised; one question may serve all."""
        return self._joined(self._seen(vector), *self.asked(ids, lengths))

    def answered(
        self, pixels: Float[Tensor, "batch 3 height width"], question: Float[Tensor, "#batch joint"]
    ) -> Float[Tensor, "batch answer"]:
        """Answer logits of questions that are `asked` already; one may serve all."""
        return self._joined(self._seen(self.cnn(pixels)), question)

    def forward(
        self,
        pixels: Float[Tensor, "batch 3 height width"],
        ids: Int[Tensor, "#batch step"],
        lengths: Int[Tensor, " #batch"],
    ) -> Float[Tensor, "batch answer"]:
        """Answer logits."""
        return self.logits(self.cnn(pixels), ids, lengths)

    def _seen(self, vector: Float[Tensor, "batch feature"]) -> Float[Tensor, "batch joint"]:
        unit = vector / (vector.square().sum(1, keepdim=True) + 1e-10).sqrt()
        return torch.tanh(self.image(self.dropout(unit)))

    def _joined(
        self, image: Float[Tensor, "batch joint"], question: Float[Tensor, "#batch joint"]
    ) -> Float[Tensor, "batch answer"]:
        return self.answers(self.dropout(image * question))
