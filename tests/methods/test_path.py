"""Integrated gradients on features: what they add up to, and that nothing below the layer runs again."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import vlx
from tests import tiny
from tests.speakers import Speaker
from vlx.adapters.parts.classifier import Classifier
from vlx.images.preprocess import AsIs, Preprocess
from vlx.methods.path import MOST, Path, along, blank


class Squared(nn.Module):
    """A network whose first logit is the sum of the squares of its features, the second their sum."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 2, 1, bias=False)
        self.runs = 0
        nn.init.constant_(self.stem.weight, 0.5)
        self.double()

    def forward(self, pixels: Tensor) -> Tensor:
        self.runs += 1
        maps = self.stem(pixels)
        return torch.stack([maps.square().sum((1, 2, 3)), maps.sum((1, 2, 3))], 1)


def picture(seed: int = 0, side: int = 4) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8))


def squared() -> Classifier:
    return Classifier(Squared(), ["squares", "sum"], Preprocess(AsIs()), layer="stem")


def terms(passed: vlx.Pass, *targets: vlx.Target, position: int = 0) -> list[tuple[object, ...]]:
    return [target.resolve(passed.readings[position]).terms for target in targets]


def test_squares_by_hand() -> None:
    """Of x² the gradient along x·a is 2ax; its mean over the middle of pieces is x, so the map is x²."""
    run = squared().read([picture()])
    (found,) = vlx.explain(run, [vlx.label(0), vlx.label(1)], vlx.integrated_gradients)
    features = run.features.detach()[0]
    np.testing.assert_allclose(found.raw[0], features.square().sum(0).numpy(), rtol=1e-6)
    np.testing.assert_allclose(found.raw[1], features.sum(0).numpy(), rtol=1e-6)
    for target in found.targets:
        assert target.blank == 0
        assert target.from_image == target.score
        assert target.error == pytest.approx(0, abs=1e-6 * target.score)


def test_the_mean_of_the_gradients_weighs_the_channels() -> None:
    run = squared().read([picture()])
    (found,) = vlx.explain(run, [vlx.label(0)], vlx.integrated_grad_cam)
    features = run.features.detach()[0]
    expected = torch.einsum("k,kij->ij", features.mean((1, 2)), features).relu()
    np.testing.assert_allclose(found.raw[0], expected.numpy(), rtol=1e-6)
    assert found.targets[0].from_image == found.targets[0].score


@pytest.mark.parametrize("rule", ["midpoint", "gauss", "graded"])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_nodes_are_those_of_the_literature(rule: str, count: int) -> None:
    """A path of n Gauss nodes is exact for polynomials of degree 2n - 1, middles of pieces for degree 1."""
    from vlx.methods.path import _nodes  # pyright: ignore[reportPrivateUsage]

    at, weights = (np.array(part) for part in _nodes(count, rule))
    assert sum(weights) == pytest.approx(1)
    assert all(at > 0)
    assert all(at < 1)
    for degree in range(2 * count if rule == "gauss" else 2):
        assert weights @ at**degree == pytest.approx(1 / (degree + 1))


def test_graded_pieces_by_hand() -> None:
    """Their ends lie at (e^(4k/n) - 1)/(e^4 - 1): of two at 0, 0.1192 and 1."""
    from vlx.methods.path import _nodes  # pyright: ignore[reportPrivateUsage]

    at, weights = _nodes(2, "graded")
    np.testing.assert_allclose(at, [0.0596, 0.5596], atol=1e-4)
    np.testing.assert_allclose(weights, [0.1192, 0.8808], atol=1e-4)
    assert _nodes(1, "graded") == ((0.5,), (1.0,))


class Sure(nn.Module):
    """A network that is sure long before the end of the path: tanh of 20 times its features' mean size."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 2, 1, bias=False)
        nn.init.constant_(self.stem.weight, 0.5)
        self.double()

    def forward(self, pixels: Tensor) -> Tensor:
        return torch.tanh(20 * self.stem(pixels).abs().mean((1, 2, 3)))[:, None].expand(-1, 2)


@pytest.mark.parametrize("nodes", [3, 8])
def test_graded_nodes_see_where_a_sure_model_changes(nodes: int) -> None:
    """Its score is tanh(20 m a) along the path: the sum over nodes by hand, and less error."""
    from vlx.methods.path import _nodes  # pyright: ignore[reportPrivateUsage]

    model = Classifier(Sure(), ["one", "other"], Preprocess(AsIs()), layer="stem")
    run = model.read([picture(3)])
    mean, errors = float(run.features.detach().abs().mean()), list[float]()
    assert mean > 0.5  # so that it is sure
    for rule in ("midpoint", "graded"):
        (found,) = vlx.explain(run, [vlx.label(0)], vlx.integrated_with(nodes=nodes, rule=rule))
        by_hand = sum(
            weight * 20 * mean / np.cosh(20 * mean * at) ** 2
            for at, weight in zip(*_nodes(nodes, rule), strict=True)
        )
        assert found.raw.sum() == pytest.approx(by_hand, rel=1e-5)
        assert found.targets[0].error == pytest.approx(by_hand - np.tanh(20 * mean), abs=1e-6)
        errors.append(abs(found.targets[0].error or 0.0))
    assert errors[1] < errors[0] / 3
    assert found.provenance.method == f"integrated_gradients_{nodes}_graded"


@pytest.mark.parametrize("count", [1, 4])
def test_the_loop_of_the_paper(count: int) -> None:
    """Sundararajan et al. 2017, Eq. 3, at a layer, with one backward for each node and word."""
    model = Speaker()
    images, said = [picture(1, 32), picture(2, 32)], ["a dog on grass", "cat red"]
    run = model.read(images, said)
    method = vlx.integrated_with(nodes=count)
    found = vlx.explain(run, [[vlx.word(0), vlx.word(2)], [vlx.word(1)]], method)
    network, features = model.model, run.features.detach()
    pixels = torch.zeros(1, 3, tiny.SIZE, tiny.SIZE, dtype=torch.float64)
    for item, words in ((0, (0, 2)), (1, (1,))):
        ids = torch.tensor([[tiny.WORDS.index(word) for word in said[item].split()]])
        for row, at in enumerate(words):
            total = torch.zeros_like(features[item])
            for k in range(count):
                point = (features[item : item + 1] * ((k + 0.5) / count)).requires_grad_()
                hook = network.cnn.features[3].register_forward_hook(lambda *_, point=point: point)
                score = network.eval()(pixels, ids)[0, at, ids[0, at]]
                hook.remove()
                total += torch.autograd.grad(score, point)[0][0] / count
            expected = (total * features[item]).sum(0)
            np.testing.assert_allclose(found[item].raw[row], expected, rtol=1e-5, atol=1e-7)


def test_it_equals_captum() -> None:
    captum = pytest.importorskip("captum.attr")
    model = squared()
    run = model.read([picture(3)])
    (found,) = vlx.explain(run, [vlx.label(0)], vlx.integrated_with(nodes=7, rule="gauss"))
    theirs = captum.LayerIntegratedGradients(model.network, model.network.stem).attribute(
        run.below.pixels, target=0, n_steps=7, method="gausslegendre"
    )
    np.testing.assert_allclose(found.raw[0], theirs.detach().sum(1)[0].numpy(), rtol=1e-6)


def test_a_smooth_model_adds_up_the_better_the_more_nodes() -> None:
    run = Speaker().read([picture(4, 32)], ["a red bike"])
    wanted = terms(run, vlx.word(0), vlx.word(1), vlx.caption())
    errors = [
        along(run, 0, wanted, Path(nodes, "gauss")).error.abs().max().item()  # pyright: ignore
        for nodes in (1, 4, 64)
    ]
    assert errors[2] < 1e-3
    assert errors[2] <= errors[1] <= errors[0]


def test_a_tolerance_doubles_the_nodes() -> None:
    run = Speaker().read([picture(4, 32)], ["a red bike"])
    wanted = terms(run, vlx.word(0), vlx.word(1))
    once = along(run, 0, wanted, Path(1)).error
    assert once is not None
    bound = float(once.abs().max()) / 4
    found = along(run, 0, wanted, Path(1, tolerance=bound)).error
    assert found is not None
    assert float(found.abs().max()) <= bound
    never = along(run, 0, wanted, Path(1, tolerance=0.0))
    assert never.error is not None
    torch.testing.assert_close(never.error, along(run, 0, wanted, Path(MOST)).error)


def test_baselines() -> None:
    run = squared().read([picture(5)])
    features = run.features.detach()[0]
    assert blank(run, 0).abs().max() == 0
    mean = blank(run, 0, "mean")
    torch.testing.assert_close(mean, features.mean((1, 2), keepdim=True).expand_as(features))
    (found,) = vlx.explain(run, [vlx.label(0)], vlx.integrated_with(baseline="mean", nodes=2))
    assert found.targets[0].blank == pytest.approx(float(mean.square().sum()), rel=1e-6)
    assert found.raw.sum() == pytest.approx(found.targets[0].from_image, rel=1e-5)
    assert found.provenance.method == "integrated_gradients_2_mean"

    def other(passed: vlx.Pass, position: int) -> Tensor:
        return passed.features[position].detach() / 2

    (found,) = vlx.explain(run, [vlx.label(0)], vlx.integrated_with(baseline=other))
    assert found.targets[0].blank == pytest.approx(float(features.square().sum() / 4), rel=1e-6)
    with pytest.raises(vlx.VlxError, match=r"the baseline is \(3,\)"):
        vlx.explain(run, [vlx.label(0)], vlx.integrated_with(baseline=lambda *_: torch.zeros(3)))
    unlike = vlx.integrated_with(baseline=vlx.blurred(1.0), nodes=8)
    (found,) = vlx.explain(run, [vlx.label(1)], unlike)
    assert found.provenance.method == "integrated_gradients_8_blurred_1"
    assert found.raw.sum() == pytest.approx(found.targets[0].from_image, rel=1e-5)
    with pytest.raises(vlx.VlxError, match="no way from pixels"):
        vlx.explain(replace(run, below=None), [vlx.label(1)], unlike)


def test_any_map_on_features_can_be_integrated() -> None:
    run = squared().read([picture(6)])
    (found,) = vlx.explain(run, [vlx.label(0)], vlx.integrated_with(vlx.layer_cam, nodes=2))
    expected = (run.features.detach()[0].relu() * run.features.detach()[0]).sum(0).relu()
    np.testing.assert_allclose(found.raw[0], expected.numpy(), rtol=1e-6)
    for method in (vlx.guided_grad_cam, vlx.occlusion, vlx.gradient):
        with pytest.raises(vlx.VlxError, match="no map on features alone"):
            vlx.integrated_with(method)
    with pytest.raises(vlx.VlxError, match="needs a node at least, not 0"):
        vlx.integrated_with(nodes=0)


def test_nothing_below_runs_again() -> None:
    """The stem runs once for a Pass, but on the first use of a model, which compares both ways."""
    model = squared()
    seen: list[int] = []
    model.network.stem.register_forward_hook(lambda *_: seen.append(1))
    forward = model.network.stem.forward
    counted: list[int] = []

    def counting(*inputs: Tensor) -> Tensor:
        counted.append(len(inputs[0]))
        return forward(*inputs)

    model.network.stem.forward = counting
    for expected in ([1, 4], [1]):
        counted.clear()
        vlx.explain(model.read([picture(7)]), [vlx.label(0)], vlx.integrated_gradients)
        assert counted == expected


def test_the_rows_that_are_scored_are_picked_again() -> None:
    """A captioner whose image has a row of its own in front: the steps of its Pass are those of its words."""
    speaker = Speaker()
    network = speaker.model
    ids = torch.tensor([[tiny.WORDS.index(word) for word in ("a", "red", "bike")]])

    def score(pixels: Tensor, ids: Tensor) -> Tensor:
        said = network.words(torch.cat([torch.zeros_like(ids[:, :1]), ids], 1))
        out, _ = network.lstm(torch.cat([network.cnn(pixels)[:, None], said], 1))
        return vlx.log_probabilities(network.vocabulary(out))

    pixels = tiny.pixels_of(1)
    plain = tiny.caption_pass(network, pixels, ids.tolist())
    steps = lambda hidden: hidden[:, 1:]  # noqa: E731
    with vlx.capture(network, "cnn.features.3", vocabulary="vocabulary", steps=steps) as seen:
        scores = score(pixels, ids)
    torch.testing.assert_close(scores, plain.scores)
    run = replace(
        plain,
        features=seen.features,
        scores=scores,
        shortcuts=seen.shortcuts,
        above=seen.above(score, pixels, ids),
    )
    again = run.with_features(0, run.features.detach())
    torch.testing.assert_close(again.scores, scores)


class Around(nn.Module):
    """What lies below the layer is used behind it too: as a module gave it, or only as a function did."""

    def __init__(self, held: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1)
        self.held, self.top = held, nn.Linear(4, 2)
        self.double()

    def forward(self, pixels: Tensor) -> Tensor:
        below = self.first(pixels)
        if not self.held:
            below = torch.tanh(below)
        return self.top((self.second(below).relu() + below).mean((2, 3)))


@pytest.mark.parametrize("held", [True, False])
def test_a_skip_around_the_layer_keeps_its_values(held: bool) -> None:
    """Of two images, so that each has its own; what cannot be left out runs again."""
    model = Classifier(Around(held), ["a", "b"], Preprocess(AsIs()), layer="second")
    run = model.read([picture(1), picture(2)])
    for position in (0, 1):
        for _ in range(2):
            again = run.with_features(position, run.features[position].detach()[None])
            torch.testing.assert_close(again.scores[0], run.scores[position])


@pytest.mark.parametrize(
    "method", [vlx.integrated_gradients, vlx.integrated_grad_cam, vlx.ablation_cam, vlx.score_cam,
               vlx.smooth_gradient, vlx.rise_with(count=4)],
    ids=lambda method: method.name,
)  # fmt: skip
def test_items_of_which_nothing_is_asked(method: vlx.Method) -> None:
    run = Speaker().read([picture(1), picture(2), picture(3)], ["a", "a dog", "cat"])
    found = vlx.explain(run, [[], [vlx.word(1), vlx.word(0)], []], method, evidence=True)
    assert [len(one.targets) for one in found] == [0, 2, 0]
    (alone,) = vlx.explain(Speaker().read([picture(2)], ["a dog"]), [vlx.word(1), vlx.word(0)], method)
    np.testing.assert_allclose(found[1].raw, alone.raw, rtol=1e-5, atol=1e-9)


def test_evidence_of_methods_without_a_path() -> None:
    run = squared().read([picture(8), picture(9)])
    plain = vlx.explain(run, [vlx.label(1)])
    assert [found.targets[0].blank for found in plain] == [None, None]
    assert plain[0].targets[0].from_image is None
    found = vlx.explain(run, [vlx.label(1)], evidence=True)
    assert [one.targets[0].blank for one in found] == [0, 0]
    bare = vlx.explain(replace(run, above=None), [vlx.label(1)], evidence=True)
    assert bare[0].targets[0].blank is None


def test_evidence_is_made_once_for_all_methods() -> None:
    """And not at all where every method follows a path, whose start tells it."""
    run = squared().read([picture()])
    counted: list[int] = []
    above = run.above
    assert above is not None

    def counting(position: int, features: Tensor) -> object:
        counted.append(len(features))
        return above(position, features)

    watched = replace(run, above=counting)
    (found,) = vlx.explain(watched, vlx.label(1), ["grad_cam", "hires_cam", "layer_cam"], evidence=True)
    assert [one.targets[0].blank for one in found] == [0, 0, 0]
    assert counted == [1]
    vlx.explain(watched, vlx.label(1), vlx.integrated_gradients, evidence=True)
    assert counted == [1, 4]


def test_a_pass_that_cannot_run_again_says_so() -> None:
    run = replace(squared().read([picture()]), above=None)
    with pytest.raises(vlx.VlxError, match=r"above=seen\.above"):
        vlx.explain(run, [vlx.label(0)], vlx.integrated_gradients)


def test_it_is_saved(tmp_path: object) -> None:
    run = squared().read([picture()])
    (found,) = vlx.explain(run, [vlx.label(0)], vlx.integrated_gradients)
    found.save(f"{tmp_path}/one")
    assert vlx.load_explanation(f"{tmp_path}/one").targets == found.targets


def test_the_model_is_as_it_was() -> None:
    from tests.passes.test_capture import state_of

    model = squared()
    model.network.train()
    before = state_of(model.network)
    run = model.read([picture()])
    vlx.explain(run, [vlx.label(0)], vlx.integrated_gradients)
    assert state_of(model.network) == before

    def failing(_passed: vlx.Pass, _position: int) -> Sequence[float]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        vlx.explain(run, [vlx.label(0)], vlx.integrated_with(baseline=failing))
    assert state_of(model.network) == before
