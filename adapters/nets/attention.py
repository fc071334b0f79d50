"""Show, Attend and Tell with soft attention and a gate, as sgrvinod's tutorial has it."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

State = tuple[Tensor, ...]
"""Hidden and cell state, the places of the image, and what the attention makes of them; batch on axis 1."""


class AttentionNetwork(nn.Module):
    """At each word an LSTM cell reads the word before it and the places that its state attends to.

    The CNN gives a feature map whose places are attended; their mean starts the state.
    """

    def __init__(
        self,
        cnn: nn.Module,
        features: int,
        vocabulary: int,
        *,
        embedding: int = 512,
        hidden: int = 512,
        attention: int = 512,
        start: int,
    ) -> None:
        super().__init__()
        self.cnn = cnn
        self.of_places = nn.Linear(features, attention)
        self.of_state = nn.Linear(hidden, attention)
        self.score = nn.Linear(attention, 1)
        self.word_embedding = nn.Embedding(vocabulary, embedding)
        # A cell of its own: the fused one has no rule for batched gradients.
        self.enter = nn.Linear(embedding + features, 4 * hidden)
        self.recur = nn.Linear(hidden, 4 * hidden)
        self.first_hidden = nn.Linear(features, hidden)
        self.first_cell = nn.Linear(features, hidden)
        self.gate = nn.Linear(hidden, features)
        self.vocabulary = nn.Linear(hidden, vocabulary)
        self.start = start

    def first(self, features: Float[Tensor, "batch feature row col"]) -> State:
        """The state before START: from the mean of all places."""
        places = features.flatten(2).mT
        mean = places.mean(1)
        parts = (self.first_hidden(mean), self.first_cell(mean), places, self.of_places(places))
        return tuple(part[None] for part in parts)

    def step(self, state: State, said: Int[Tensor, " batch"]) -> tuple[State, Float[Tensor, "batch word"]]:
        """Feed one word to each row: the new state, and the logits of the next word."""
        state = self._next(state, said)
        return state, self.vocabulary(state[0][0])

    def forward(
        self, pixels: Float[Tensor, "batch 3 height width"], ids: Int[Tensor, "batch step"]
    ) -> Float[Tensor, "batch steps word"]:
        """Logits of every word at every step, the step after the last word included."""
        state = self.first(self.cnn(pixels))
        hidden: list[Tensor] = []
        for said in torch.cat([ids.new_full((len(ids), 1), self.start), ids], 1).unbind(1):
            state = self._next(state, said)
            hidden.append(state[0][0])
        return self.vocabulary(torch.stack(hidden, 1))

    def _next(self, state: State, said: Int[Tensor, " batch"]) -> State:
        hidden, cell, places, scored = (part[0] for part in state)
        shares = torch.softmax(self.score(torch.relu(scored + self.of_state(hidden)[:, None])), 1)
        seen = torch.sigmoid(self.gate(hidden)) * (places * shares).sum(1)
        sums = self.enter(torch.cat([self.word_embedding(said), seen], 1)) + self.recur(hidden)
        enter, forget, candidate, leave = sums.chunk(4, 1)
        cell = forget.sigmoid() * cell + enter.sigmoid() * candidate.tanh()
        return ((leave.sigmoid() * cell.tanh())[None], cell[None], *state[2:])
