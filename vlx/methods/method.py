"""What a method is: how a score becomes a map, as a value.

A method has a map on the feature grid (``cam``), a rule for gradients at the pixels (``rule``), or
both; with both, the map is laid over the pixels and multiplied in (Guided Grad-CAM, paper 3.1). Or it
has ``windows`` to hide or reveal, or ``bands``, and needs neither features nor gradients.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from vlx.methods.fusion import Fuse
from vlx.methods.guided import Rule
from vlx.methods.occlusion.bands import Bands
from vlx.methods.occlusion.windows import Windows
from vlx.methods.path import Path
from vlx.methods.perturbed import Perturbed

plain_rule = Rule("plain", lambda grad_input, _grad_output: grad_input)
"""The true gradient; nothing is rewritten."""


@dataclass(frozen=True)
class Method:
    """A way to explain a score; ``cam`` maps (activations, gradients) to a map on the grid.

    >>> mine = vlx.Method("mine", lambda activations, gradients: (activations * gradients).sum(-3))
    >>> vlx.explain_caption(captioner, photo, "a dog", method=mine).provenance.method
    'mine'
    """

    name: str
    cam: Callable[[Tensor, Tensor], Tensor] | None = None
    rule: Rule | None = None
    windows: Windows | None = None
    needs_mean_only: bool = False
    """Whether ``cam`` takes of the gradients only their mean over places."""
    perturbed: Perturbed | None = None
    """Maps of an item's targets from changed images or features, which are scored anew, or from what a Pass
    has beside gradients."""
    path: Path | None = None
    """The path along which gradients are averaged; ``cam`` is then given what the features differ by from
    those at its start, in the place of activations."""
    bands: Bands | None = None
    """Bands of the image to show, row by row and column by column."""
    rule_above: Rule | None = None
    """The rule by which ReLUs above the layer pass on the gradients that ``cam`` is given."""
    fuse: Fuse | None = None
    """Makes one map of those that ``cam`` makes at several layers, which a Pass of `vlx.at_layers` holds."""

    @property
    def sees_blank(self) -> bool:
        """Whether it finds by itself what the score is where nothing is seen (`Explained.blank`)."""
        revealing = self.windows is not None and self.windows.what != "hide"
        return self.path is not None or self.bands is not None or revealing

    @property
    def guidance(self) -> Rule | None:
        """The rule that rewrites ReLUs, if any."""
        return None if self.rule is plain_rule else self.rule
