"""The small VGG: sizes, what its pooling keeps, folding."""

import pytest
import torch
from torch import nn

from vlx.adapters.nets.vgg import GlobalPool, VggLike, folded
from vlx.scenes.cnn import small_vgg


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
