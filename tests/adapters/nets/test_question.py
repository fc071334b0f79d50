"""Deeper LSTM Q + norm I against cells written out in double precision."""

import pytest
import torch
from torch import Tensor, nn

from tests.adapters.nets.lstm_cell import cell
from vlx.adapters.nets.question import QuestionNetwork


def questions() -> QuestionNetwork:
    torch.manual_seed(0)
    network = QuestionNetwork(nn.Flatten(), 12, 9, 4, embedding=5, hidden=3, joint=7).double()
    with torch.no_grad():
        network.word_bias.normal_()
        for parameter in network.parameters():
            parameter.mul_(2.0)
    return network.eval()


def state_by_hand(network: QuestionNetwork, ids: list[int]) -> Tensor:
    """[c1, h1, c2, h2] after the last word of one question."""
    h1 = c1 = h2 = c2 = torch.zeros(3).double()
    for index in ids:
        word = torch.tanh(network.word_embedding.weight[index] + network.word_bias)
        h1, c1 = cell(network.lstm, 0, word, h1, c1)
        h2, c2 = cell(network.lstm, 1, h1, h2, c2)
    return torch.cat([c1, h1, c2, h2])


def test_the_question_is_the_whole_state_cells_before_outputs():
    network, asked = questions(), [[3, 1, 4, 8], [5], [2, 6]]
    ids = torch.tensor([row + [0] * (4 - len(row)) for row in asked])
    found = network.state(ids, torch.tensor([len(row) for row in asked]))
    expected = torch.stack([state_by_hand(network, row) for row in asked])
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("padding", [0, 7])
@pytest.mark.parametrize("width", [4, 9])
def test_padding_has_no_influence(padding, width):
    network, asked = questions(), [[5], [3, 1, 4, 8]]
    ids = torch.tensor([row + [padding] * (width - len(row)) for row in asked])
    found = network.state(ids, torch.tensor([1, 4]))
    alone = [network.state(torch.tensor([row]), torch.tensor([len(row)]))[0] for row in asked]
    torch.testing.assert_close(found, torch.stack(alone), rtol=1e-12, atol=1e-12)


def test_answers_written_out():
    """Unit length, a linear layer and tanh on either side, the product, one logit an answer."""
    network, vector = questions(), torch.randn(12).double()
    unit = vector / vector.square().sum().sqrt()
    image = torch.tanh(network.image.weight @ unit + network.image.bias)
    state = state_by_hand(network, [3, 1])
    question = torch.tanh(network.question.weight @ state + network.question.bias)
    expected = network.answers.weight @ (image * question) + network.answers.bias
    found = network(vector.view(1, 3, 2, 2), torch.tensor([[3, 1, 0]]), torch.tensor([2]))[0]
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)  # 1e-10 stands under the root


@pytest.mark.parametrize("factor", [0.01, 100.0])
def test_the_length_of_the_image_vector_does_not_matter(factor):
    network, vector = questions(), torch.randn(1, 12).double()
    ids, lengths = torch.tensor([[3, 1]]), torch.tensor([2])
    plain = network.logits(vector, ids, lengths)
    torch.testing.assert_close(network.logits(factor * vector, ids, lengths), plain, rtol=1e-6, atol=1e-6)
    assert bool((network.logits(-vector, ids, lengths) - plain).abs().max() > 0.1)


def test_a_zero_image_vector_has_finite_logits_and_gradients():
    network, vector = questions(), torch.zeros(1, 12).double().requires_grad_()
    logits = network.logits(vector, torch.tensor([[3, 1]]), torch.tensor([2]))
    (found,) = torch.autograd.grad(logits.sum(), vector)
    assert logits.isfinite().all()
    assert found.isfinite().all()
