"""Greedy and beam decoding against searches written out, on random trees of words."""

import itertools
import math
from functools import cache

import pytest
import torch
from torch import Tensor

from tests.adapters import small
from vlx.adapters.parts.search import beam_search, greedy, im2txt_beam
from vlx.errors import VlxError

CPU = torch.device("cpu")
WORDS, END = 4, 0


@cache
def log_probabilities(seed: int, prefix: tuple[int, ...]) -> Tensor:
    """The next word after a prefix: random, but always the same for the same prefix."""
    code = sum(word * (WORDS + 1) ** at for at, word in enumerate((WORDS, *prefix)))
    generator = torch.Generator().manual_seed(1000 * seed + code)
    return torch.log_softmax(1.5 * torch.randn(WORDS, dtype=torch.float64, generator=generator), 0)


def tree(seed: int):
    """Step and select of a model whose state is each row's words so far, START (9) first."""

    def step(state: Tensor, said: Tensor) -> tuple[Tensor, Tensor]:
        state = torch.cat([state, said[:, None]], 1)
        assert (state[:, 0] == 9).all()
        return state, torch.stack([log_probabilities(seed, tuple(row[1:])) for row in state.tolist()])

    return step, lambda state, rows: state[rows]


def beam(seed: int, width: int, steps: int, search=beam_search) -> list[int]:
    return search(torch.zeros(1, 0).long(), *tree(seed), width, 9, END, steps, CPU)


def walk(seed: int, steps: int) -> list[int]:
    """The likeliest next word, again and again."""
    said: list[int] = []
    while len(said) < steps:
        best = int(log_probabilities(seed, tuple(said)).argmax())
        if best == END:
            break
        said.append(best)
    return said


@cache
def total(seed: int, words: tuple[int, ...]) -> float:
    """Sum of the log-probabilities of some words, END among them if it is the last."""
    return sum(float(log_probabilities(seed, words[:at])[word]) for at, word in enumerate(words))


def every_caption(steps: int) -> list[tuple[int, ...]]:
    """All that can be said: ended after fewer than ``steps`` words, or cut off there."""
    spoken = range(1, WORDS)
    ended = [(*words, END) for length in range(steps) for words in itertools.product(spoken, repeat=length)]
    return ended + list(itertools.product(spoken, repeat=steps))


def literal_beam(seed: int, width: int, steps: int) -> list[int]:
    """The ``width`` best continuations; those that end leave the beam, the next best move up."""
    beams: list[tuple[int, ...]] = [()]
    done: list[tuple[int, ...]] = []
    for _ in range(steps):
        longer = [(*words, word) for words in beams for word in range(WORDS)]
        longer.sort(key=lambda words: -total(seed, words))
        done += [words for words in longer[:width] if words[-1] == END]
        beams = [words for words in longer if words[-1] != END][:width]
    best = max([*done, *beams], key=lambda words: total(seed, words))
    return [word for word in best if word != END]


def literal_neuraltalk2(seed: int, width: int, steps: int) -> list[int]:
    """The ``width`` best continuations of all beams; ended ones are noted, keep their place and go on."""
    beams: list[tuple[int, ...]] = [()]
    done: list[tuple[int, ...]] = []
    for at in range(steps):
        candidates = []
        for words in beams:
            ranked = sorted(range(WORDS), key=lambda word: -float(log_probabilities(seed, words)[word]))
            candidates += [(*words, word) for word in ranked[:width]]
        beams = sorted(candidates, key=lambda words: -total(seed, words))[:width]
        done += [words for words in beams if words[-1] == END or at == steps - 1]
    best = max(done, key=lambda words: total(seed, words))
    return list(best[: best.index(END)] if END in best else best)


def literal_im2txt(seed: int, width: int, steps: int) -> list[int]:
    """Each partial caption's own ``width`` best words; partial and complete captions kept apart."""
    partial: list[tuple[int, ...]] = [()]
    complete: list[tuple[int, ...]] = []
    for _ in range(steps):
        grown = []
        for words in partial:
            ranked = sorted(range(WORDS), key=lambda word: -float(log_probabilities(seed, words)[word]))
            grown += [(*words, word) for word in ranked[:width]]
        complete += [words for words in grown if words[-1] == END]
        going = [words for words in grown if words[-1] != END]
        if not going:
            break
        partial = sorted(going, key=lambda words: -total(seed, words))[:width]
    best = max(complete or partial, key=lambda words: total(seed, words))
    return [word for word in best if word != END]


@pytest.mark.parametrize("width", [1, 2, 3, 5])
@pytest.mark.parametrize("literal", [literal_neuraltalk2, literal_im2txt])
def test_published_searches_are_their_loops_written_out(literal, width):
    """neuraltalk2 leaves ended captions in their places, which changes no result."""
    search = beam_search if literal is literal_neuraltalk2 else im2txt_beam
    for seed in range(40):
        for steps in (1, 3, 5):
            assert beam(seed, width, steps, search) == literal(seed, width, steps), (seed, steps)


def test_im2txt_takes_what_ended_even_if_what_goes_on_is_likelier():
    table = {
        9: [0.3, 0.69, 0.01],
        1: [0.0, 0.99, 0.01],
        2: [0.0, 0.99, 0.01],
    }  # END .3, or the same word for ever

    def step(state: Tensor, said: Tensor) -> tuple[Tensor, Tensor]:
        return state, torch.tensor([table[word] for word in said.tolist()]).log()

    def found(search) -> list[int]:
        return search(torch.zeros(1), step, lambda s, rows: s[rows], 2, 9, END, 3, CPU)

    assert found(im2txt_beam) == []
    assert found(beam_search) == [1, 1, 1]


@pytest.mark.parametrize("steps", [0, 1, 3, 6])
def test_greedy_takes_the_likeliest_word_at_every_step(steps):
    seeds = range(12)
    assert len({tuple(walk(seed, 6)) for seed in seeds}) > 6
    for seed in seeds:
        step, _ = tree(seed)
        found = greedy(torch.zeros(1, 0).long(), step, 1, 9, END, steps, CPU)
        assert found == [walk(seed, steps)]


def test_rows_of_greedy_do_not_wait_for_one_another():
    """Each row has a tree of its own, and a row that has ended stays so."""
    seeds = list(range(12))

    def step(state: Tensor, said: Tensor) -> tuple[Tensor, Tensor]:
        state = torch.cat([state, said[:, None]], 1)
        rows = [log_probabilities(s, tuple(row[1:])) for s, row in zip(seeds, state.tolist(), strict=True)]
        return state, torch.stack(rows)

    found = greedy(torch.zeros(12, 0).long(), step, 12, 9, END, 6, CPU)
    assert found == [walk(seed, 6) for seed in seeds]
    assert len({len(row) for row in found}) > 2


def test_greedy_stops_once_every_row_has_ended():
    """Row 0 ends after one word and would go on, row 1 after two: nobody waits for both to end at once."""
    ends = [[False, False], [True, False], [False, True]]
    calls: list[list[bool]] = []

    def step(state: None, said: Tensor) -> tuple[None, Tensor]:
        calls.append(ends[len(calls)])
        return None, torch.tensor([[float(end), 0.5] for end in calls[-1]])

    assert greedy(None, step, 2, 9, END, 50, CPU) == [[1], [1, 1]]
    assert len(calls) == 3


@pytest.mark.parametrize("steps", [1, 2, 3, 6])
def test_a_beam_of_width_1_is_greedy(steps):
    for search in (beam_search, im2txt_beam):
        for seed in range(40):
            assert beam(seed, 1, steps, search) == walk(seed, steps), seed


@pytest.mark.parametrize("width", [2, 3, 5])
def test_a_beam_is_the_search_written_out(width):
    for seed in range(25):
        assert beam(seed, width, 5) == literal_beam(seed, width, 5), seed


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_a_wide_beam_finds_the_best_of_all_captions(steps):
    differs = 0
    for seed in range(25):
        best = max(every_caption(steps), key=lambda words: total(seed, words))
        found = beam(seed, WORDS**steps, steps)
        assert found == [word for word in best if word != END], seed
        differs += found != walk(seed, steps)
    assert differs > 0 or steps == 1


def test_no_beam_beats_the_best_and_wide_ones_are_better_than_greedy():
    def worth(seed: int, said: list[int]) -> float:
        words = tuple(said) if len(said) == 4 else (*said, END)
        return total(seed, words)

    gain = 0.0
    for seed in range(25):
        best = max(total(seed, words) for words in every_caption(4))
        for width in (1, 2, 3, 8):
            assert worth(seed, beam(seed, width, 4)) <= best + 1e-12
        gain += worth(seed, beam(seed, 8, 4)) - worth(seed, walk(seed, 4))
    assert gain > 0.1


def test_captions_cut_off_at_the_limit_compete_with_ended_ones():
    # a 0.6 (then anything 1/2), END 0.4: after 1 step the cut-off [1] wins, after 2 the ended one
    def step(state: Tensor, said: Tensor) -> tuple[Tensor, Tensor]:
        first = said == 9
        rows = [[0.4, 0.6, 0.0] if at else [0.2, 0.4, 0.4] for at in first.tolist()]
        return state, torch.tensor(rows).log()

    def found(steps: int) -> list[int]:
        return beam_search(torch.zeros(1), step, lambda s, rows: s[rows], 3, 9, END, steps, CPU)

    assert found(1) == [1]
    assert found(2) == []


def test_sums_are_as_precise_as_the_scores():
    """Two captions that differ by 1e-9: single precision could not tell them apart."""
    table = {9: [-math.inf, -1.0, -1.0], 1: [-2.0 - 1e-9, -9.0, -9.0], 2: [-2.0, -9.0, -9.0]}

    def step(state: Tensor, said: Tensor) -> tuple[Tensor, Tensor]:
        return state, torch.tensor([table[word] for word in said.tolist()], dtype=torch.float64)

    assert beam_search(torch.zeros(1), step, lambda s, rows: s[rows], 3, 9, END, 2, CPU) == [2]


@pytest.mark.parametrize("width", [0, -1])
def test_a_beam_that_holds_nothing_is_told(width):
    for search in (beam_search, im2txt_beam):
        with pytest.raises(VlxError, match=f"a beam of {width} holds no caption"):
            beam(0, width, 3, search)


@pytest.mark.parametrize("vocabulary", [small.NEURALTALK2, small.SHOW_AND_TELL], ids=["one", "two"])
def test_a_captioner_decodes_alike_alone_and_in_a_batch(vocabulary):
    model = small.captioner(vocabulary)
    images = small.photos((32, 32), (40, 50), (50, 40))
    for width in (1, 2, 4):
        together = model.generate(images, width)
        assert together == [model.generate([image], width)[0] for image in images]
        assert all(len(text.split()) <= model.steps for text in together)
    with pytest.raises(VlxError, match="beam of 0"):
        model.generate(images, 0)
