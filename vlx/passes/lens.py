"""What a language model makes of the tokens that stand for an image: read as words, they need no gradient."""

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Lens:
    """Hidden states of the last layer, as the vocabulary layer takes them in, and its rows.

    For models that read image tokens and words in one sequence. Nothing of it is recorded for gradients.
    """

    image: Float[Tensor, "batch row col channel"]
    """Those of the image tokens, where they lie."""
    text: Float[Tensor, "batch token channel"]
    """Those of all tokens of the sequence."""
    ids: Int[Tensor, "batch token"]
    """The token that stands there; -1 for what is no word, images, signs and padding, and all in front of
    the image."""
    last: Int[Tensor, "batch step"]
    """The last token of the sequence that is known at each step of the scores."""
    words: Float[Tensor, "choice channel"]
    """The weights of the vocabulary layer."""
