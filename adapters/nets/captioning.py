"""The networks of the classic captioners and VQA models, as plain modules at any size."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

State = tuple[Tensor, Tensor]
"""Hidden and cell state of an LSTM, (layer, batch, hidden) each."""


class GlobalPool(nn.Module):
    """What is in a feature map, how much of it, and on which side: three numbers for each channel.

    The maximum; the sum, divided by the number of rows, which brings it near the maximum; and the same
    sum with columns weighted from -1 at the left edge to 1 at the right. No place has weights of its own,
    so "more of this" means the same everywhere: a gradient averaged over all places is not a mixture of
    places that disagree.
    """

    def forward(self, features: Float[Tensor, "batch channel row col"]) -> Float[Tensor, "batch pooled"]:
        """Maxima of all channels, then sums, then weighted sums."""
        rows, cols = features.shape[2:]
        columns = features.sum(2) / rows
        aside = columns @ self._sides(columns, cols)
        return torch.cat([features.amax((2, 3)), columns.sum(2), aside], 1)

    def of_everywhere(
        self, value: Float[Tensor, "batch channel"], rows: int, cols: int
    ) -> Float[Tensor, "batch pooled"]:
        """What a value adds to the three that is added at each place."""
        del rows
        return torch.cat([value, value * cols, value * self._sides(value, cols).sum()], 1)

    @staticmethod
    def _sides(like: Tensor, cols: int) -> Float[Tensor, " col"]:
        return torch.linspace(-1, 1, cols).to(like)


class VggLike(nn.Module):
    """A small VGG: 3x3 convolutions with ReLUs and max-pools, then fc6 and fc7 with ReLUs.

    ``plan`` lists output channels, ``"M"`` for a 2x2 max-pool; the first convolution has stride 2.
    ``features`` ends in the last ReLU; before fc6 stands a `GlobalPool`, which keeps fc6 small. With
    ``norm`` each convolution is followed by batch normalisation, for training; `folded` removes it again.
    """

    def __init__(
        self,
        plan: Sequence[int | str],
        fc: tuple[int, int],
        *,
        norm: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for step in plan:
            if isinstance(step, str):
                layers.append(nn.MaxPool2d(2))
                continue
            stride = 2 if not layers else 1
            layers.append(nn.Conv2d(channels, step, 3, stride, 1, bias=not norm))
            layers += [nn.BatchNorm2d(step)] if norm else []
            layers.append(nn.ReLU(inplace=True))
            channels = step
        self.features = nn.Sequential(*layers)
        self.channels = channels
        self.pool = GlobalPool()
        self.classifier = nn.Sequential(
            nn.Linear(3 * channels, fc[0]), nn.ReLU(inplace=True), nn.Dropout(dropout),
            nn.Linear(fc[0], fc[1]), nn.ReLU(inplace=True), nn.Dropout(dropout),
        )  # fmt: skip

    def forward(self, pixels: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch fc7"]:
        """The rectified fc7 vector."""
        return self.classifier(self.pool(self.features(pixels)))


def folded(features: nn.Sequential) -> list[nn.Module]:
    """The same layers with each batch normalisation folded into the convolution before it."""
    layers: list[nn.Module] = []
    for layer in features:
        if isinstance(layer, nn.BatchNorm2d):
            conv = layers.pop()
            assert isinstance(conv, nn.Conv2d)
            layers.append(torch.nn.utils.fuse_conv_bn_eval(conv.eval(), layer.eval()))
        else:
            layers.append(layer)
    return layers


class CaptionNetwork(nn.Module):
    """CNN vector, then an LSTM that reads the image first, START second, and the words after.

    neuraltalk2 rectifies its image embedding (``image_embedding`` is Linear and ReLU), Show and Tell
    does not (Linear alone). ``start`` is the id of START, as in the vocabulary; ``layers`` counts the
    LSTM's, with dropout between them.
    """

    def __init__(
        self,
        cnn: nn.Module,
        features: int,
        vocabulary: int,
        *,
        embedding: int = 512,
        hidden: int = 512,
        rectified: bool = True,
        dropout: float = 0.5,
        start: int = 0,
        layers: int = 1,
    ) -> None:
        super().__init__()
        self.cnn = cnn
        linear = nn.Linear(features, embedding)
        self.image_embedding = nn.Sequential(linear, nn.ReLU()) if rectified else nn.Sequential(linear)
        self.word_embedding = nn.Embedding(vocabulary, embedding)
        between = dropout if layers > 1 else 0.0
        self.lstm = nn.LSTM(embedding, hidden, num_layers=layers, batch_first=True, dropout=between)
        self.dropout = nn.Dropout(dropout)
        self.vocabulary = nn.Linear(hidden, vocabulary)
        self.start = start

    def hidden(
        self, vector: Float[Tensor, "batch feature"], ids: Int[Tensor, "batch step"]
    ) -> Float[Tensor, "batch steps hidden"]:
        """The LSTM's outputs after START and after each word: row t is what predicts word t."""
        start = ids.new_full((len(ids), 1), self.start)
        # Apart from the image, so that no gradient of a word is taken for the words before it.
        out, _ = self.lstm(self.word_embedding(torch.cat([start, ids], 1)), self.first(vector))
        return self.dropout(out)

    def first(self, vector: Float[Tensor, "batch feature"]) -> State:
        """The LSTM's state after it has read the image."""
        return self.lstm(self.image_embedding(vector)[:, None])[1]

    def step(self, state: State, said: Int[Tensor, " batch"]) -> tuple[State, Float[Tensor, "batch word"]]:
        """Feed one word to each row: the new state, and the logits of the next word."""
        out, state = self.lstm(self.word_embedding(said)[:, None], state)
        return state, self.vocabulary(self.dropout(out[:, 0]))

    def forward(
        self, pixels: Float[Tensor, "batch 3 height width"], ids: Int[Tensor, "batch step"]
    ) -> Float[Tensor, "batch steps word"]:
        """Logits of every word at every step, the step after the last word included."""
        return self.vocabulary(self.hidden(self.cnn(pixels), ids))


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
