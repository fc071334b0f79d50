"""The beam searches against the loops that their authors wrote, on random tables of next words."""

import pytest
import torch

from vlx.adapters.parts.search import beam_search, greedy, refilled_beam, shrinking_beam
from vlx.errors import VlxError

WORDS, START, END, UNKNOWN = 7, 0, 1, 6
CPU = torch.device("cpu")


def table(seed: int) -> torch.Tensor:
    """Log-probabilities of the next word after each two words; double, so that no two sums are equal."""
    draw = torch.randn(
        WORDS, WORDS, WORDS, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )
    return draw.mul(2.5).log_softmax(2)


def step_of(scores: torch.Tensor):
    """The state is the word before the last."""

    def step(state, said):
        (before,) = state
        return (said[None],), scores[before[0], said]

    return step


def rows_of(state, rows):
    return tuple(part[:, rows] for part in state)


def found(search, scores, width, steps, **options):
    first = (torch.zeros(1, 1, dtype=torch.long),)
    return search(first, step_of(scores), rows_of, width, START, END, steps, CPU, **options)


def sgrvinod(scores, width, steps):
    """caption.py: k falls by the number of captions that ended; only these are compared."""
    k, sequences, sums, complete, step = width, [[START]], [0.0], [], 1
    while True:
        options = sorted(
            (
                (total + float(scores[seq[-2] if len(seq) > 1 else 0, seq[-1], word]), seq, word)
                for total, seq in zip(sums, sequences, strict=True)
                for word in range(WORDS)
            ),
            key=lambda option: -option[0],
        )[:k]
        complete += [(total, seq) for total, seq, word in options if word == END]
        k -= sum(word == END for *_, word in options)
        going = [(total, [*seq, word]) for total, seq, word in options if word != END]
        if k == 0:
            break
        sums, sequences = [total for total, _ in going], [seq for _, seq in going]
        if step == steps:
            break
        step += 1
    if not complete:
        return None
    return max(complete, key=lambda pair: pair[0])[1][1:]


def ruotianluo(scores, width, steps):
    """CaptionModel.beam_search: an ended beam stays with its sum less 1000; all are done at the last step."""
    beams, done = [(0.0, [START])], []
    scores = scores - 1000 * (torch.arange(WORDS) == UNKNOWN)
    for t in range(steps):
        options = sorted(
            (
                (total + float(scores[seq[-2] if len(seq) > 1 else 0, seq[-1], word]), [*seq, word])
                for total, seq in beams
                for word in range(WORDS)
            ),
            key=lambda option: -option[0],
        )[:width]  # fmt: skip
        beams = []
        for total, seq in options:
            if seq[-1] == END or t == steps - 1:
                done.append((total, seq))
                total -= 1000
            beams.append((total, seq))
    best = max(done, key=lambda pair: pair[0])[1][1:]
    return best[: best.index(END)] if END in best else best


@pytest.mark.parametrize("width", [1, 2, 3, 5])
def test_each_finds_what_its_authors_code_finds(width):
    lengths, differ = set(), 0
    for seed in range(40):
        scores = table(seed)
        expected = sgrvinod(scores, width, 8)
        if expected is not None:
            assert found(shrinking_beam, scores, width, 8) == expected
        refilled = ruotianluo(scores, width, 8)
        assert found(refilled_beam, scores, width, 8, never=UNKNOWN) == refilled
        assert UNKNOWN not in refilled
        lengths.add(len(refilled))
        differ += expected != found(beam_search, scores, width, 8)
    assert len(lengths) > 2  # the tables are of some variety
    assert differ or width == 1


def test_a_beam_of_one_is_greedy():
    for seed in range(20):
        scores = table(seed)
        first = (torch.zeros(1, 1, dtype=torch.long),)
        (expected,) = greedy(first, step_of(scores), 1, START, END, 8, CPU)
        assert found(shrinking_beam, scores, 1, 8) == expected
        assert found(refilled_beam, scores, 1, 8) == expected


def test_where_nothing_ends_the_best_so_far_wins():
    scores = table(0)
    scores[:, :, END] = -100.0
    for search in (shrinking_beam, refilled_beam):
        said = found(search, scores, WORDS - 1, 3)
        assert len(said) == 3
        assert said == found(beam_search, scores, WORDS - 1, 3)


def test_an_empty_beam_is_an_error():
    for search in (shrinking_beam, refilled_beam):
        with pytest.raises(VlxError, match="a beam of 0 holds no caption"):
            found(search, table(0), 0, 3)
