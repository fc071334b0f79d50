"""Rows and columns by shapes alone."""

import pytest
import torch

import vlx
from vlx.errors import LayerError
from vlx.passes.places import on_channels_first, places, token_layout


@pytest.mark.parametrize(
    ("shape", "network", "grid", "expected"),
    [
        ((2, 8, 7, 9), (56, 72), None, (2, 8, 7, 9)),
        ((2, 7, 9, 8), (56, 72), None, (2, 8, 7, 9)),  # channels last
        ((2, 64, 8), (64, 64), None, (2, 8, 8, 8)),
        ((2, 65, 8), (64, 64), None, (2, 8, 8, 8)),
        ((2, 68, 8), (64, 64), None, (2, 8, 8, 8)),  # four registers
        ((2, 69, 8), (64, 64), None, (2, 8, 8, 8)),
        ((2, 33, 8), (32, 64), None, (2, 8, 4, 8)),
        ((2, 8, 7, 9), (99, 99), (7, 9), (2, 8, 7, 9)),
        ((2, 7, 9, 8), (99, 99), (7, 9), (2, 8, 7, 9)),
        ((2, 70, 8), (99, 99), (7, 9), (2, 8, 7, 9)),
        ((2, 8, 63), (99, 99), (7, 9), (2, 8, 7, 9)),  # places last
        ((2, 63, 8), (99, 99), lambda t: t.transpose(1, 2).unflatten(2, (7, 9)), (2, 8, 7, 9)),
    ],
)
def test_how_features_become_rows_and_columns(shape, network, grid, expected):
    features = torch.randn(shape)
    view = places(features, network, grid)
    assert view(features).shape == expected
    assert view(features.expand(3, *shape)).shape == (3, *expected)  # gradients of several targets
    assert torch.equal(view(features.expand(3, *shape))[1], view(features))


def test_each_token_lies_in_its_place():
    rows, cols = torch.meshgrid(torch.arange(4.0), torch.arange(8.0), indexing="ij")
    tokens = torch.stack([rows.flatten(), cols.flatten()], -1)[None]
    with_front = torch.cat([torch.full((1, 1, 2), -1.0), tokens], 1)
    for features in (tokens, with_front):
        assert torch.equal(places(features, (32, 64))(features), torch.stack([rows, cols])[None])


def test_what_has_no_place_is_told():
    for shape, message in (
        ((2, 40, 8), r"40 tokens are no grid of patches of 64 x 64 pixels.* grid=\(rows, cols\)"),
        ((2, 5), r"shape \(2, 5\) has no rows and columns"),
        ((2, 8, 3, 7, 7), r"has no rows and columns: name one that gives maps or tokens, or give grid="),
    ):
        with pytest.raises(LayerError, match=message):
            places(torch.ones(shape), (64, 64))
    assert token_layout(9, (32, 64)) == (2, 4, 1)


def test_a_value_at_all_places_is_added_to_channels_first_alone():
    """Of maps with channels last it would be added to rows."""
    add = on_channels_first((56, 72))
    assert add(torch.ones(2, 8, 7, 9)).value.shape == (2, 8)
    assert add(torch.ones(2, 7, 9, 8)) is None
    assert add(torch.ones(2, 63, 8)) is None
    assert vlx.conv_grid(torch.ones(1, 8, 7, 9)).shape == (1, 8, 7, 9)
