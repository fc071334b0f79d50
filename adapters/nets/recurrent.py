"""Caption networks that read the image as the first step, and the max-out LSTM that some of them use."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

State = tuple[Tensor, ...]
"""What a recurrent part carries from step to step, (layer, batch, size) each."""


class MaxOutLSTM(nn.Module):
    """One LSTM layer whose candidate is the larger of two linear maps, without tanh.

    The cell of the FC models of ImageCaptioning.pytorch. Called as ``nn.LSTM`` with the batch first.
    """

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.i2h = nn.Linear(inputs, 5 * hidden)
        self.h2h = nn.Linear(hidden, 5 * hidden)

    def forward(
        self, inputs: Float[Tensor, "batch step input"], state: State | None = None
    ) -> tuple[Float[Tensor, "batch step hidden"], State]:
        """The output of every step, and the state after the last one."""
        if state is None:
            zeros = inputs.new_zeros(len(inputs), self.h2h.in_features)
            hidden, cell = zeros, zeros
        else:
            hidden, cell = state[0][0], state[1][0]
        outputs: list[Tensor] = []
        for step in self.i2h(inputs).unbind(1):
            enter, forget, leave, one, other = (step + self.h2h(hidden)).chunk(5, 1)
            cell = forget.sigmoid() * cell + enter.sigmoid() * torch.maximum(one, other)
            hidden = leave.sigmoid() * cell.tanh()
            outputs.append(hidden)
        return torch.stack(outputs, 1), (hidden[None], cell[None])


class CaptionNetwork(nn.Module):
    """A caption network of given parts: CNN, image embedding, word embedding, LSTM, vocabulary.

    The LSTM is called as ``nn.LSTM`` with the batch first. It reads the embedded image, then START, then
    the words; with ``feeds_start=False`` the first word follows the image at once, and ``start`` only
    names the token that begins decoding. ``start`` is the id of START, as in the vocabulary.
    """

    def __init__(
        self,
        cnn: nn.Module,
        image_embedding: nn.Module,
        word_embedding: nn.Embedding,
        lstm: nn.Module,
        vocabulary: nn.Module,
        *,
        start: int,
        feeds_start: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.cnn = cnn
        self.image_embedding = image_embedding
        self.word_embedding = word_embedding
        self.lstm = lstm
        self.dropout = nn.Dropout(dropout)
        self.vocabulary = vocabulary
        self.start = start
        self.feeds_start = feeds_start

    def hidden(
        self, vector: Float[Tensor, "batch feature"], ids: Int[Tensor, "batch step"]
    ) -> Float[Tensor, "batch steps hidden"]:
        """The LSTM's outputs after START and after each word: row t is what predicts word t."""
        # Apart from the words, so that no gradient of a word is taken for the words before it.
        seen, state = self.lstm(self.image_embedding(vector)[:, None])
        fed = torch.cat([ids.new_full((len(ids), 1), self.start), ids], 1) if self.feeds_start else ids
        out, _ = self.lstm(self.word_embedding(fed), state)
        return self.dropout(out if self.feeds_start else torch.cat([seen, out], 1))

    def first(self, vector: Float[Tensor, "batch feature"]) -> State:
        """The state after the image; without START the embedded image itself, which is yet to be read."""
        image: Tensor = self.image_embedding(vector)[:, None]
        return self.lstm(image)[1] if self.feeds_start else (image.transpose(0, 1),)

    def step(self, state: State, said: Int[Tensor, " batch"]) -> tuple[State, Float[Tensor, "batch word"]]:
        """Feed one word to each row: the new state, and the logits of the next word."""
        if len(state) == 1:  # the image takes the place of START
            out, state = self.lstm(state[0].transpose(0, 1))
        else:
            out, state = self.lstm(self.word_embedding(said)[:, None], state)
        return state, self.vocabulary(self.dropout(out[:, 0]))

    def forward(
        self, pixels: Float[Tensor, "batch 3 height width"], ids: Int[Tensor, "batch step"]
    ) -> Float[Tensor, "batch steps word"]:
        """Logits of every word at every step, the step after the last word included."""
        return self.vocabulary(self.hidden(self.cnn(pixels), ids))


def caption_network(
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
) -> CaptionNetwork:
    """The network of neuraltalk2, which rectifies its image embedding, or of Show and Tell, which does not.

    The CNN gives vectors of ``features`` numbers; ``vocabulary`` counts words, ``layers`` the LSTM's, with
    dropout between them.
    """
    linear = nn.Linear(features, embedding)
    return CaptionNetwork(
        cnn,
        nn.Sequential(linear, nn.ReLU()) if rectified else nn.Sequential(linear),
        nn.Embedding(vocabulary, embedding),
        nn.LSTM(embedding, hidden, layers, batch_first=True, dropout=dropout if layers > 1 else 0.0),
        nn.Linear(hidden, vocabulary),
        start=start,
        dropout=dropout,
    )
