"""A caption network made of given parts, and the max-out LSTM that some of them use."""

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


class RecurrentNetwork(nn.Module):
    """A caption network of given parts: CNN, image embedding, word embedding, recurrent part, vocabulary.

    The recurrent part is called as ``nn.LSTM`` with the batch first. It reads the embedded image,
    then START, then the words; with ``feeds_start=False`` the first word follows the image at once, and
    ``start`` only names the token that begins decoding.
    """

    def __init__(
        self,
        cnn: nn.Module,
        image_embedding: nn.Module,
        word_embedding: nn.Embedding,
        recurrent: nn.Module,
        vocabulary: nn.Module,
        *,
        start: int,
        feeds_start: bool = True,
    ) -> None:
        super().__init__()
        self.cnn = cnn
        self.image_embedding = image_embedding
        self.word_embedding = word_embedding
        self.recurrent = recurrent
        self.vocabulary = vocabulary
        self.start = start
        self.feeds_start = feeds_start

    def first(self, vector: Float[Tensor, "batch feature"]) -> State:
        """The state after the image; without START the embedded image itself, which is yet to be read."""
        image: Tensor = self.image_embedding(vector)[:, None]
        return self.recurrent(image)[1] if self.feeds_start else (image.transpose(0, 1),)

    def step(self, state: State, said: Int[Tensor, " batch"]) -> tuple[State, Float[Tensor, "batch word"]]:
        """Feed one word to each row: the new state, and the logits of the next word."""
        if len(state) == 1:  # the image takes the place of START
            out, state = self.recurrent(state[0].transpose(0, 1))
        else:
            out, state = self.recurrent(self.word_embedding(said)[:, None], state)
        return state, self.vocabulary(out[:, 0])

    def forward(
        self, pixels: Float[Tensor, "batch 3 height width"], ids: Int[Tensor, "batch step"]
    ) -> Float[Tensor, "batch steps word"]:
        """Logits of every word at every step, the step after the last word included."""
        # Apart from the words, so that no gradient of a word is taken for the words before it.
        seen, state = self.recurrent(self.image_embedding(self.cnn(pixels))[:, None])
        fed = torch.cat([ids.new_full((len(ids), 1), self.start), ids], 1) if self.feeds_start else ids
        out, _ = self.recurrent(self.word_embedding(fed), state)
        return self.vocabulary(out if self.feeds_start else torch.cat([seen, out], 1))
