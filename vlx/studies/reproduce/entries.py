"""Every table and figure of the paper with what makes it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from vlx.studies.found import Findings
from vlx.studies.reproduce import answers, class_figures, classes, core_figures, others, segments, words
from vlx.studies.reproduce.asked import Asked, Needs, Role
from vlx.studies.reproduce.named import Named, named


@dataclass(frozen=True, eq=False)
class Entry:
    """One table or figure, what it needs, and how it is made."""

    of: Named
    needs: tuple[Needs, ...]
    roles: tuple[Role, ...]
    minutes: float
    """About how long it takes on the built-in world, on two cores; for the estimate alone."""
    run: Callable[[Asked], Findings]

    @property
    def name(self) -> str:
        """Its name on the command line."""
        return self.of.name


def _entry(
    name: str, needs: Needs | tuple[Needs, ...], roles: tuple[Role, ...], minutes: float,
    run: Callable[[Asked], Findings],
) -> Entry:  # fmt: skip
    return Entry(named(name), needs if isinstance(needs, tuple) else (needs,), roles, minutes, run)


_CLASSES, _BOXES = classes.CLASSES, classes.BOXES
_BOTH: tuple[Role, ...] = ("classifier", "averaging classifier")
_ONE: tuple[Role, ...] = ("classifier",)

ENTRIES: tuple[Entry, ...] = (
    _entry("fig1", _CLASSES, _BOTH, 0.6, class_figures.discriminative),
    _entry(
        "fig2", (_CLASSES, words.TEXTS, answers.QUESTIONS),
        (*_BOTH, "captioner", "answerer"), 0.1, core_figures.one_core,
    ),
    _entry("fig3", _CLASSES, _ONE, 0.1, core_figures.counterfactual),
    _entry("table1", _BOXES, _BOTH, 0.4, classes.localisation),
    _entry("fig4", _CLASSES, _BOTH, 5.5, segments.segmentation),
    _entry("section4.3", _CLASSES, _ONE, 0.2, classes.reject),
    _entry("fig5", _CLASSES, _ONE, 0.5, partial(others.people, name="fig5")),
    _entry("table2", _CLASSES, _ONE, 1.4, partial(others.people, name="table2")),
    _entry("fig6", (_CLASSES,), _ONE, 0.3, others.failures),
    _entry("fig7", _CLASSES, _ONE, 2.5, others.adversarial),
    _entry("fig8", (), (), 3.0, others.bias),
    _entry("fig9", _CLASSES, _ONE, 0.9, others.neurons),
    _entry("fig10", words.REGION_CAPTIONS, ("captioner",), 2.5, words.regions),
    _entry("fig11", words.WORDS, ("captioner",), 1.3, words.words),
    _entry("fig12", (answers.PEOPLE, answers.QUESTIONS), ("answerer",), 1.6, answers.answers),
    _entry("table3", _BOXES, _ONE, 0.7, classes.ablations),
    _entry("fig13", _CLASSES, _ONE, 0.9, partial(class_figures.layers, name="fig13", role="classifier")),
    _entry(
        "fig14", _CLASSES, ("averaging classifier",), 1.0,
        partial(class_figures.layers, name="fig14", role="averaging classifier"),
    ),
    _entry("fig15", _CLASSES, _ONE, 0.4, class_figures.pooled),
    _entry("fig16", _CLASSES, _ONE, 0.4, class_figures.rules),
    _entry("fig17", _CLASSES, _ONE, 0.4, class_figures.random_images),
    _entry("fig18", (words.REGION_CAPTIONS, words.TEXTS), ("captioner",), 0.3, words.captions_in_pixels),
    _entry("fig19", answers.QUESTIONS, ("answerer",), 0.1, others.several_cnns),
    _entry("fig20", _CLASSES, _ONE, 0.5, class_figures.true_classes),
    _entry("fig22", _CLASSES, ("averaging classifier",), 1.2, others.residual),
    _entry("figA4", _CLASSES, _ONE, 0.9, class_figures.mask_sizes),
    _entry("figA7", _CLASSES, _ONE, 0.5, class_figures.rectified),
    _entry("beyond", (), (), 4.0, others.beyond),
)  # fmt: skip
"""In the order of the paper's text."""
