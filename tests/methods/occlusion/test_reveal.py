"""Windows that are revealed, alone or beside what hiding them takes: by hand, by identities, on any model."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import vlx
from tests.adapters import small
from tests.methods.occlusion.test_of_pass import Counting, score_of
from vlx.errors import VlxError
from vlx.eval.runs.methods import told
from vlx.images.preprocess import AsIs
from vlx.methods.occlusion import of_pass
from vlx.methods.occlusion.windows import Windows

QUESTION = "is there a dog ?"
SIZES = {"size": 9, "stride": 8}


@pytest.fixture
def answerer():
    model = small.vqa()
    model.preprocess = replace(model.preprocess, resize=AsIs(), window=None)
    return model


def targets_of(answerer):
    first, second = answerer.answers[:2]
    return [vlx.answer(first), vlx.answer(second), vlx.answer(first) - vlx.answer(second)]


def blank_of(pixels):
    """Middle grey is subtracted, so that 0 is no mean of any data: the image's own mean colour."""
    return pixels.mean((1, 2))[:, None, None].expand_as(pixels)


def test_each_window_by_hand(answerer):
    """Windows of 9 pixels, 8 apart, on 32: centres 3, 11, 19 and 27; between them bilinear."""
    (photo,) = small.photos((32, 32))
    run = answerer.read([photo], [QUESTION])
    methods = [vlx.reveal_with(**SIZES), vlx.reveal_and_hide_with(**SIZES)]
    ((shown, both),) = vlx.explain(run, targets_of(answerer), methods)
    pixels, names = run.below.pixels[0], answerer.answers[:2]
    blank = blank_of(pixels)
    whole = np.array([score_of(answerer, pixels, QUESTION, name) for name in names])
    nothing = np.array([score_of(answerer, blank, QUESTION, name) for name in names])
    for row in (3, 11, 19, 27):
        for col in (3, 11, 19, 27):
            window = slice(None), slice(max(row - 4, 0), row + 5), slice(max(col - 4, 0), col + 5)
            alone, without = blank.clone(), pixels.clone()
            alone[window], without[window] = pixels[window], blank[window]
            rise = [score_of(answerer, alone, QUESTION, name) for name in names] - nothing
            fall = whole - [score_of(answerer, without, QUESTION, name) for name in names]
            assert shown.raw[:, row, col] == pytest.approx([*rise, rise[0] - rise[1]], abs=1e-4)
            added = rise + fall
            assert both.raw[:, row, col] == pytest.approx([*added, added[0] - added[1]], abs=1e-4)
    assert shown.raw[:, 7, 3] == pytest.approx(shown.raw[:, [3, 11], 3].mean(1), abs=1e-5)
    for found in (shown, both):
        told = [target.blank for target in found.targets]
        assert told == pytest.approx([*nothing, nothing[0] - nothing[1]], abs=1e-4)
        assert found.targets[0].from_image == pytest.approx(whole[0] - nothing[0], abs=1e-4)


@pytest.mark.parametrize("fill", [None, "blur", "zero", "mean", "#ff8000"])
def test_a_window_over_the_whole_image_holds_all_that_the_image_gives(answerer, fill):
    run = answerer.read(small.photos((32, 32)), [QUESTION])
    whole = {"size": 63, "stride": 32, "fill": fill}
    with pytest.warns(RuntimeWarning, match="windows of 63 pixels (hide|show) most of"):
        (found,) = vlx.explain(
            run,
            targets_of(answerer),
            [vlx.reveal_with(**whole), vlx.occlusion_with(**whole), vlx.reveal_and_hide_with(**whole)],
        )
    shown, hidden, both = found
    for at, target in enumerate(shown.targets):
        assert shown.raw[at] == pytest.approx(target.from_image, abs=1e-5)
        assert hidden.raw[at] == pytest.approx(target.from_image, abs=1e-5)
        assert both.raw[at] == pytest.approx(2 * target.from_image, abs=2e-5)
    assert abs(shown.targets[0].from_image) > 1e-4


def test_revealing_is_hiding_seen_from_the_blank_image(answerer):
    """On an image that is its own blank nothing can be seen."""
    run = answerer.read(small.photos((32, 32)), [QUESTION])
    plain = blank_of(run.below.pixels[0])[None].clone()
    flat = replace(run, below=replace(run.below, pixels=plain))
    (found,) = vlx.explain(flat, targets_of(answerer), vlx.reveal_with(**SIZES, fill="mean"))
    assert np.abs(found.raw).max() < 1e-5


def test_the_sum_of_both_is_the_sum_of_their_maps_and_costs_nothing_beside_them(answerer, monkeypatch):
    run = answerer.read(small.photos((32, 32)), [QUESTION])
    made = []
    plain = of_pass.occlusion
    monkeypatch.setattr(
        of_pass, "occlusion", lambda *given, **named: made.append(1) or plain(*given, **named)
    )
    asked = [vlx.reveal_and_hide_with(**SIZES), vlx.occlusion_with(**SIZES), vlx.reveal_with(**SIZES)]
    ((both, hidden, shown),) = vlx.explain(run, targets_of(answerer), asked)
    assert len(made) == 2
    assert both.raw == pytest.approx(hidden.raw.astype(float) + shown.raw, abs=1e-5)
    assert hidden.targets[0].blank is None
    others = [vlx.reveal_with(**SIZES), vlx.reveal_with(size=9, stride=16), vlx.reveal_with(**SIZES, batch=3)]
    vlx.explain(run, targets_of(answerer), [*others, vlx.reveal_with(**SIZES, fill="blur")])
    assert len(made) == 6  # other windows are others
    for method, found in zip(asked, (both, hidden, shown), strict=True):
        (alone,) = vlx.explain(run, targets_of(answerer), method)
        assert np.array_equal(alone.raw, found.raw)


def test_an_image_with_several_questions_is_seen_once(answerer):
    """Four windows a side, hidden and shown, and the untouched and the filled image, for two images."""
    one, other = small.photos((32, 32), (32, 32))
    photos, asked = [one, other, one, one], ["is there a dog ?", "what colour ?", "what colour ?", "a cat ?"]
    wanted = [[vlx.answer("yes")], [vlx.answer("red")], [], [vlx.answer("no"), vlx.answer("two")]]
    method = vlx.reveal_and_hide_with(**SIZES)
    alone = [
        vlx.explain(answerer.read([photo], [text]), [targets], method)[0] if targets else None
        for photo, text, targets in zip(photos, asked, wanted, strict=True)
    ]
    answerer.network.cnn = Counting(answerer.network.cnn)
    run = answerer.read(photos, asked)
    run = replace(run, below=replace(run.below, cnn=answerer.network.cnn))
    answerer.network.cnn.seen = 0
    together = vlx.explain(run, wanted, method, evidence=True)
    assert answerer.network.cnn.seen == 2 * 2 * (1 + 4 * 4 + 3)  # three in full too, as of occlusion
    for mine, theirs in zip(together, alone, strict=True):
        if theirs is None:
            assert mine.raw.shape == (0, 32, 32)
        else:
            assert np.abs(theirs.raw).max() > 1e-6
            assert np.array_equal(mine.raw, theirs.raw)
            for told, alike in zip(mine.targets, theirs.targets, strict=True):
                assert told.blank == pytest.approx(alike.blank, abs=1e-6)


def test_evidence_is_that_of_the_filled_image_and_hiding_keeps_that_of_its_features(answerer):
    run = answerer.read(small.photos((32, 32)), [QUESTION])
    method = [vlx.reveal_with(**SIZES), vlx.occlusion_with(**SIZES), vlx.grad_cam]
    ((shown, hidden, cam),) = vlx.explain(run, targets_of(answerer), method, evidence=True)
    assert hidden.targets[0].blank == cam.targets[0].blank != shown.targets[0].blank
    bare = replace(run, above=None)  # no part above the layer is needed
    (found,) = vlx.explain(bare, targets_of(answerer), vlx.reveal_with(**SIZES), evidence=True)
    assert found.targets[0].blank == shown.targets[0].blank


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_captions_in_other_precisions_and_changes_alone(dtype, monkeypatch):
    model = small.captioner()
    model.network.to(dtype)
    photos = small.photos((40, 48), (40, 48))
    said = model.generate(photos)
    wanted = [[vlx.word(0), vlx.caption()], [vlx.caption()]]
    method = vlx.reveal_and_hide_with(size=15, stride=9)
    found = vlx.explain(model.read(photos, said), wanted, method)
    monkeypatch.setattr(of_pass, "changes_only", lambda _cnn: torch.no_grad())
    in_full = vlx.explain(model.read(photos, said), wanted, method)
    rounding = {torch.float64: 1e-6, torch.float32: 1e-5, torch.bfloat16: 0.1}[dtype]
    for mine, theirs in zip(found, in_full, strict=True):
        assert np.isfinite(mine.raw).all()
        assert mine.raw == pytest.approx(theirs.raw, abs=rounding)
        assert mine.targets[0].blank == pytest.approx(theirs.targets[0].blank, abs=rounding)
    assert np.abs(found[0].raw).max() > 1e-4


def test_windows_have_their_usual_sizes_and_names():
    assert vlx.reveal.windows == Windows(what="reveal")
    assert Windows(what="reveal").fitted((224, 224)) == (96, 32)
    assert Windows(what="reveal_and_hide").fitted((112, 448)) == (48, 32)
    assert Windows(what="hide").fitted((224, 224)) == (35, 8)
    for name, same in (
        ("reveal_48_16", vlx.reveal_with(size=48, stride=16)),
        ("reveal_and_hide_blur", vlx.reveal_and_hide_with(fill="blur")),
        ("reveal_and_hide_48_16_ff8000", vlx.reveal_and_hide_with(size=48, stride=16, fill="#ff8000")),
    ):
        assert vlx.method_named(name).name == name
        assert vlx.method_named(name).windows == same.windows
    assert vlx.method_named("reveal") is vlx.reveal
    with pytest.raises(VlxError, match="no method 'reveal_48'"):
        vlx.method_named("reveal_48")


def test_what_does_not_serve_is_said(answerer):
    for make in (vlx.reveal_with, vlx.reveal_and_hide_with):
        with pytest.raises(VlxError, match="size 0, stride None and batch 16 must be 1 or more"):
            make(size=0)
        with pytest.raises(VlxError, match="no fill 'colourful'"):
            make(fill="colourful")
    run = answerer.read(small.photos((32, 32)), [QUESTION])
    for below in (None, replace(run.below, rescore=None)):
        with pytest.raises(VlxError, match="no way to score other pixels"):
            vlx.explain(replace(run, below=below), targets_of(answerer), vlx.reveal)
    bare = replace(run, below=replace(run.below, colour=None))
    with pytest.raises(VlxError, match="what the colour #ff8000 becomes"):
        vlx.explain(bare, targets_of(answerer), vlx.reveal_with(fill="#ff8000"))


def test_the_settings_of_a_run_tell_what_is_done_with_windows():
    told_so = {
        told(make(**SIZES)) for make in (vlx.occlusion_with, vlx.reveal_with, vlx.reveal_and_hide_with)
    }
    alike = [replace(make(**SIZES), name="mine") for make in (vlx.occlusion_with, vlx.reveal_with)]
    assert len(told_so) == 3
    assert told(alike[0]) != told(alike[1])
    assert told(vlx.occlusion_with(**SIZES)) == "occlusion_9_8 (size 9, stride 8, batch 16)"


def test_a_plain_network_and_saved_explanations(tmp_path):
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
    )
    maps = vlx.explain_model(net, torch.rand(2, 3, 32, 48), [1, 2], "0", method=vlx.reveal_with(**SIZES))
    assert maps.shape == (2, 32, 48)
    model = small.vqa()
    (found,) = [vlx.explain_answer(model, small.photos((32, 32))[0], QUESTION, method=vlx.reveal)]
    found.save(tmp_path / "one")
    assert vlx.load_explanation(tmp_path / "one").targets == found.targets
