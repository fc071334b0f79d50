"""Image tokens read as words: the logit lens, what earlier words add taken off, smoothed by ranks.

Token activation maps (TAM, ICCV 2025, arXiv 2506.23270) need one forward and no gradient. They are a
baseline: hidden states at an image token need not be about that place.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import pad

from vlx.errors import VlxError
from vlx.methods.method import Method
from vlx.methods.rescoring import Targets
from vlx.passes.forward import Pass
from vlx.passes.lens import Lens

Map = Float[Tensor, "row col"]
SIDE = 3
"""Of the window that is sorted."""


@dataclass(frozen=True)
class LogitLens:
    """The positive part of the logit of a token at each image token of the last layer."""

    interference: bool = False
    """Whether what earlier tokens of the text explain is taken off: see `less_interference`."""
    ranked: bool = False
    """Whether the map is smoothed by `rank_filter`."""

    def __call__(self, passed: Pass, position: int, targets: Targets) -> Float[Tensor, "target row col"]:
        """The maps of an item's targets, each the sum of those of its tokens with their weights.

        Raises VlxError for a model that does not read image tokens beside its words.
        """
        lens = _lens_of(passed)
        made: dict[tuple[int, int], Map] = {}
        for term in (term for target in targets for term in target):
            at = (term.step, term.choice)
            if at not in made:
                made[at] = self._of_token(lens, position, *at)
        nothing = lens.image.new_zeros(lens.image.shape[1:3], dtype=torch.float32)
        sums = [
            sum((one.weight * made[one.step, one.choice] for one in all_of), nothing) for all_of in targets
        ]
        return torch.stack(sums)

    def _of_token(self, lens: Lens, position: int, step: int, choice: int) -> Map:
        found = _of_tokens(lens, position, torch.tensor([choice]))[0]
        if self.interference:
            found = less_interference(lens, position, found, step, choice)
        return rank_filter(found) if self.ranked else found


def _lens_of(passed: Pass) -> Lens:
    if passed.lens is None:
        raise VlxError(
            f"{passed.model} has no image tokens, one for each place, beside the words of a language model: "
            "use a method on features, such as grad_cam"
        )
    return passed.lens


def less_interference(lens: Lens, position: int, own: Map, step: int, choice: int) -> Map:
    """What is left of the map A of a token without what the earlier tokens of the text explain.

    That is ReLU(A - s I), where I is the mean of the maps of the earlier tokens that are not the same, each
    weighted by r = ReLU(its own hidden state · the row of this token), and s = <A, I> / <I, I>.
    """
    ids = lens.ids[position, : int(lens.last[position, step]) + 1]
    earlier = ((ids >= 0) & (ids != choice)).nonzero()[:, 0]
    if not len(earlier):
        return own
    said = lens.text[position, earlier].float()
    relevance = (said @ lens.words[choice].to(said)).relu()
    if not relevance.any():
        return own
    maps = _of_tokens(lens, position, ids[earlier])
    mixed = torch.einsum("k,kij->ij", relevance / relevance.sum(), maps)
    size = mixed.square().sum()
    share = (own * mixed).sum() / size if size > 0 else 0.0
    return (own - share * mixed).relu()


def rank_filter(found: Map) -> Map:
    """The mean of the 3 x 3 places around each, weighted by how near their ranks are to the middle one.

    A rank that is d from the median has the weight exp(-d² / 2σ²), where σ is the standard deviation of the
    window over its mean: where values are alike it is their median. The map is mirrored at its edges.
    Where the mean is not positive, the value is 0.
    """
    mode = "reflect" if min(found.shape) > SIDE // 2 else "replicate"
    around = pad(found.double()[None, None], (SIDE // 2,) * 4, mode=mode)[0, 0]
    window = around.unfold(0, SIDE, 1).unfold(1, SIDE, 1).flatten(2).sort(-1).values
    mean = window.mean(-1, keepdim=True)
    spread = (window.std(-1, correction=0, keepdim=True) / mean.where(mean > 0, 1.0)).clamp(min=1e-6)
    distance = torch.arange(SIDE**2, device=found.device) - SIDE**2 // 2
    weights = (-(distance**2) / (2 * spread**2)).exp()
    smooth = (weights * window).sum(-1) / weights.sum(-1)
    return smooth.where(mean[..., 0] > 0, 0.0).to(found.dtype)


def _of_tokens(lens: Lens, position: int, ids: Int[Tensor, " token"]) -> Float[Tensor, "token row col"]:
    rows = lens.words[ids.to(lens.words.device)].float()
    return torch.einsum("ijc,kc->kij", lens.image[position].float(), rows.to(lens.image.device)).relu()


logit_lens = Method("logit_lens", perturbed=LogitLens())
token_activation_map = Method("token_activation_map", perturbed=LogitLens(interference=True, ranked=True))


def logit_lens_with(*, interference: bool = False, ranked: bool = False) -> Method:
    """Image tokens read as words, for models that have them in the text of a language model (LLaVA, Qwen-VL).

    The positive part of a token's logit at each; ``interference`` takes off what earlier tokens explain,
    ``ranked`` smooths by ranks in windows of 3 x 3, and both together are `token_activation_map` (TAM, ICCV
    2025, arXiv 2506.23270). No gradient and no other run; a baseline, whose places need not be the image's.

    >>> vlx.logit_lens_with(ranked=True).name
    'logit_lens_ranked'
    """
    if interference and ranked:
        return token_activation_map
    name = "logit_lens" + "_less_earlier" * interference + "_ranked" * ranked
    return Method(name, perturbed=LogitLens(interference, ranked))
