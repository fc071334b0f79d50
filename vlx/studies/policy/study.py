"""The study of a policy network: what it reaches, what its decisions rest on, and whether maps say so."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vlx.errors import VlxError
from vlx.eval.items.models import shuffled
from vlx.eval.measures.statistics import Outcome, Summary, summarise
from vlx.methods.values import method_named
from vlx.passes.chosen_layer import choose_layer
from vlx.studies.found import Findings, Number, Picture, Table, number_of
from vlx.studies.kept import claim, kept_rows
from vlx.studies.page import write_findings
from vlx.studies.policy.agents import BUILT_IN, Player, as_input, player
from vlx.studies.policy.moments import CONTROLS, TOLERANCE, Asked, measured, moment, names_of
from vlx.studies.policy.orchard import scripted
from vlx.studies.policy.pictures import drawn, gif, sheet
from vlx.studies.policy.playing import at_random, greedy, played, replayed

Told = Callable[[str], None]


@dataclass(frozen=True)
class PolicySettings:
    """What the study runs on."""

    model: str = BUILT_IN
    """``orchard``, or ``python:module:function`` as `vlx.studies.policy.agents.player` takes it."""
    episodes: int = 24
    moments: int = 5
    """Of each episode, evenly spread."""
    methods: tuple[str, ...] = ("grad_cam", "hires_cam", "layer_cam")
    layer: str | None = None
    window: int = 12
    """Side of the squares that are hidden, in pixels."""
    seed: int = 1
    device: str = "cpu"


def policy_study(settings: PolicySettings = PolicySettings(), out: Path = Path("vlx-study/policy"),
                 told: Told = print) -> Findings:  # fmt: skip
    """Play, explain, measure and write the findings; a run that stopped goes on.

    Raises VlxError for settings that do not serve.
    """
    if min(settings.episodes, settings.moments, settings.window) < 1:
        raise VlxError("episodes, moments and the window's side are 1 at least")
    if not settings.methods:
        raise VlxError("no methods to explain with: give at least one, such as grad_cam")
    for name in settings.methods:
        method_named(name)
    facts = asdict(settings) | {"methods": list(settings.methods)}
    facts.pop("device")
    agent = player(settings.model, settings.device)
    claim(out, facts)
    observation, _ = agent.make().reset(seed=settings.seed)
    network, first = agent.network, as_input(np.asarray(observation)[None], agent.network)
    layer, other = choose_layer(network, settings.layer, first), shuffled(network, settings.seed)
    asked = Asked(network, other, layer, settings.methods, settings.window, settings.seed)
    names = [f"episode {number}" for number in range(settings.episodes)]
    rows = kept_rows(
        out / "episodes.jsonl",
        names,
        lambda name: _episode(agent, asked, settings, int(name.split()[1])),
        told,
    )
    pictures = _pictures(agent, asked, settings, rows, out)
    found = _findings(settings, facts, agent, rows, pictures)
    write_findings(out, found)
    return found


def _episode(agent: Player, asked: Asked, settings: PolicySettings, number: int) -> dict[str, Any]:
    """The row of an episode: what is reached, and what was found at its moments."""
    seed = settings.seed * 1_000 + number
    game = agent.make()
    own = played(game, seed, greedy(agent))
    actions = len(agent.actions) or max(own.actions) + 1
    rewards = {"the agent": own.reward, "at random": played(game, seed, at_random(actions, seed)).reward}
    if hasattr(game, "things"):
        rewards["scripted"] = played(game, seed, lambda game, _seen: scripted(game.things)).reward
    places = np.linspace(0, len(own.actions), settings.moments + 2)[1:-1].astype(int).tolist()
    moments: list[dict[str, Any]] = []
    for at in dict.fromkeys(places):
        seen = replayed(game, seed, own, at)
        moments.append({"at": at, **measured(asked, game, moment(asked, seen, seed * 1_000 + at))})
    return {"rewards": rewards, "steps": len(own.actions), "moments": moments}


def _findings(
    settings: PolicySettings, facts: Mapping[str, Any], agent: Player, rows: Sequence[Any],
    pictures: Sequence[Picture],
) -> Findings:  # fmt: skip
    known = any("pointing" in one for row in rows for one in row["moments"])
    tables = [_reached(rows)]
    if known:
        tables += [_pointing(settings, rows), _own_minus_wrong(settings, rows), _ranks(settings, rows)]
        tables += (
            [_value(settings, rows)] if any("value" in one for row in rows for one in row["moments"]) else []
        )
        tables.append(_effects(rows))
    tables += [_kept(rows), _windows(settings, rows)]
    return Findings(
        study="policy",
        title="A policy network of reinforcement learning",
        question="An agent sees pixels and acts: do maps of its actions show what its decisions rest on?",
        answer=_answer(settings, tables, known),
        tables=tuple(tables),
        settings=facts,
        pictures=tuple(pictures),
        notes=_notes(agent, known),
    )


def _notes(agent: Player, known: bool) -> tuple[str, ...]:
    said = [
        "The pictures of an observation are channels of one input: there is one map for all of them, and "
        "masks are those of a thing in any of them.",
        "episode.gif shows an episode with the map of every action against the next best.",
    ]
    if agent.name == BUILT_IN:
        said.insert(
            0,
            "The agent was trained by proximal policy optimisation (arXiv 1707.06347) on pixels and "
            "rewards alone, by python -m vlx.studies.policy.training; it never saw the scripted player.",
        )
    if not known:
        said.append("The game tells no masks, so nothing is said of pointing: squares are hidden instead.")
    return tuple(said)


def _reached(rows: Sequence[Any]) -> Table:
    names = list(rows[0]["rewards"])
    numbers = [
        number_of(name, summarise([row["rewards"][name] for row in rows]), control=name == "at random")
        for name in names
    ]
    return Table(
        "Reward of an episode",
        tuple(numbers),
        "Every player plays the same episodes, by their seeds. The agent acts as its highest logit says.",
    )


def _pointing(settings: PolicySettings, rows: Sequence[Any]) -> Table:
    own = [name for method in settings.methods for name in names_of(method)[:2]]
    numbers = [number_of(name, _summary(rows, "pointing", name)) for name in own]
    numbers += [number_of(name, _summary(rows, "pointing", name), control=True) for name in CONTROLS]
    area = [(one.get("area"), at) for at, row in enumerate(rows) for one in row["moments"]]
    chance = summarise([value for value, _ in area], [at for _, at in area])
    numbers.append(number_of("share of the picture that counts as a hit", chance, control=True))
    return Table(
        "Share of maps whose maximum lies on the thing that matters most",
        tuple(numbers),
        "The thing that matters most is that without which the lead of the action's logit over the next "
        f"best falls most, taken out of all pictures of the observation. A hit may be {TOLERANCE} pixels "
        "off. Intervals draw episodes.",
    )


def _value(settings: PolicySettings, rows: Sequence[Any]) -> Table:
    numbers: list[Number] = []
    for name in (*settings.methods, *CONTROLS):
        facts = [
            (one["value"]["pointing"][name], at)
            for at, row in enumerate(rows) for one in row["moments"] if "value" in one
        ]  # fmt: skip
        found = summarise([_outcome(fact) for fact, _ in facts], [at for _, at in facts])
        numbers.append(number_of(name, found, control=name in CONTROLS))
    return Table(
        "The value: share of maps whose maximum lies on the thing without which it falls most",
        tuple(numbers),
        "As above, for the critic's value of the moment in the place of an action's lead.",
    )


def _own_minus_wrong(settings: PolicySettings, rows: Sequence[Any]) -> Table:
    numbers: list[Number] = []
    for method in settings.methods:
        alone, against, worst, turned = names_of(method)
        for name, own, wrong in ((alone, alone, worst), (against, against, turned)):
            numbers.append(number_of(name, _difference(rows, own, wrong)))
    return Table(
        "Own - wrong: hits of the action's map less those of another's",
        tuple(numbers),
        "For a logit the other is that of the least likely action; for a difference of two logits the "
        "same difference turned round. A map that shows things whatever is asked has 0.",
    )


def _ranks(settings: PolicySettings, rows: Sequence[Any]) -> Table:
    return Table(
        "Rank correlation of maps with what things are worth",
        _numbers(settings, rows, "ranks"),
        "Spearman's, over the things in sight at a moment: the map's maximum on each, and how far the "
        "lead of the action falls without it.",
    )


def _windows(settings: PolicySettings, rows: Sequence[Any]) -> Table:
    return Table(
        "Rank correlation of maps with occlusion",
        _numbers(settings, rows, "windows"),
        f"Spearman's, over squares of {settings.window} pixels that are hidden one after the other in all "
        "pictures: the map's mean on each, and how far the lead of the action falls.",
    )


def _effects(rows: Sequence[Any]) -> Table:
    by_kind: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for at, row in enumerate(rows):
        for one in row["moments"]:
            for name, value in one.get("effects", {}).items():
                by_kind[name.split()[0]].append((abs(value), at))
    numbers = [
        number_of(
            kind, summarise([value for value, _ in found], [at for _, at in found]), control=kind == "ring"
        )
        for kind, found in sorted(by_kind.items())
    ]
    return Table(
        "What decisions rest on",
        tuple(numbers),
        "Logits by which the lead of the action over the next best changes without a thing, either way. "
        "The ring never matters in the game.",
    )


def _kept(rows: Sequence[Any]) -> Table:
    kept = [(one["kept"], at) for at, row in enumerate(rows) for one in row["moments"]]
    found = summarise([value for value, _ in kept], [at for _, at in kept])
    return Table(
        "How much of the gradients of the lead their mean over places keeps",
        (number_of("kept by the mean", found),),
        "1 where a network averages its maps, as ResNets do. One that reads every place with weights of its "
        "own, as a player must to tell left from right, has less; what the mean does not keep is lost to "
        "Grad-CAM.",
    )


def _numbers(settings: PolicySettings, rows: Sequence[Any], kind: str) -> tuple[Number, ...]:
    own = [name for method in settings.methods for name in names_of(method)[:2]]
    return tuple(
        number_of(name, _summary(rows, kind, name), control=name in CONTROLS) for name in (*own, *CONTROLS)
    )


def _summary(rows: Sequence[Any], kind: str, name: str) -> Summary:
    facts = [(one[kind][name], at) for at, row in enumerate(rows) for one in row["moments"] if kind in one]
    return summarise([_outcome(fact) for fact, _ in facts], [at for _, at in facts])


def _difference(rows: Sequence[Any], own: str, wrong: str) -> Summary:
    """A map without a positive place points at nothing: as a wrong one it has missed."""
    found, clusters = list[Outcome](), list[int]()
    for at, row in enumerate(rows):
        for one in row["moments"]:
            mine, other = one.get("pointing", {}).get(own), one.get("pointing", {}).get(wrong)
            if mine is not None:
                other = 0.0 if other in ("zero_map", "flat_map") else other
                reason = next((fact for fact in (mine, other) if isinstance(fact, str)), None)
                found.append(Outcome(None, reason) if reason else Outcome(float(mine) - float(other)))
                clusters.append(at)
    return summarise(found, clusters)


def _outcome(fact: float | str) -> Outcome:
    return Outcome(None, fact) if isinstance(fact, str) else Outcome(float(fact))


def _answer(settings: PolicySettings, tables: Sequence[Table], known: bool) -> str:
    reached = {one.name: one.value for one in tables[0].numbers}
    said = f"The agent reaches {reached['the agent']:.2f} an episode, at random {reached['at random']:.2f}"
    said += f", the scripted player {reached['scripted']:.2f}" if "scripted" in reached else ""
    best = names_of(settings.methods[0])[1]
    if known:
        hits = {one.name: one for one in tables[1].numbers}
        controls = {name: hits[name].value for name in CONTROLS if hits[name].value is not None}
        if hits[best].value is not None and controls:
            strongest = max(controls, key=lambda name: controls[name] or 0.0)
            said += (
                f". Maps of {best} action point at the thing that the decision rests on most in "
                f"{hits[best].value:.2f} of {hits[best].n} moments; {strongest}, the best control, in "
                f"{controls[strongest]:.2f}"
            )
        less = {one.name: one.value for one in tables[2].numbers}[best]
        if less is not None:
            said += f". Hits less those of the same difference turned round are {less:.2f}"
    ranks = {one.name: one.value for one in tables[-1].numbers}
    if ranks[best] is not None and ranks["mean activation"] is not None:
        said += (
            f". Their rank correlation with occlusion is {ranks[best]:.2f}, that of the mean activation "
            f"{ranks['mean activation']:.2f}"
        )
    return said + "."


def _pictures(
    agent: Player, asked: Asked, settings: PolicySettings, rows: Sequence[Any], out: Path
) -> list[Picture]:
    """An episode as a sheet and a GIF: the pictures, and the map of every action against the next best."""
    number = max(range(len(rows)), key=lambda at: rows[at]["rewards"]["the agent"])
    seed, shown, method = settings.seed * 1_000 + number, list[Any](), settings.methods[0]

    def each(at: int, seen: Any) -> None:
        if at < 90:
            shown.append(np.asarray(seen))

    game = agent.make()
    played(game, seed, greedy(agent), each)
    panels = drawn(agent, asked.layer, method, shown)
    gif(panels, out / "episode.gif")
    title = f"An episode of {agent.name}: what is seen, and {method} of the action against the next best"
    return [Picture(title, sheet(panels[:: max(1, -(-len(panels) // 12))]))]
