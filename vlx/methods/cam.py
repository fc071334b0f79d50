"""Grad-CAM and its relatives: pure functions of activations A and gradients G = dy/dA.

Both are (..., channel, row, col), though of gradients that are averaged over places their mean, as
(..., channel, 1, 1), will do; the map is (..., row, col), raw: not scaled, not resized.
"""

import torch
from jaxtyping import Float
from torch import Tensor

Planes = Float[Tensor, "*#target channel row col"]
"""Leading axes of size 1 serve all: one image's activations, the gradients of many targets."""
Pooled = Float[Tensor, "*#target channel #row #col"]
"""Gradients at the places, or their mean over all of them at one."""
Weights = Float[Tensor, "*#target channel"]
Map = Float[Tensor, "... row col"]


def grad_cam(activations: Planes, gradients: Pooled) -> Map:
    """The Grad-CAM map: channels weighted by their mean gradient, summed, rectified (Eq. 1 and 2).

    >>> activations = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])
    >>> gradients = torch.tensor([[[-4.0, 0.0], [0.0, 8.0]]])
    >>> grad_cam(activations, gradients)
    tensor([[1., 2.],
            [3., 4.]])
    """
    return weighted_sum(activations, mean_gradient(gradients)).relu()


def mean_gradient(gradients: Planes) -> Weights:
    """The weight of each channel: its gradient averaged over all Z places (Eq. 1).

    >>> mean_gradient(torch.tensor([[[-4.0, 0.0], [0.0, 8.0]]]))
    tensor([1.])
    """
    return gradients.mean((-2, -1))


def kept_by_mean(gradients: Planes) -> Float[Tensor, "*target"]:
    """How much of the gradients their mean over places keeps, from 0 to 1: ‖mean‖ √Z / ‖gradients‖.

    The norms are over channels, and over channels and all Z places. The mean, given to every place, is the
    part of the gradients that is the same at all of them, and the rest is orthogonal to it: so this is the
    cosine between both, and its square is the share of the squared gradients that a method keeps which
    averages them. It is 1 behind a global average pooling, where Grad-CAM is exact, about 1 / √Z where
    gradients at the places have nothing to do with one another, 0 where they cancel, and NaN where there are
    none.

    >>> kept_by_mean(torch.tensor([[[3.0, 3.0]], [[4.0, -4.0]]]))  # 9 of 25 are the same at both places
    tensor(0.6000)
    """
    scale = gradients.abs().amax((-3, -2, -1), keepdim=True)
    parts = gradients / scale  # small gradients, squared, would be 0
    places = gradients.shape[-2] * gradients.shape[-1]
    same = mean_gradient(parts).square().sum(-1) * places
    return (same / parts.square().sum((-3, -2, -1))).sqrt().clamp(max=1)


def max_gradient(gradients: Planes) -> Weights:
    """The weight of each channel: the largest of its gradients (ablation, paper appendix).

    >>> max_gradient(torch.tensor([[[-4.0, 0.0], [0.0, 8.0]]]))
    tensor([8.])
    """
    return gradients.amax((-2, -1))


def weighted_sum(activations: Planes, weights: Weights) -> Map:
    """The signed combination of channels, Eq. 2 before its ReLU.

    >>> weighted_sum(torch.tensor([[[1.0, 2.0]], [[0.0, 3.0]]]), torch.tensor([2.0, -1.0]))
    tensor([[2., 1.]])
    """
    return torch.einsum("...kij,...k->...ij", activations, weights)


def stretched(plane: Map) -> Map:
    """A map moved so that its lowest value is 0: up to its maximum what scaling it from 0 to 1 gives.

    >>> stretched(torch.tensor([[-2.0, 0.0], [1.0, 2.0]]))
    tensor([[0., 2.],
            [3., 4.]])
    """
    return plane - plane.amin((-2, -1), keepdim=True)


def hires_cam(activations: Planes, gradients: Planes) -> Map:
    """The HiResCAM map: gradient times activation at each place, summed over channels, rectified.

    Draelos and Carin 2020, arXiv 2011.08891, with the ReLU of Grad-CAM.

    >>> activations = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])
    >>> gradients = torch.tensor([[[-4.0, 0.0], [0.0, 8.0]]])
    >>> hires_cam(activations, gradients)
    tensor([[ 0.,  0.],
            [ 0., 32.]])
    """
    return gradient_times_activation(activations, gradients).relu()


def gradient_times_activation(activations: Planes, gradients: Planes) -> Map:
    """Gradient times activation at each place, summed over channels, signed.

    Of the mean gradients along a path, and what the features differ by from its start, it is the map of
    integrated gradients (Sundararajan et al. 2017, arXiv 1703.01365, Eq. 1), at a layer.

    >>> activations = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])
    >>> gradients = torch.tensor([[[-4.0, 0.0], [0.0, 8.0]]])
    >>> gradient_times_activation(activations, gradients)
    tensor([[-4.,  0.],
            [ 0., 32.]])
    """
    return torch.einsum("...kij,...kij->...ij", activations, gradients)


def grad_cam_pp(activations: Planes, gradients: Planes) -> Map:
    """The Grad-CAM++ map (Chattopadhay et al. 2018, Eq. 10 to 19, arXiv 1710.11063).

    alpha = G² / (2 G² + sum(A) G³), weights = sum over places of alpha * relu(G). The score is
    exp(y) there; its factor exp(y) scales the map and is left out. Where G is 0, alpha is 0.

    >>> activations = torch.tensor([[[0.0, 0.0], [1.0, 1.0]]])
    >>> gradients = torch.tensor([[[1.0, 0.0], [0.0, 0.0]]])  # alpha = 1 / (2 + 2 * 1) where it is 1
    >>> grad_cam_pp(activations, gradients)
    tensor([[0.0000, 0.0000],
            [0.2500, 0.2500]])
    """
    squares = gradients.square()
    total = activations.sum((-2, -1), keepdim=True)
    below = 2 * squares + total * squares * gradients
    alphas = (squares / below.where(below != 0, below.new_ones(()))).where(below != 0, below.new_zeros(()))
    weights = (alphas * gradients.relu()).sum((-2, -1))
    return weighted_sum(activations, weights).relu()


def layer_cam(activations: Planes, gradients: Planes) -> Map:
    """The LayerCAM map: positive gradients weight each place by itself (Jiang et al. 2021, Eq. 5, 6).

    >>> activations = torch.tensor([[[1.0, 2.0]], [[1.0, 1.0]]])
    >>> gradients = torch.tensor([[[1.0, 1.0]], [[-5.0, 3.0]]])
    >>> layer_cam(activations, gradients)
    tensor([[1., 5.]])
    """
    return torch.einsum("...kij,...kij->...ij", activations, gradients.relu()).relu()


def eigen_cam(activations: Planes, gradients: Planes) -> Map:
    """The Eigen-CAM map (Muhammad and Yeasin 2020, arXiv 2008.00299): the first principal part.

    It is the same for every target, so it serves as a control: what a method gains over it, the target gave.
    Its sign, which is open, is that of the larger part.

    >>> activations = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])
    >>> eigen_cam(activations, activations)
    tensor([[1., 2.],
            [3., 4.]])
    """
    places = activations.flatten(-2)  # (*target, channel, place)
    first = torch.linalg.svd(places, full_matrices=False).U[..., :, 0]
    plane = torch.einsum("...kij,...k->...ij", activations, first)
    plane = plane * plane.sum((-2, -1), keepdim=True).sign()
    return plane.expand(
        torch.broadcast_shapes(plane.shape, (*gradients.shape[:-3], *plane.shape[-2:]))
    ).relu()


def xgrad_cam(activations: Planes, gradients: Planes) -> Map:
    """The XGrad-CAM map: gradients averaged with the activations as weights (Fu et al. 2020, Eq. 8).

    A channel whose activations sum to 0 has weight 0.

    >>> activations = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])
    >>> gradients = torch.tensor([[[-4.0, 0.0], [0.0, 8.0]]])
    >>> xgrad_cam(activations, gradients)  # the weight is (-4 + 32) / 10
    tensor([[ 2.8000,  5.6000],
            [ 8.4000, 11.2000]])
    """
    total = activations.sum((-2, -1))
    weights = (gradients * activations).sum((-2, -1))
    weights = (weights / total.where(total != 0, total.new_ones(()))).where(total != 0, total.new_zeros(()))
    return weighted_sum(activations, weights).relu()
