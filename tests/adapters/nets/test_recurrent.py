"""The network made of parts: against nn.LSTM, against literal cells, whole and word by word."""

import pytest
import torch
from torch import nn

from vlx.adapters.nets.captioning import CaptionNetwork
from vlx.adapters.nets.recurrent import MaxOutLSTM, RecurrentNetwork

IDS = torch.tensor([[3, 1, 4, 1], [5, 2, 0, 0]])


def parts(recurrent: nn.Module, *, feeds_start: bool = True) -> RecurrentNetwork:
    torch.manual_seed(1)
    network = RecurrentNetwork(
        nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten()),
        nn.Linear(12, 6),
        nn.Embedding(7, 6),
        recurrent,
        nn.Linear(5, 7),
        start=2,
        feeds_start=feeds_start,
    )
    return network.double().eval()


def pixels() -> torch.Tensor:
    return torch.rand(2, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(3))


def recurrents() -> list[nn.Module]:
    torch.manual_seed(0)
    return [MaxOutLSTM(6, 5), nn.LSTM(6, 5, batch_first=True), nn.LSTM(6, 5, 3, batch_first=True)]


def test_max_out_cell_is_the_published_step():
    """Literally: five blocks of rows, three of gates, then two of which the larger is the candidate."""
    torch.manual_seed(0)
    cell = MaxOutLSTM(6, 5).double()
    inputs = torch.randn(2, 3, 6, dtype=torch.float64)
    cell.requires_grad_(False)
    found, (hidden, memory) = cell(inputs)
    for row in range(2):
        h, c = [0.0] * 5, [0.0] * 5
        for step in range(3):
            sums = cell.i2h.weight @ inputs[row, step] + cell.i2h.bias
            sums = sums + cell.h2h.weight @ torch.tensor(h, dtype=torch.float64) + cell.h2h.bias
            sigmoid = 1 / (1 + torch.exp(-sums))
            for unit in range(5):
                candidate = max(sums[15 + unit], sums[20 + unit])
                c[unit] = float(sigmoid[5 + unit] * c[unit] + sigmoid[unit] * candidate)
            h = [float(sigmoid[10 + unit] * torch.tanh(torch.tensor(c[unit]))) for unit in range(5)]
            torch.testing.assert_close(found[row, step], torch.tensor(h).double(), rtol=0, atol=1e-6)
        torch.testing.assert_close(hidden[0, row], found[row, -1])
        torch.testing.assert_close(memory[0, row], torch.tensor(c).double(), rtol=0, atol=1e-6)


def test_max_out_cell_continues_from_its_state():
    torch.manual_seed(0)
    cell = MaxOutLSTM(6, 5).double()
    inputs = torch.randn(2, 4, 6, dtype=torch.float64)
    whole, after = cell(inputs)
    head, state = cell(inputs[:, :1])
    tail, end = cell(inputs[:, 1:], state)
    torch.testing.assert_close(torch.cat([head, tail], 1), whole)
    torch.testing.assert_close(end, after)


def test_with_one_lstm_it_is_the_caption_network():
    network = parts(nn.LSTM(6, 5, batch_first=True))
    other = (
        CaptionNetwork(network.cnn, 12, 7, embedding=6, hidden=5, rectified=False, start=2).double().eval()
    )
    other.image_embedding[0] = network.image_embedding
    other.word_embedding, other.lstm = network.word_embedding, network.recurrent
    other.vocabulary = network.vocabulary
    torch.testing.assert_close(network(pixels(), IDS), other(pixels(), IDS), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("feeds_start", [True, False])
@pytest.mark.parametrize("which", range(3))
def test_word_by_word_equals_the_whole(which, feeds_start):
    network = parts(recurrents()[which], feeds_start=feeds_start)
    whole = network(pixels(), IDS)
    assert whole.shape == (2, 5, 7)
    state = network.first(network.cnn(pixels()))
    said = torch.full((2,), network.start)
    for step in range(5):
        state, logits = network.step(state, said)
        torch.testing.assert_close(logits, whole[:, step], rtol=1e-12, atol=1e-12)
        said = IDS[:, min(step, 3)]


@pytest.mark.parametrize("feeds_start", [True, False])
def test_the_inputs_are_image_then_start_then_words(feeds_start):
    network = parts(nn.LSTM(6, 5, batch_first=True), feeds_start=feeds_start)
    image = network.image_embedding(network.cnn(pixels()))
    fed = [2, 3, 1, 4, 1] if feeds_start else [3, 1, 4, 1]
    sequence = torch.stack([image[0], *(network.word_embedding.weight[index] for index in fed)])
    out, _ = network.recurrent(sequence[None])
    expected = network.vocabulary(out[0])[len(fed) - 4 :]
    torch.testing.assert_close(network(pixels(), IDS)[0], expected, rtol=1e-12, atol=1e-12)
