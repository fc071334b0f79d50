"""Teach the captioner and the VQA model on the fixed vectors of the CNN."""

import itertools
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vlx.adapters.files.weights import save_weights
from vlx.adapters.nets.question import QuestionNetwork
from vlx.adapters.nets.recurrent import CaptionNetwork, caption_network
from vlx.adapters.parts.search import greedy
from vlx.adapters.parts.vocabulary import Vocabulary
from vlx.scenes.cnn import FC
from vlx.scenes.language import Asked
from vlx.scenes.texts import (
    caption_vocabulary,
    named_categories,
    question_vocabulary_of,
    question_words,
    told,
)
from vlx.scenes.training.log import Log, Progress

World = tuple[Sequence[tuple[int, int]], Tensor]
"""The (seed, index) of some scenes, and their fc7 vectors (scene, feature)."""
CAPTIONER = {"embedding": 256, "hidden": 320}
VQA = {"embedding": 96, "hidden": 128, "joint": 768}
BLUR = 0.2  # share of the vector's entries that are dropped while the text models learn
SMOOTHING = 0.1  # of the captioner's words; one that is nearly sure of a word has no gradient left
STEPS = 30  # words in a caption at most


def train_captioner(out: Path, world: World, check: World, device: torch.device, log: Log) -> None:
    """Train the captioner on the vectors of ``world`` and write it to ``out``."""
    network = _captioner(world, check, device, log)
    save_weights(out / "captioner.safetensors", network)
    _write(out / "captioner.json", {"words": list(caption_vocabulary().names), **CAPTIONER, "steps": STEPS})


def train_question_only(
    out: Path, world: World, check: World, device: torch.device, log: Log, *, steps: int = 3000
) -> None:
    """Train the VQA model on no image at all and write it to ``out``.

    Without images all that can be learned is how often each question got each answer. There are few
    questions, so every step takes all of them with the shares of their answers, until none is left to learn:
    the log tells the loss beside the entropy of those shares, below which none can fall, and the accuracy
    beside that of the commonest answer to each question.
    """
    asked, checked = _asked(world), _asked(check)
    words, answers = _said(asked)
    counts = answer_counts(asked)
    pairs = _pairs(
        [[Asked(question, "", "", ()) for question in counts]],
        world[1][:1],
        question_vocabulary_of(words),
        [],
    )
    table = torch.tensor([[found[answer] for answer in answers] for found in counts.values()], device=device)
    shares, weights = table / table.sum(1, keepdim=True), table.sum(1) / table.sum()
    network = QuestionNetwork(nn.Identity(), FC[1], len(words), len(answers), dropout=0.0, **VQA)
    nn.init.zeros_(network.image.weight)  # not learned: as it begins, each image would give another answer
    _remember(network.lstm)
    network.to(device)
    optimiser = torch.optim.AdamW(network.parameters(), 3e-3, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps, pct_start=0.1)
    progress = Progress("question-only", steps, len(counts), log, every=500)
    blind, ids, lengths = torch.zeros(len(counts), FC[1], device=device), pairs[1].to(device), pairs[2]
    for _ in range(steps):
        logits = network.logits(blind, ids, lengths)
        loss = (F.cross_entropy(logits, shares, reduction="none") * weights).sum()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        schedule.step()
        progress(loss)
    entropy = float((torch.special.entr(shares).sum(1) * weights).sum())
    log(f"question-only: {len(counts)} questions, entropy of their answers {entropy:.4f}")
    checks = _pairs(checked, torch.zeros_like(check[1]), question_vocabulary_of(words), answers)
    told = f"accuracy {_accuracy(network.eval(), checks, device):.4f}"
    log(f"question-only: {told}, of the commonest answers {commonest_answers(counts, checked):.4f}")
    save_weights(out / "question-only.safetensors", network)


def train_vqa(out: Path, world: World, check: World, device: torch.device, log: Log) -> None:
    """Train the VQA model and write it, with its words and answers, to ``out``."""
    asked, checked = _asked(world), _asked(check)
    words, answers = _said(asked)
    vocabulary = question_vocabulary_of(words)
    pairs = _pairs(asked, world[1], vocabulary, answers)
    checks = _pairs(checked, check[1], vocabulary, answers)
    network = _answerer("vqa", pairs, checks, len(words), len(answers), device, log)
    save_weights(out / "vqa.safetensors", network)
    _write(out / "vqa.json", {"words": words, "answers": answers, **VQA})


def answer_counts(asked: Sequence[Sequence[Asked]]) -> dict[str, Counter[str]]:
    """How often each question got each answer."""
    counts: dict[str, Counter[str]] = {}
    for one in itertools.chain.from_iterable(asked):
        counts.setdefault(one.question, Counter())[one.answer] += 1
    return counts


def commonest_answers(counts: Mapping[str, Counter[str]], checked: Sequence[Sequence[Asked]]) -> float:
    """The share of checked questions whose answer is the commonest that the same words got elsewhere."""
    best = {question: found.most_common(1)[0][0] for question, found in counts.items()}
    right = [best.get(one.question) == one.answer for one in itertools.chain.from_iterable(checked)]
    return sum(right) / max(1, len(right))


def _asked(world: World) -> list[list[Asked]]:
    return [told(*scene)[2] for scene in world[0]]


def _said(asked: Sequence[Sequence[Asked]]) -> tuple[list[str], list[str]]:
    """The words of some questions, and their answers."""
    answers = {question.answer for questions in asked for question in questions}
    return question_words(question for questions in asked for question in questions), sorted(answers)


def _write(path: Path, facts: dict[str, object]) -> None:
    path.write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _captioner(
    world: World, check: World, device: torch.device, log: Log, *, epochs: int = 6, batch: int = 256
) -> CaptionNetwork:
    vocabulary = caption_vocabulary()
    network = caption_network(
        nn.Identity(), FC[1], len(vocabulary.names),
        embedding=CAPTIONER["embedding"], hidden=CAPTIONER["hidden"], dropout=0.2,
    ).to(device)  # fmt: skip
    _remember(cast(nn.LSTM, network.lstm))
    scenes, vectors = world
    texts = [[vocabulary.encode(text)[1] for text in told(*scene)[1]] for scene in scenes]
    optimiser = torch.optim.AdamW(network.parameters(), 3e-3, weight_decay=0.01)
    steps = epochs * (len(vectors) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps, pct_start=0.1)
    random = np.random.default_rng(0)
    progress = Progress("captioner", steps, batch, log, every=200)
    for epoch in range(epochs):
        order = random.permutation(len(vectors))
        for rows in order[: len(order) // batch * batch].reshape(-1, batch):
            chosen = [texts[row][random.integers(len(texts[row]))] for row in rows]
            ids, wanted = _teacher(chosen, vocabulary.end)
            seen = F.dropout(vectors[torch.from_numpy(rows)].to(device), BLUR)
            logits = network.vocabulary(network.hidden(seen, ids.to(device)))
            loss = F.cross_entropy(
                logits.flatten(0, 1), wanted.flatten().to(device), ignore_index=-1, label_smoothing=SMOOTHING
            )
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimiser.step()
            schedule.step()
            progress(loss)
        if epoch % 2:
            precision, recall = _object_words(network.eval(), vocabulary, check, device)
            log(f"captioner epoch {epoch + 1}: object words precision {precision:.4f} recall {recall:.4f}")
            network.train()
    return network.eval()


def _remember(lstm: nn.LSTM) -> None:
    """Start with forget gates open, so that what was read first reaches the last step from the beginning."""
    for layer in range(lstm.num_layers):
        bias: Tensor = getattr(lstm, f"bias_ih_l{layer}")
        nn.init.ones_(bias.data[lstm.hidden_size : 2 * lstm.hidden_size])


def _teacher(captions: Sequence[Sequence[int]], end: int) -> tuple[Tensor, Tensor]:
    """Right-padded inputs (batch, step) and targets (batch, step + 1), END last, -1 beyond."""
    longest = max(map(len, captions))
    ids = torch.zeros(len(captions), longest, dtype=torch.long)
    wanted = torch.full((len(captions), longest + 1), -1)
    for row, caption in enumerate(captions):
        ids[row, : len(caption)] = torch.tensor(caption)
        wanted[row, : len(caption) + 1] = torch.tensor([*caption, end])
    return ids, wanted


@torch.no_grad()
def _object_words(
    network: CaptionNetwork, vocabulary: Vocabulary, check: World, device: torch.device
) -> tuple[float, float]:
    scenes, vectors = check
    state = network.first(vectors.to(device))
    said = greedy(state, network.step, len(vectors), vocabulary.start, vocabulary.end, STEPS, device)
    named = [named_categories(vocabulary.text(ids)) for ids in said]
    present = [{item.category.name for item in told(*scene)[0].items} for scene in scenes]
    right = sum(len(a & b) for a, b in zip(named, present, strict=True))
    return right / max(1, sum(map(len, named))), right / sum(map(len, present))


Pairs = tuple[Tensor, Tensor, Tensor, Tensor]
"""Vectors (question, feature), word ids (question, step), lengths, answers (-1 where unknown)."""


def _pairs(
    asked: Sequence[Sequence[Asked]], vectors: Tensor, vocabulary: Vocabulary, answers: Sequence[str]
) -> Pairs:
    place = {answer: at for at, answer in enumerate(answers)}
    flat = [(row, question) for row, questions in enumerate(asked) for question in questions]
    ids = [vocabulary.encode(question.question)[1] for _, question in flat]
    lengths = torch.tensor([len(item) for item in ids])
    padded = torch.zeros(len(ids), int(lengths.max()), dtype=torch.long)
    for row, item in enumerate(ids):
        padded[row, : len(item)] = torch.tensor(item)
    wanted = torch.tensor([place.get(question.answer, -1) for _, question in flat])
    return vectors[torch.tensor([row for row, _ in flat])], padded, lengths, wanted


def _answerer(
    name: str, pairs: Pairs, checks: Pairs, words: int, answers: int, device: torch.device, log: Log,
    *, epochs: int = 6, batch: int = 512,
) -> QuestionNetwork:  # fmt: skip
    """Train on question pairs."""
    network = QuestionNetwork(nn.Identity(), FC[1], words, answers, dropout=0.1, **VQA)
    nn.init.normal_(network.image.weight, std=1.0)  # the normalised vector's entries are small
    _remember(network.lstm)
    network.to(device)
    optimiser = torch.optim.AdamW(network.parameters(), 3e-3, weight_decay=0.01)
    steps = epochs * (len(pairs[0]) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps, pct_start=0.1)
    random = np.random.default_rng(0)
    progress = Progress(name, steps, batch, log, every=200)
    for epoch in range(epochs):
        order = random.permutation(len(pairs[0]))
        for rows in order[: len(order) // batch * batch].reshape(-1, batch):
            vectors, ids, lengths, wanted = (part[torch.from_numpy(rows)] for part in pairs)
            logits = network.logits(F.dropout(vectors.to(device), BLUR), ids.to(device), lengths)
            loss = F.cross_entropy(logits, wanted.to(device))
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimiser.step()
            schedule.step()
            progress(loss)
        if epoch % 2:
            log(f"{name} epoch {epoch + 1}: accuracy {_accuracy(network.eval(), checks, device):.4f}")
            network.train()
    return network.eval()


@torch.no_grad()
def _accuracy(network: QuestionNetwork, checks: Pairs, device: torch.device) -> float:
    vectors, ids, lengths, wanted = checks
    best = network.logits(vectors.to(device), ids.to(device), lengths).argmax(1).cpu()
    return float((best == wanted).float().mean())
