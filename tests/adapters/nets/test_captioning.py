"""The plain networks: sizes, folding, and LSTMs against cells written out in double precision."""

import pytest
import torch
from torch import Tensor, nn

from vlx.adapters.nets.captioning import CaptionNetwork, GlobalPool, QuestionNetwork, VggLike, folded
from vlx.scenes.cnn import small_vgg


def cell(lstm: nn.LSTM, layer: int, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """One LSTM step written out: gates in the order input, forget, candidate, output."""
    weights = (getattr(lstm, f"{name}_l{layer}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    w_x, w_h, b_x, b_h = weights
    i, f, g, o = (w_x @ x + b_x + w_h @ h + b_h).chunk(4)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


@pytest.mark.parametrize(
    ("plan", "side", "map_side", "channels"),
    [
        ((6, "M", 8), 32, 8, 8),
        ((4, 5, "M", 6, "M", 7), 64, 8, 7),
        ((4, "M"), 16, 4, 4),
        ((4,), 32, 16, 4),
    ],
)
def test_a_small_vgg_has_the_sizes_of_its_plan(plan, side, map_side, channels):
    torch.manual_seed(0)  # by chance all nine numbers may be rectified away
    network = VggLike(plan, (11, 9)).double().eval()
    pixels = torch.randn(2, 3, side, side).double()
    features = network.features(pixels).detach()
    assert features.shape == (2, channels, map_side, map_side)
    assert network.channels == channels
    assert network.classifier[0].in_features == 3 * channels  # maxima, sums, sums weighted by column
    vector = network(pixels).detach()
    assert vector.shape == (2, 9)
    assert float(vector.min()) == 0  # rectified, as fc7 is
    assert float(vector.max()) > 0
    assert float(features.min()) >= 0


def test_the_global_pool_worked_by_hand():
    # one channel, 2 rows of 3 columns, whose weights are -1, 0 and 1
    found = GlobalPool()(torch.tensor([[[[1.0, 2.0, 4.0], [0.0, 8.0, 0.0]]]]))
    assert found.tolist() == [[8.0, 15 / 2, (4 - 1) / 2]]


def test_the_global_pool_lists_channels_within_each_kind():
    features = torch.rand(2, 5, 3, 4)
    most, total, aside = GlobalPool()(features).split(5, 1)
    columns = torch.tensor([-1, -1 / 3, 1 / 3, 1])
    torch.testing.assert_close(most, features.amax((2, 3)))
    torch.testing.assert_close(total, features.sum((2, 3)) / 3)
    torch.testing.assert_close(aside, (features * columns).sum((2, 3)) / 3)


def test_where_a_feature_lies_does_not_turn_the_sign_of_its_mean_gradient():
    """The sum counts alike everywhere, and the weights of the columns average to nothing."""
    torch.manual_seed(0)
    weights = torch.randn(3)
    signs: set[float] = set()
    for place in range(20):
        features = torch.zeros(1, 1, 4, 5)
        features.view(-1)[place] = 1.0
        features.requires_grad_()
        (GlobalPool()(features) @ weights).sum().backward()
        assert features.grad is not None
        mean = features.grad.mean()
        torch.testing.assert_close(mean, weights[0] / 20 + weights[1] / 4)
        signs.add(float(mean.sign()))
    assert len(signs) == 1


def test_the_cnn_of_the_scenes_gives_14_by_14_of_160():
    network = small_vgg().eval()
    with torch.no_grad():
        features = network.features(torch.zeros(1, 3, 224, 224))
        assert features.shape == (1, 160, 14, 14)
        assert network(torch.zeros(1, 3, 224, 224)).shape == (1, 512)


def trained_norm() -> VggLike:
    """A CNN whose batch normalisation has statistics and scales of its own."""
    torch.manual_seed(0)
    network = VggLike((6, "M", 8, 5), (11, 9), norm=True).double()
    with torch.no_grad():
        for layer in network.features:
            if isinstance(layer, nn.BatchNorm2d):
                layer.running_mean.normal_()
                layer.running_var.uniform_(0.3, 3.0)
                layer.weight.normal_(1.0, 0.5)
                layer.bias.normal_()
    return network.eval()


def test_folded_batch_normalisation_gives_the_same_map():
    network, pixels = trained_norm(), torch.randn(3, 3, 32, 32).double()
    expected = network.features(pixels)
    layers = folded(network.features)
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in layers)
    torch.testing.assert_close(nn.Sequential(*layers)(pixels), expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(network.features(pixels), expected, rtol=0, atol=0)  # folding copies
    plain = VggLike((6, "M", 8, 5), (11, 9)).double().eval()
    plain.features.load_state_dict(nn.Sequential(*layers).state_dict())
    torch.testing.assert_close(plain.features(pixels), expected, rtol=1e-12, atol=1e-12)


def test_folding_is_of_the_statistics_not_of_a_batch():
    network, pixels = trained_norm(), torch.randn(3, 3, 32, 32).double()
    by_statistics = nn.Sequential(*folded(network.features))(pixels)
    by_batch = network.train().features(pixels)
    assert bool((by_statistics - by_batch).abs().max() > 0.1)


def captions(rectified: bool = True, start: int = 0) -> CaptionNetwork:
    torch.manual_seed(0)
    network = CaptionNetwork(
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
