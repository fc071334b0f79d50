"""The game, the agent, and what its maps are measured by."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from typer.testing import CliRunner

import vlx
from vlx.cli.app import app
from vlx.errors import VlxError
from vlx.studies.page import read_findings
from vlx.studies.policy import Orchard, explain_actions, player, shipped_agent
from vlx.studies.policy.moments import Asked, measured, moment
from vlx.studies.policy.network import Agent
from vlx.studies.policy.orchard import ACTIONS, Thing, scripted
from vlx.studies.policy.playing import at_random, greedy, played, replayed
from vlx.studies.policy.study import PolicySettings, policy_study
from vlx.studies.policy.training import Recipe, advantages, trained


def _begun(seed: int = 3, steps: int = 20) -> Orchard:
    game = Orchard()
    game.reset(seed=seed)
    for _ in range(steps):
        game.step(1)
    return game


def test_the_same_seed_plays_the_same():
    one, other = _begun(), _begun()
    assert np.array_equal(one.observation(), other.observation())
    assert not np.array_equal(one.observation(), _begun(4).observation())


def test_masks_are_what_is_drawn():
    game = _begun()
    whole = game.observation()
    for name, mask in game.masks().items():
        changed = (whole != game.observation(without=name)).any(0)
        assert changed.any()
        assert not changed[~mask].any(), name
    assert np.array_equal(whole, game.observation(without="nothing of the kind"))


def test_rewards_and_ends():
    game = Orchard()
    game.reset(seed=0)
    game._falling = [Thing(kind, 1, 71.0, float(game._basket)) for kind in ("apple", "bomb")]
    *_, info = game.step(1)
    assert (info["apples"], info["bombs"]) == (1, 1)
    game._falling, game._bombs = [Thing("bomb", 3, 71.0, float(game._basket))], 2
    _, reward, terminated, truncated, _ = game.step(1)
    assert (reward, terminated, truncated) == (-1.0, True, False)
    game._step = 199
    assert game.step(1)[3]
    with pytest.raises(VlxError, match="is no action"):
        game.step(3)
    with pytest.raises(VlxError, match="call reset first"):
        Orchard().step(1)


def test_the_scripted_player_goes_to_the_apple_and_away_from_the_bomb():
    ring, left, right = (Thing("ring", 0, 9.0, 9.0), *(Thing("basket", 0, 75.0, col) for col in (20.0, 33.0)))
    assert scripted((ring, Thing("apple", 1, 40.0, 60.0), left)) == 2
    assert scripted((ring, Thing("bomb", 1, 60.0, 30.0), right)) == 2
    assert scripted((ring, right)) == 1


def test_advantages_written_out():
    rewards, values = torch.tensor([[1.0], [0.0], [2.0]]), torch.tensor([[0.5], [1.0], [-1.0], [4.0]])
    ended, discount, trace = torch.tensor([[0.0], [1.0], [0.0]]), 0.9, 0.8
    last = 2 + 0.9 * 4 + 1
    second = 0 - 1.0  # the episode ends: nothing behind it
    first = 1 + 0.9 * 1.0 - 0.5 + 0.9 * 0.8 * second
    expected = torch.tensor([[first], [second], [last]])
    torch.testing.assert_close(advantages(rewards, values, ended, discount, trace), expected)


def test_training_is_repeatable_and_changes_weights():
    recipe = Recipe(games=2, steps=4, rounds=1, epochs=1, batch=4)
    one, other = (trained(recipe, lambda _line: None).state_dict() for _ in range(2))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert not torch.equal(one["actor.weight"], trained(Recipe(2, 4, 1, 2, 4), lambda _: None).actor.weight)


def test_the_shipped_agent_plays_better_than_chance():
    agent = player()
    rewards = {"own": 0.0, "random": 0.0}
    for seed in range(3):
        rewards["own"] += played(Orchard(), seed, greedy(agent)).reward
        rewards["random"] += played(Orchard(), seed, at_random(3, seed)).reward
    assert rewards["own"] >= 9 > rewards["random"] + 3


def test_an_episode_is_replayed():
    game, kept = Orchard(), list[np.ndarray]()
    episode = played(game, 5, at_random(3, 1), lambda _at, seen: kept.append(seen))
    assert np.array_equal(replayed(game, 5, episode, 30), kept[30])


def test_a_difference_of_actions_is_the_difference_of_their_logits():
    agent, seen = shipped_agent(), _begun().observation()[None]
    signed = vlx.grad_cam_with(rectify=False)
    one, other, both = (
        explain_actions(agent, seen, action, against=against, method=signed).maps
        for action, against in ((0, None), (2, None), (0, 2))
    )
    np.testing.assert_allclose(both, one - other, atol=1e-5)
    own = explain_actions(agent, seen)
    assert own.actions == (int(own.logits[0].argmax()),)
    assert own.layer == "conv3"
    raw = vlx.explain_model(agent, torch.from_numpy(seen).float(), 0, "conv3", method=signed)
    assert raw.shape == (1, 10, 10)


class Reads(nn.Module):
    """A network whose logits are the brightness of one place each."""

    def __init__(self, places: list[tuple[int, int]]):
        super().__init__()
        self.conv = nn.Conv2d(4, 1, 3, padding=1)
        nn.init.constant_(self.conv.weight, 1 / 36)
        nn.init.zeros_(self.conv.bias)
        self.places = places

    def forward(self, x: torch.Tensor):
        maps = self.conv(x).relu()
        return torch.stack(
            [maps[:, 0, row - 8 : row + 9, col - 8 : col + 9].mean((1, 2)) for row, col in self.places], 1
        )


def test_maps_point_at_what_a_decision_rests_on():
    """A network that reads the apple alone: the truth, the map and the windows all say so."""
    game = _begun(3, 12)
    things = {one.name: one for one in game.things}
    name = next(one for one in things if one.startswith(("apple", "bomb")))
    place = round(things[name].row), max(round(things[name].col), 8)
    network = Reads([place, (40, 70), (30, 8)])
    asked = Asked(network, Reads([(60, 60), (40, 70), (30, 8)]), "conv", ("hires_cam",), 12, 0)
    found = moment(asked, game.observation(), 0)
    row = measured(asked, game, found)
    assert found.action == 0
    assert row["key"] == name
    assert row["pointing"]["hires_cam"] == 1.0
    assert row["windows"]["hires_cam"] > 0.5
    assert 0 < row["area"] < 0.2


def test_a_study_goes_on_and_is_read_back(tmp_path):
    settings = PolicySettings(episodes=1, moments=2, methods=("grad_cam",))
    found = policy_study(settings, tmp_path, lambda _line: None)
    again = policy_study(settings, tmp_path, lambda _line: pytest.fail("measured anew"))
    assert again.answer == found.answer == read_findings(tmp_path).answer
    assert found.number("the agent").n == 1
    assert found.number("centre").control
    with Image.open(tmp_path / "episode.gif") as moving:
        assert moving.n_frames > 30
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "knows nothing" in page
    with pytest.raises(VlxError, match="other settings"):
        policy_study(PolicySettings(episodes=3), tmp_path, lambda _line: None)


OWN = """
import numpy as np
from torch import nn

class Game:
    def reset(self, *, seed=None):
        self.random, self.at = np.random.default_rng(seed), 0
        return self.random.random((2, 24, 24)), {}
    def step(self, action):
        self.at += 1
        return self.random.random((2, 24, 24)), float(action), False, self.at > 5, {}

def agent():
    return nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 22 * 22, 2)), Game

def nothing():
    return 3
"""


def test_ones_own_agent_from_the_command_line(tmp_path, monkeypatch):
    (tmp_path / "own_agent_of_a_test.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    told = ["study", "policy", "--limit", "2", "--moments", "2", "--method", "grad_cam", "--out", "found"]
    done = CliRunner().invoke(app, [*told, "--model", "python:own_agent_of_a_test:agent"])
    assert done.exit_code == 0, done.output
    assert "Rank correlation of maps with occlusion" in done.output
    assert "page: " in done.output
    for model, message in (
        ("python:own_agent_of_a_test:nothing", "a network and a function are due"),
        ("python:own_agent_of_a_test:other", "no function"),
        ("python:no_such_module_at_all:x", "no_such_module_at_all"),
        ("chess", "no agent 'chess'"),
    ):
        with pytest.raises(VlxError, match=message):
            player(model)


def test_actions_have_names():
    assert player().actions == ACTIONS
    assert Agent()(torch.zeros(1, 4, 84, 84)).value.shape == (1,)
