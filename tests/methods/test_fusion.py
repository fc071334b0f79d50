"""Maps of several layers made into one: each fusion equals its loop, and what adds up still does."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import vlx
from tests.adapters import small
from vlx.errors import LayerError, VlxError
from vlx.explain import explain
from vlx.methods import fusion
from vlx.methods.fusion import layer_cam_fusion, mean, refine_cam, resized, spread

PHOTOS = small.photos((48, 64), (64, 40))
RANDOM = torch.Generator().manual_seed(0)


def maps(*sides: tuple[int, int], lead: tuple[int, ...] = ()) -> list[torch.Tensor]:
    return [torch.randn(*lead, *size, generator=RANDOM, dtype=torch.float64) for size in sides]


def test_bilinear_between_the_middles_of_cells_by_hand():
    found = resized(torch.tensor([[0.0, 4.0], [8.0, 12.0]]), 4, 4)
    assert found[0].tolist() == [0, 1, 3, 4]
    assert found[:, 0].tolist() == [0, 2, 6, 8]
    one, several = maps((3, 5))[0], maps((3, 5), lead=(2, 4))[0]
    assert torch.equal(resized(one, 3, 5), one)
    assert torch.equal(resized(several, 7, 9)[1, 2], resized(several[1, 2], 7, 9))


@pytest.mark.parametrize("sides", [(28, 28), (17, 17), (35, 20), (8, 8), (9, 4)])
def test_what_is_spread_adds_up_to_what_it_did(sides):
    one = maps((8, 8), lead=(2, 3))[0]
    found = spread(one, *sides)
    assert found.shape == (2, 3, *sides)
    assert torch.allclose(found.sum((-2, -1)), one.sum((-2, -1)))


def test_shares_lie_where_values_do():
    one = torch.zeros(4, 4, dtype=torch.float64)
    one[1, 2] = 1
    assert torch.allclose(spread(one, 8, 8), resized(one, 8, 8) / 4)  # a cell became four


def test_the_fusion_of_layer_cam_is_its_loop():
    several = maps((8, 6), (4, 3), (2, 2), lead=(2, 3))
    found = layer_cam_fusion(several, gamma=2.0)
    for at in np.ndindex(2, 3):
        planes = []
        for number, one in enumerate(several):
            plane = one[at].clamp_min(0)
            plane = plane / plane.max()
            if number < 2:
                plane = torch.tanh(2.0 * plane)
            planes.append(F.interpolate(plane[None, None], (8, 6), mode="bilinear")[0, 0])
        for row in range(8):
            for col in range(6):
                assert found[(*at, row, col)] == max(plane[row, col] for plane in planes)


def test_refine_cam_is_its_loop():
    several = maps((8, 6), (4, 3), (2, 2), lead=(2,))
    found = refine_cam(several)
    for at in range(2):
        product = torch.ones(8, 6, dtype=torch.float64)
        for one in several:
            plane = F.interpolate(one[at].clamp_min(0)[None, None], (8, 6), mode="bilinear")[0, 0]
            product = product * (plane / plane.max())
        assert torch.allclose(found[at], product / product.max())


def test_maps_without_a_positive_place():
    bare, one = -torch.ones(2, 2), torch.tensor([[1.0, 2.0], [0.0, 0.0]])
    assert torch.equal(layer_cam_fusion([bare, one]), one / 2)
    assert torch.equal(refine_cam([bare, one]), torch.zeros(2, 2))
    with pytest.raises(VlxError, match="give two at least"):
        mean([one])


@pytest.fixture
def both():
    return vlx.at_layers(small.captioner(), ["last/2", "last"])


def read(model):
    return model.read(PHOTOS, model.generate(PHOTOS))


def words(run):
    return [[vlx.word(at) for at in range(len(one.words))] + [vlx.caption()] for one in run.readings]


def test_a_pass_holds_the_layers_from_the_finest_grid_on():
    model = small.captioner()
    last, finer = model.layer, model.at("last/2").layer
    for layers in (["last/2", "last"], ["last", "last/2"], [last, finer]):
        run = read(vlx.at_layers(model, layers))
        assert [one.layer for one in (run, *run.others)] == [finer, last]
        assert torch.equal(run.scores, run.others[0].scores)


def test_each_method_is_the_fusion_of_what_the_layers_give_alone(both):
    run = read(both)
    targets = words(run)
    for method, base, fuse in (
        (vlx.layer_cam_fusion, vlx.layer_cam, layer_cam_fusion),
        (vlx.refine_cam, vlx.grad_cam_pp, refine_cam),
        (vlx.fused(vlx.hires_cam), vlx.hires_cam, mean),
        (vlx.fused(vlx.hires_cam, refine_cam), vlx.hires_cam, refine_cam),
        (vlx.integrated_fusion, vlx.integrated_gradients, mean),
    ):
        found = explain(run, targets, method)
        alone = [explain(one, targets, base) for one in (run, *run.others)]
        for b, one in enumerate(found):
            expected = fuse([torch.from_numpy(by[b].raw) for by in alone]).numpy()
            assert one.raw.shape == alone[0][b].raw.shape
            np.testing.assert_allclose(one.raw, expected, rtol=1e-4, atol=1e-6)
            assert one.frame == alone[0][b].frame
            assert one.provenance.layer == " + ".join(by[b].provenance.layer for by in alone)
            assert one.provenance.method == method.name


def test_integrated_gradients_of_several_layers_add_up(both):
    run = read(both)
    close = vlx.fused(vlx.integrated_with(nodes=64, rule="gauss"))
    for found in explain(run, words(run), close):
        for at, target in enumerate(found.targets):
            assert target.error is not None
            assert found.raw[at].sum() == pytest.approx(target.from_image, abs=abs(target.error) + 1e-4)
            assert abs(target.error) < 0.05 * max(1.0, abs(target.from_image))


def test_the_doors_take_it(both):
    found = vlx.explain_caption(both, PHOTOS[0], method=vlx.integrated_fusion)
    alone = vlx.explain_caption(both, PHOTOS[0], method="grad_cam_pp")  # of one layer: at the finest
    assert found.raw.shape == alone.raw.shape
    assert alone.provenance.layer == found.provenance.layer.split(" + ")[0]
    several = vlx.explain_caption(both, PHOTOS[0], method=["refine_cam", "hires_cam", "layer_cam_fusion"])
    assert [one.provenance.method for one in several] == ["refine_cam", "hires_cam", "layer_cam_fusion"]
    vqa = vlx.at_layers(small.vqa(), ["last/2", "last"])
    answered = vlx.explain_answer(vqa, PHOTOS[0], "is there a dog ?", method="refine_cam")
    assert answered.raw.max() == pytest.approx(1)
    model = vlx.load("scenes/vqa", layer=["last/2", "last"])
    answered = vlx.explain_answer(model, PHOTOS[0], "is there a dog ?", method="integrated_fusion")
    assert answered.raw.shape[1:] == (28, 28)


def test_a_copy_of_the_model_reads_with_its_own_weights(both):
    other = copy.deepcopy(both)
    with torch.no_grad():
        for weight in other.network.parameters():
            weight.zero_()
    said = both.generate(PHOTOS)
    assert not torch.equal(other.read(PHOTOS, said).scores, both.read(PHOTOS, said).scores)
    assert both.read(PHOTOS, said).others


def test_what_is_missing_is_said(both):
    model = small.captioner()
    with pytest.raises(VlxError, match="refine_cam fuses maps of several layers: give a model at several"):
        vlx.explain_caption(model, PHOTOS[0], method="refine_cam")
    with pytest.raises(LayerError, match="give several different layers"):
        vlx.at_layers(model, ["last", model.layer])
    with pytest.raises(LayerError, match="give several different layers"):
        vlx.at_layers(model, ["last"])
    with pytest.raises(VlxError, match=r"object has no method at\(layer\)"):
        vlx.at_layers(object(), ["last", "last/2"])
    with pytest.raises(VlxError, match="guided_grad_cam has no map on features alone"):
        vlx.fused(vlx.guided_grad_cam)
    own = vlx.fused(vlx.hires_cam, lambda maps: maps[-1])
    with pytest.raises(VlxError, match="fused_hires_cam_<lambda> fused maps to"):
        explain(read(both), vlx.caption(), own)


def test_methods_are_found_by_their_names():
    for method in (vlx.layer_cam_fusion, vlx.refine_cam, vlx.integrated_fusion):
        assert vlx.method_named(method.name) is method
    assert fusion.GAMMA == 2


def test_a_plain_network_at_several_layers():
    net, x = small.captioner().network.cnn, torch.rand(2, 3, 32, 32, dtype=torch.float64)
    finer, last = vlx.choose_layer(net, "last/2", x[:1]), vlx.choose_layer(net, None, x[:1])
    alone = [vlx.explain_model(net, x, 1, layer, method="layer_cam") for layer in (finer, last)]
    for layers in (["last/2", "last"], (last, net.get_submodule(finer))):
        found = vlx.explain_model(net, x, 1, layers, method="layer_cam_fusion")
        assert torch.allclose(found, layer_cam_fusion(alone))
    with pytest.raises(LayerError, match="one layer is explained at a time"):
        vlx.explain_model(net, x, 1, ["last/2", "last"])
    with pytest.raises(VlxError, match="fuses maps of several layers"):
        vlx.explain_model(net, x, 1, method="layer_cam_fusion")


def test_the_command_line(run, tmp_path):
    PHOTOS[0].save(tmp_path / "photo.png")
    asked = ("vqa", tmp_path / "photo.png", "is there a dog ?", "--method", "refine_cam", "--out", tmp_path)
    status, told, _ = run(*asked, "--layer", "last/2", "--layer", "last")
    assert status == 0
    assert "likeliest" in told
    assert " + " in vlx.load_explanation(tmp_path / "photo-refine_cam").provenance.layer
    status, _, error = run(*asked, "--layer", "last")
    assert status == 1
    assert "give several different layers" in error
