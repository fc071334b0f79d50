"""What a model needs to have to be explained, call by call."""

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from PIL import Image

from vlx.passes.forward import Pass


@runtime_checkable
class Captioner(Protocol):
    """What `explain_caption` needs: reads given captions, and writes its own."""

    def read(self, images: Sequence[Image.Image], captions: Sequence[str]) -> Pass:
        """Score every word of the given captions in one differentiable run."""
        ...

    def generate(self, images: Sequence[Image.Image], beam: int = 1) -> list[str]:
        """Write one caption for each image."""
        ...


@runtime_checkable
class OwnReader(Protocol):
    """What spares `explain_caption` a second look at the image where no caption is given."""

    def read_own(self, images: Sequence[Image.Image], beam: int | None = None) -> Pass:
        """What `read` gives of the captions that `generate` writes, from one run of the CNN."""
        ...


@runtime_checkable
class Reads(Protocol):
    """What `explain_caption` needs where the caption is given."""

    @property
    def read(self) -> Callable[..., Pass]:
        """Takes images and captions, and scores every word in one differentiable run."""
        ...


@runtime_checkable
class Answerer(Protocol):
    """What `explain_answer` needs: scores all its answers to a question."""

    def read(self, images: Sequence[Image.Image], questions: Sequence[str]) -> Pass:
        """Score every answer in one differentiable run."""
        ...


@runtime_checkable
class Responder(Protocol):
    """What `explain_answer` needs of a model that writes its answers; such a model also captions."""

    def read(
        self, images: Sequence[Image.Image], captions: Sequence[str], prompts: Sequence[str] | None = None
    ) -> Pass:
        """Score every word of the given texts, each after its prompt, in one differentiable run."""
        ...

    def respond(self, images: Sequence[Image.Image], prompts: Sequence[str], beam: int = 1) -> list[str]:
        """Write one answer to a prompt for each image."""
        ...


@runtime_checkable
class Matcher(Protocol):
    """What `explain_match` needs: scores how well texts fit an image."""

    def compare(self, images: Sequence[Image.Image], texts: Sequence[str]) -> Pass:
        """Score every text for each image in one differentiable run."""
        ...


@runtime_checkable
class ImageClassifier(Protocol):
    """What `explain_label` needs: scores all its classes."""

    def read(self, images: Sequence[Image.Image]) -> Pass:
        """Score every class in one differentiable run."""
        ...
