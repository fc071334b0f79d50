"""Load a model by its name. Together with the command line, the place that knows all models."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vlx.asking import at_layers
from vlx.errors import VlxError, near_names

if TYPE_CHECKING:
    from vlx.adapters.parts.family import Family


def known_models() -> Mapping[str, str]:
    """The names that `load` takes, with a line on each.

    >>> list(vlx.known_models())[:2]
    ['scenes/captioner', 'scenes/vqa']
    """
    return {form: line for family in _families() for form, line in family.forms.items()}


def load(name: str, *, layer: str | int | Sequence[str | int] | None = None, device: str = "cpu") -> Any:
    """Load a captioner, a VQA model or a classifier by name; see `known_models`.

    ``layer`` overrides the model's default layer, by dotted name or index, or by where it stands: "last/2" is
    the last block with twice the rows and columns of the default, "last"; see `choose_layer`. Of several in
    a list the model is explained at all of them by methods that fuse their maps; see `at_layers`. Raises
    VlxError for an unknown name, LayerError for an unknown layer, CheckpointError for a bad weight file.

    >>> model = vlx.load("scenes/captioner")
    >>> vlx.explain_caption(model, photo, "a traffic light").words
    ('a', 'traffic', 'light')
    """
    family = next((family for family in _families() if family.takes(name)), None)
    if family is None:
        raise VlxError(f"no model {name!r}{near_names(name.partition(':')[0], known_models())}")
    if device == "auto" and not family.spreads:
        raise VlxError(f"device auto spreads a model of transformers (hf:…), not {name}: use cpu, cuda, mps")
    own = name.removeprefix(family.prefix)
    if layer is None or isinstance(layer, str | int):
        return family.open(own, layer=layer, device=device)
    return at_layers(family.open(own, layer=None, device=device), layer)


def _families() -> "tuple[Family, ...]":
    # Imported here, since the code of all families takes long to import.
    from vlx.adapters.catalogue import FAMILIES
    from vlx.scenes.models import SCENES

    return (*SCENES, *FAMILIES)
