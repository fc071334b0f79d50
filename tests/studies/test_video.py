"""Clips whose events are known, the network that reads them, and what its maps are measured by."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from typer.testing import CliRunner

from vlx.cli.app import app
from vlx.errors import VlxError
from vlx.network import explain_clip
from vlx.studies.page import read_findings
from vlx.studies.video import Item, shipped_network
from vlx.studies.video.clips import COUNT, EVENTS, clip, normalised
from vlx.studies.video.items import asked, built_in
from vlx.studies.video.measured import Explainer, measured, peak
from vlx.studies.video.study import VideoSettings, video_study
from vlx.studies.video.training import Recipe, accuracy, trained


def test_a_clip_shows_what_it_says():
    for number, (axis, sign) in {0: (1, 1), 1: (1, -1), 2: (0, 1), 3: (0, -1)}.items():
        one = clip(7, number)
        (event,) = one.happenings
        middles = [np.argwhere(event.seen[at]).mean(0)[axis] for at in (event.first, event.last)]
        assert np.sign(middles[1] - middles[0]) == sign, EVENTS[event.event]
        before = [np.argwhere(event.seen[at]).mean(0) for at in (0, event.first)]
        assert np.array_equal(*before)
    sizes = [(event.seen[event.first].sum(), event.seen[event.last].sum())
             for number in (4, 5) for event in clip(7, number).happenings]  # fmt: skip
    assert sizes[0][1] > 2 * sizes[0][0]
    assert sizes[1][0] > 2 * sizes[1][1]


def test_the_same_number_gives_the_same_and_training_has_other_objects():
    one, again, other = clip(7, 3), clip(7, 3), clip(7, 3, "train")
    assert np.array_equal(one.frames, again.frames)
    assert not np.array_equal(one.frames, other.frames)


def test_two_events_are_different_and_apart():
    for number in range(4):
        first, second = clip(2, number, events=2, side=56).happenings
        assert first.event != second.event
        assert not (first.seen.any(0) & second.seen.any(0)).any()


def test_an_event_that_does_not_happen():
    whole, still = clip(2, 1, events=2, side=56), clip(2, 1, events=2, side=56, without=0)
    seen = still.happenings[0].seen
    assert (seen == seen[0]).all()
    moved = (whole.frames != still.frames).any((0, 3))
    assert not moved[~whole.happenings[0].seen.any(0) & ~seen[0]].any()
    assert np.array_equal(whole.happenings[1].seen, still.happenings[1].seen)


def test_the_shipped_network_tells_events():
    assert accuracy(shipped_network(), 60) > 0.9


def test_training_is_repeatable():
    recipe = Recipe(steps=2, batch=2)
    one, other = (trained(recipe, lambda _line: None).state_dict() for _ in range(2))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_maps_follow_the_class_that_is_asked():
    """In a clip of two events each class points at its own, in place and in time."""
    (item, other) = built_in(1, 2)
    found = explain_clip(
        shipped_network(), item.pixels[None].expand(2, -1, -1, -1, -1), [item.target, other.target]
    )
    assert found.maps.shape == (2, COUNT, 56, 56)
    for position, one in enumerate((item, other)):
        frame, row, col = found.peak(position)
        assert one.mask[:, max(row - 3, 0) : row + 4, max(col - 3, 0) : col + 4].any()
        assert one.mask.any((1, 2))[frame]


class Flash(nn.Module):
    """Adds up brightness."""

    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv3d(3, 2, 3, padding=1), nn.Linear(2, 2)
        nn.init.constant_(self.conv.weight, 0.1)
        nn.init.zeros_(self.conv.bias)

    def forward(self, x: torch.Tensor):
        return self.fc(self.conv(x).relu().square().mean((2, 3, 4)))


def flash(name: str = "a") -> Item:
    pixels, mask = torch.zeros(3, 8, 16, 16), np.zeros((8, 16, 16), bool)
    mask[3:6, 4:8, 9:13] = True
    pixels[:, torch.from_numpy(mask)] = 1.0
    return Item(name, pixels, 0, 1, mask, torch.zeros_like(pixels))


def test_what_is_measured_of_a_flash():
    network = Flash()
    nn.init.constant_(network.fc.weight, 1.0)
    row = measured(Explainer(network, Flash(), "conv", ("hires_cam",), 0), flash(), 0)
    assert row["both"]["hires_cam"] == row["place"]["hires_cam"] == row["time"]["hires_cam"] == 1.0
    assert row["frames_off"]["hires_cam"] == 0.0
    assert row["area_in_time"]["hires_cam"] == pytest.approx(1.0)
    assert row["hidden"]["hires_cam"] > 0
    assert row["without"] > 0
    assert row["chance"]["time"] == 3 / 8


def test_the_middle_of_several_maxima():
    plane = np.zeros((3, 5, 5))
    plane[:, 1:4, 1:4] = 1
    assert peak(plane) == (1, 2, 2)


def test_a_study_goes_on_and_is_read_back(tmp_path):
    settings = VideoSettings(clips=2, methods=("grad_cam",), shown=1)
    found = video_study(settings, tmp_path, lambda _line: None)
    again = video_study(settings, tmp_path, lambda _line: pytest.fail("measured anew"))
    assert again.answer == found.answer == read_findings(tmp_path).answer
    assert found.number("grad_cam").n == 4
    assert found.number("grad_cam").clusters == 2
    assert found.number("chance").control
    assert len(found.pictures) == 1
    with Image.open(tmp_path / "strip-1.gif") as moving:
        assert moving.n_frames == COUNT
    with pytest.raises(VlxError, match="occlusion explains images, not clips"):
        video_study(VideoSettings(methods=("occlusion",)), tmp_path / "other")


OWN = """
import torch
from torch import nn
from vlx.studies.video import Item

def network():
    net = nn.Sequential(nn.Conv3d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(4, 3))
    return net, [Item(name, torch.rand(3, 6, 20, 24), 1) for name in ("walk", "run")]

def nothing():
    return 3
"""


def test_ones_own_network_from_the_command_line(tmp_path, monkeypatch):
    (tmp_path / "own_clips_of_a_test.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    told = ["study", "video", "--limit", "2", "--method", "grad_cam", "--out", "found"]
    done = CliRunner().invoke(app, [*told, "--model", "python:own_clips_of_a_test:network"])
    assert done.exit_code == 0, done.output
    assert "The clips have no masks" in done.output
    for model, message in (
        ("python:own_clips_of_a_test:nothing", "a network and a list of Item are due"),
        ("python:own_clips_of_a_test:other", "no function"),
        ("films", "no network 'films'"),
    ):
        with pytest.raises(VlxError, match=message):
            asked(model, 2, 0)


def test_clips_are_normalised():
    found = normalised([clip(7, 0)])
    assert found.shape == (1, 3, COUNT, 40, 40)
    assert -2 <= float(found.min()) < float(found.max()) <= 2
