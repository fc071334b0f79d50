"""Co-attention against the paper's equations as plain loops, and its file's order of weights."""

import math

import pytest
import torch
import torch.nn.functional as F

from vlx.adapters.families.hiecoatten_weights import Sizes, attention_layout, named_weights, sizes_of
from vlx.adapters.nets.coattention import AlternatingAttention, CoAttentionNetwork, ParallelAttention
from vlx.errors import CheckpointError

VARIANTS = ("Alternating", "Parallel")
WORDS, ANSWERS, STEPS = 9, 5, 6


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def linear(layer, vector):
    return layer.weight @ vector + layer.bias


def weighted(scores, vectors):
    """Softmax of the scores, and the sum of the vectors by it."""
    exps = [math.exp(score - max(scores)) for score in scores]
    shares = [value / sum(exps) for value in exps]
    return sum(share * vector for share, vector in zip(shares, vectors, strict=True)), shares


def alternating(block, question, image):
    """Steps 1 to 3 for the words and places of one item, padding left out altogether."""
    scores = [float(linear(block.first_score, torch.tanh(linear(block.first, q)))) for q in question]
    first, _ = weighted(scores, question)
    asked = linear(block.asked, first)
    scores = [float(linear(block.place_score, torch.tanh(linear(block.places, v) + asked))) for v in image]
    seen, places = weighted(scores, image)
    scores = [
        float(linear(block.word_score, torch.tanh(linear(block.words, q) + linear(block.seen, seen))))
        for q in question
    ]
    attended, words = weighted(scores, question)
    return attended, seen, words, places


def parallel(block, question, image, count):
    """All words take part in the affinity, padding too; attention is paid to the first ``count``."""
    affinity = [[torch.tanh(q @ linear(block.affinity, v)) for v in image] for q in question]
    of_words = [linear(block.words, q) for q in question]
    of_places = [linear(block.places, v) for v in image]
    word_scores, place_scores = [], []
    for t in range(len(question)):
        mixed = of_words[t] + sum(affinity[t][n] * of_places[n] for n in range(len(image)))
        word_scores.append(float(linear(block.word_score, torch.tanh(mixed))))
    for n in range(len(image)):
        mixed = of_places[n] + sum(affinity[t][n] * of_words[t] for t in range(len(question)))
        place_scores.append(float(linear(block.place_score, torch.tanh(mixed))))
    attended, words = weighted(word_scores[:count], question[:count])
    seen, places = weighted(place_scores, image)
    return attended, seen, words, places


@pytest.mark.parametrize("variant", VARIANTS)
def test_attention_is_the_published_equations(variant):
    torch.manual_seed(0)
    block = (AlternatingAttention if variant == "Alternating" else ParallelAttention)(4).double()
    block.requires_grad_(False)
    question, image = numbers(2, STEPS, 4, seed=1), numbers(2, 5, 4, seed=2)
    counts = (6, 3)
    absent = torch.arange(STEPS) >= torch.tensor(counts)[:, None]
    found = block(question, image, absent)
    for row, count in enumerate(counts):
        if variant == "Alternating":
            expected = alternating(block, question[row, :count], image[row])
        else:
            expected = parallel(block, question[row], image[row], count)
        torch.testing.assert_close(found.question[row], expected[0])
        torch.testing.assert_close(found.image[row], expected[1])
        shares = torch.tensor([*expected[2], *[0.0] * (STEPS - count)]).double()
        torch.testing.assert_close(found.words[row], shares)
        torch.testing.assert_close(found.places[row], torch.tensor(expected[3]).double())


def network(variant: str = "Alternating", seed: int = 0, layers: int = 2) -> CoAttentionNetwork:
    torch.manual_seed(seed)
    made = CoAttentionNetwork(
        torch.nn.AvgPool2d(4), 3, WORDS, ANSWERS,
        variant=variant, hidden=4, last=7, layers=layers, steps=STEPS,
    )  # fmt: skip
    return made.double().eval().requires_grad_(False)


def torch7_lstm(own: CoAttentionNetwork, inputs: torch.Tensor) -> torch.Tensor:
    """The tops of the authors' cell, gates by name, for one question without padding."""
    lstm = own.lstm
    for layer in range(lstm.num_layers):
        h = c = torch.zeros(lstm.hidden_size, dtype=torch.float64)
        tops = []
        for x in inputs:
            sums = getattr(lstm, f"weight_ih_l{layer}") @ x + getattr(lstm, f"bias_ih_l{layer}")
            sums = sums + getattr(lstm, f"weight_hh_l{layer}") @ h + getattr(lstm, f"bias_hh_l{layer}")
            enter, forget, candidate, leave = sums.chunk(4)
            c = forget.sigmoid() * c + enter.sigmoid() * candidate.tanh()
            h = leave.sigmoid() * c.tanh()
            tops.append(h)
        inputs = torch.stack(tops)
    return inputs


def literal_logits(own: CoAttentionNetwork, pixels: torch.Tensor, ids: list[int]) -> torch.Tensor:
    """The whole model for one question, as the paper and the authors' code put it together."""
    features = own.cnn(pixels[None])[0]
    image = [
        torch.tanh(linear(own.image, features[:, row, col]))
        for row in range(features.shape[1])
        for col in range(features.shape[2])
    ]
    zero, steps = torch.zeros(own.words.embedding_dim, dtype=torch.float64), own.steps
    words = [torch.tanh(own.words.weight[index]) for index in ids] + [zero] * (steps - len(ids))

    def at(t):
        return words[t] if 0 <= t < steps else zero

    phrases = []
    for t in range(steps):
        one = own.unigram.weight[:, :, 0] @ at(t) + own.unigram.bias
        two = sum(own.bigram.weight[:, :, k] @ at(t - 1 + k) for k in range(2)) + own.bigram.bias
        three = sum(own.trigram.weight[:, :, k] @ at(t - 1 + k) for k in range(3)) + own.trigram.bias
        phrases.append(torch.tanh(torch.maximum(one, torch.maximum(two, three))))
    question = [*torch7_lstm(own, torch.stack(phrases[: len(ids)])), *[zero] * (steps - len(ids))]
    attended = []
    for block, vectors in ((own.of_words, words), (own.of_phrases, phrases), (own.of_question, question)):
        if isinstance(block, AlternatingAttention):
            attended.append(alternating(block, vectors[: len(ids)], image)[:2])
        else:
            attended.append(parallel(block, vectors, image, len(ids))[:2])
    (qw, vw), (qp, vp), (qs, vs) = attended
    hidden = torch.tanh(linear(own.hidden_words, qw + vw))
    hidden = torch.tanh(linear(own.hidden_phrases, torch.cat([qp + vp, hidden])))
    hidden = torch.tanh(linear(own.hidden_question, torch.cat([qs + vs, hidden])))
    return linear(own.answers, hidden)


PIXELS = numbers(3, 3, 12, 8, seed=5)
ASKED = ([4], [1, 2, 3, 8], [7, 7, 1, 3, 2, 5])


def batch():
    ids = torch.zeros(3, 6, dtype=torch.long)
    for row, asked in enumerate(ASKED):
        ids[row, : len(asked)] = torch.tensor(asked)
    return PIXELS, ids, torch.tensor([len(asked) for asked in ASKED])


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("variant", VARIANTS)
def test_whole_model_equals_the_loops(variant, layers):
    own = network(variant, layers=layers)
    found = own(*batch())
    for row, asked in enumerate(ASKED):
        expected = literal_logits(own, PIXELS[row], asked)
        torch.testing.assert_close(found[row], expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("variant", VARIANTS)
def test_how_far_a_batch_is_padded_does_not_matter(variant):
    own = network(variant)
    pixels, ids, lengths = batch()
    for row, asked in enumerate(ASKED):
        for width in range(len(asked), STEPS + 1):
            alone = own(pixels[row : row + 1], ids[row : row + 1, :width], lengths[row : row + 1])
            torch.testing.assert_close(alone[0], own(pixels, ids, lengths)[row], rtol=1e-12, atol=1e-12)


def test_longer_questions_are_clipped():
    own = network()
    long = torch.tensor([[1, 2, 3, 4, 5, 6, 7, 8]])
    found = own(PIXELS[:1], long, torch.tensor([8]))
    torch.testing.assert_close(found, own(PIXELS[:1], long[:, :STEPS], torch.tensor([STEPS])))


def test_padding_takes_part_only_in_the_parallel_affinity():
    """As published: with more padding the alternating answer stays, the parallel one does not."""
    for variant, moved in (("Alternating", False), ("Parallel", True)):
        own = network(variant)
        ids, lengths = torch.tensor([[1, 2, 3]]), torch.tensor([3])
        before = own(PIXELS[:1], ids, lengths)
        own.steps = STEPS + 4
        assert bool((own(PIXELS[:1], ids, lengths) - before).abs().max() > 1e-6) == moved


# The file.

OFFSETS_512 = {
    "Alternating": {
        "words.weight": 0, "words.bias": 262144, "places.weight": 262656, "places.bias": 524800,
        "first.weight": 525312, "first.bias": 787456, "first_score.weight": 787968,
        "first_score.bias": 788480,
        "asked.weight": 788481, "asked.bias": 1050625, "place_score.weight": 1051137,
        "place_score.bias": 1051649, "seen.weight": 1051650, "seen.bias": 1313794,
        "word_score.weight": 1314306, "word_score.bias": 1314818, "end": 1314819,
    },
    "Parallel": {
        "affinity.weight": 0, "affinity.bias": 262144, "places.weight": 262656, "places.bias": 524800,
        "words.weight": 525312, "words.bias": 787456, "word_score.weight": 787968, "word_score.bias": 788480,
        "place_score.weight": 788481, "place_score.bias": 788993, "end": 788994,
    },
}  # fmt: skip
"""Where the tensors of an attention block lie in the published size."""


@pytest.mark.parametrize("variant", VARIANTS)
def test_offsets_of_the_published_size(variant):
    at, found = 0, {}
    for name, shape in attention_layout(variant, 512):
        found[name] = at
        at += math.prod(shape)
    assert {**found, "end": at} == OFFSETS_512[variant]


def test_sizes_of_the_published_file():
    """12,605 words and the padding, 1000 answers: the counts that the authors' notebook printed."""
    lengths = {"wparams": 8031747, "pparams": 2889219, "qparams": 5517315, "aparams": 2862056}
    vectors = {name: torch.empty(length, device="meta") for name, length in lengths.items()}
    sizes = sizes_of(vectors, 12606, 1000, None, "x.t7")
    assert sizes == Sizes("Alternating", 512, 512, 2, 1024)
    parallel = {name: lengths[name] - 1314819 + 788994 for name in ("wparams", "pparams", "qparams")}
    vectors |= {name: torch.empty(length, device="meta") for name, length in parallel.items()}
    assert sizes_of(vectors, 12606, 1000, "Parallel", "x.t7").variant == "Parallel"


def published_vectors(own: CoAttentionNetwork) -> dict[str, torch.Tensor]:
    """The weights in the published order, written out tensor by tensor."""

    def gates(weight):
        enter, forget, candidate, leave = weight.chunk(4)
        return torch.cat([enter, forget, leave, candidate])

    def both(layer):
        return [layer.weight, layer.bias]

    def attention(block):
        if isinstance(block, ParallelAttention):
            order = (block.affinity, block.places, block.words, block.word_score, block.place_score)
        else:
            order = (
                block.words, block.places, block.first, block.first_score,
                block.asked, block.place_score, block.seen, block.word_score,
            )  # fmt: skip
        return [tensor for layer in order for tensor in both(layer)]

    def gram(conv):  # for each output: word by word, all channels of it
        return [torch.stack([conv.weight[:, :, k] for k in range(conv.kernel_size[0])], 1), conv.bias]

    lstm = [
        gates(getattr(own.lstm, f"{kind}_{which}_l{layer}"))
        for layer in range(own.lstm.num_layers)
        for which in ("ih", "hh")
        for kind in ("weight", "bias")
    ]
    lists = {
        "wparams": [*both(own.image), own.words.weight, *attention(own.of_words)],
        "pparams": [*gram(own.unigram), *gram(own.bigram), *gram(own.trigram), *attention(own.of_phrases)],
        "qparams": [*lstm, *attention(own.of_question)],
        "aparams": [
            *both(own.hidden_words), *both(own.hidden_phrases), *both(own.hidden_question),
            *both(own.answers),
        ],
    }  # fmt: skip
    return {name: torch.cat([part.flatten() for part in parts]) for name, parts in lists.items()}


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_vectors_become_the_weights_they_were(variant, layers):
    own = network(variant, layers=layers).float()
    vectors = published_vectors(own)
    sizes = sizes_of(vectors, WORDS, ANSWERS, variant, "x.t7")
    assert sizes == Sizes(variant, 4, 3, layers, 7)
    found = named_weights(vectors, sizes, WORDS, ANSWERS)
    expected = {name: value for name, value in own.state_dict().items() if not name.startswith("cnn.")}
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=0)


def test_padding_is_nothing_whatever_the_file_holds():
    own = network().float()
    vectors = published_vectors(own)
    own.words.weight[0] = 3.0
    sizes = Sizes("Alternating", 4, 3, 2, 7)
    found = named_weights(published_vectors(own), sizes, WORDS, ANSWERS)
    assert not found["words.weight"][0].any()
    torch.testing.assert_close(found, named_weights(vectors, sizes, WORDS, ANSWERS), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"wparams": 1}, r"wparams of \d+ numbers do not hold 8 words: give the vqa_data_prepro json"),
        ({"words": 999}, r"wparams of \d+ numbers do not hold 998 words"),
        ({"answers": ANSWERS + 1}, r"aparams of \d+ numbers do not end in 6 answers"),
        ({"pparams": 1}, r"pparams of 224 numbers fit no HieCoAttenVQA$"),
        ({"qparams": 1}, r"qparams of \d+ numbers hold no LSTM of 4 units"),
        ({"stated": "Parallel"}, r"fit no HieCoAttenVQA as 'Parallel' attention"),
        ({"stated": "none"}, r"fit no HieCoAttenVQA as 'none' attention"),
    ],
)
def test_what_does_not_fit_is_told(change, told):
    vectors = published_vectors(network().float())
    for name in vectors.keys() & change.keys():
        vectors[name] = F.pad(vectors[name], (0, change[name]))
    with pytest.raises(CheckpointError, match=r"^x\.t7: .*" + told):
        sizes_of(
            vectors, change.get("words", WORDS), change.get("answers", ANSWERS), change.get("stated"), "x.t7"
        )
