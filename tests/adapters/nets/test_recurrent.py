"""The network made of parts: against nn.LSTM, against literal cells, whole and word by word."""

import pytest
import torch
from torch import Tensor, nn

from tests.adapters.nets.lstm_cell import cell
from vlx.adapters.nets.recurrent import CaptionNetwork, MaxOutLSTM, caption_network

IDS = torch.tensor([[3, 1, 4, 1], [5, 2, 0, 0]])


def parts(recurrent: nn.Module, *, feeds_start: bool = True) -> CaptionNetwork:
    torch.manual_seed(1)
    network = CaptionNetwork(
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


def test_with_one_lstm_it_is_the_network_of_show_and_tell():
    network = parts(nn.LSTM(6, 5, batch_first=True))
    other = (
        caption_network(network.cnn, 12, 7, embedding=6, hidden=5, rectified=False, start=2).double().eval()
    )
    other.image_embedding[0] = network.image_embedding
    other.word_embedding, other.lstm = network.word_embedding, network.lstm
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
    out, _ = network.lstm(sequence[None])
    expected = network.vocabulary(out[0])[len(fed) - 4 :]
    torch.testing.assert_close(network(pixels(), IDS)[0], expected, rtol=1e-12, atol=1e-12)


def captions(rectified: bool = True, start: int = 0) -> CaptionNetwork:
    torch.manual_seed(0)
    network = caption_network(
        nn.Flatten(), 12, 8, embedding=5, hidden=6, rectified=rectified, start=start
    ).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(2.0)
    return network.eval()


@pytest.mark.parametrize("rectified", [True, False])
@pytest.mark.parametrize("start", [0, 3])
def test_captions_against_a_cell_written_out(rectified, start):
    """The image is read first, START second, then the words."""
    network = captions(rectified, start)
    vector, ids = torch.randn(12).double(), [4, 2, 7]
    image = network.image_embedding[0].weight @ vector + network.image_embedding[0].bias
    assert bool(image.min() < 0)
    h = c = torch.zeros(6).double()
    h, c = cell(network.lstm, 0, image.clamp(min=0) if rectified else image, h, c)
    rows: list[Tensor] = []
    for said in (start, *ids):
        h, c = cell(network.lstm, 0, network.word_embedding.weight[said], h, c)
        rows.append(network.vocabulary.weight @ h + network.vocabulary.bias)
    found = network(vector.view(1, 3, 2, 2), torch.tensor([ids]))[0]
    assert found.shape == (4, 8)
    torch.testing.assert_close(found, torch.stack(rows), rtol=1e-12, atol=1e-12)


def test_row_t_is_what_the_steps_give_for_word_t():
    network, pixels = captions(), torch.randn(2, 3, 2, 2).double()
    ids = torch.tensor([[4, 2, 7], [1, 1, 5]])
    rows = network(pixels, ids)
    state = network.first(network.cnn(pixels))
    for t in range(4):
        said = torch.zeros(2, dtype=torch.long) if t == 0 else ids[:, t - 1]
        state, logits = network.step(state, said)
        torch.testing.assert_close(rows[:, t], logits, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("t", range(4))
def test_changing_word_t_changes_the_rows_after_t_alone(t):
    network, pixels = captions(), torch.randn(1, 3, 2, 2).double()
    ids = torch.tensor([[4, 2, 7, 1]])
    other = ids.clone()
    other[0, t] = 5
    moved = (network(pixels, ids) - network(pixels, other)).abs().amax(-1)[0]
    assert moved[: t + 1].tolist() == [0.0] * (t + 1)
    assert bool((moved[t + 1 :] > 0).all())
    assert len(moved) == 5
