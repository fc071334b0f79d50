"""The tables and figures of the paper by name, and what each of them asks.

Names are those of the journal's text (IJCV 2019); those of the first version (2016, arXiv 1610.02391v1) are
told beside them, and what only that has keeps its name there.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Named:
    """One table or figure, or a section whose numbers stand in none."""

    name: str
    title: str
    question: str
    older: str = ""
    """What it is called in the first version."""


NAMED = (
    Named(
        "fig1",
        "Fig. 1: support for two classes of one image",
        "Do maps of two classes differ as the classes do?",
        "Figure 1",
    ),
    Named(
        "fig2",
        "Fig. 2: Grad-CAM for any task, one core",
        "Is one map made alike for a class, a caption and an answer, and is it CAM where CAM exists (3.1)?",
        "Figure 2",
    ),
    Named(
        "fig3",
        "Fig. 3: counterfactual explanations",
        "Does what speaks against a class lie on the other class?",
    ),
    Named("table1", "Table 1: localisation", "Does the box of a class's map fit its object?", "Table 1"),
    Named(
        "fig4",
        "Fig. 4 and section 4.2: weakly-supervised segmentation",
        "Do networks that learn from Grad-CAM seeds segment better than from CAM's?",
        "Figure A10",
    ),
    Named(
        "section4.3",
        "Section 4.3, appendix D: the pointing game with reject",
        "Do the likeliest classes point at their objects, or refuse?",
        "Figure A12",
    ),
    Named(
        "fig5",
        "Fig. 5: studies with people",
        "Which of two objects is shown, and which model is more reliable?",
        "Figure 3",
    ),
    Named(
        "table2",
        "Table 2: people and faithfulness",
        "Do people tell classes and models apart, and do maps follow what hiding does?",
    ),
    Named("fig6", "Fig. 6: failure modes", "What did the model see where it was wrong?", "Figure 4"),
    Named("fig7", "Fig. 7: adversarial noise", "Do maps of what is there hold when the model is fooled?"),
    Named("fig8", "Fig. 8: bias in data sets", "Do maps show what a biased model looks at?"),
    Named(
        "fig9", "Fig. 9 and 21: textual explanations", "Do the names of important neurons tell the decision?"
    ),
    Named(
        "fig10",
        "Fig. 10: captions, whole and of regions",
        "Do maps of region captions lie in their boxes (8.1)?",
        "Figure 5",
    ),
    Named("fig11", "Fig. 11: words of captions", "Do maps of words point at their objects (8.1.1)?"),
    Named(
        "fig12", "Fig. 12: answers", "Do maps of answers agree with people and with hiding (8.2)?", "Figure 6"
    ),
    Named("table3", "Table 3: ablations", "What do the choices in Grad-CAM change?", "Table A1"),
    Named("fig13", "Fig. 13: layers of VGG-16", "At which layer do maps localise?", "Figure A5"),
    Named(
        "fig14",
        "Fig. 14: layers of AlexNet",
        "At which layer do maps of another network localise?",
        "Figure A6",
    ),
    Named(
        "fig15",
        "Fig. 15: average or max pooling of gradients",
        "Does the mean of gradients matter?",
        "Figure A8",
    ),
    Named("fig16", "Fig. 16: the ReLU's backward pass", "Do guided rules change the maps?", "Figure A9"),
    Named("fig17", "Fig. 17: random images", "What do maps of randomly drawn images show?", "Figure A1"),
    Named("fig18", "Fig. 18: captions in pixels", "What do pixel-space maps of captions show?", "Figure A2"),
    Named(
        "fig19",
        "Fig. 19: one answer by several CNNs",
        "Do models with other CNNs look elsewhere?",
        "Figure A3",
    ),
    Named(
        "fig20", "Fig. 20: true classes by all methods", "What do maps of true classes show?", "Figure A11"
    ),
    Named(
        "fig22",
        "Fig. 22, appendix G: residual networks",
        "Where over the depth of a ResNet do maps fail?",
        "Figure A13",
    ),
    Named(
        "figA4", "Fig. A4 of 2016: occlusion by mask size", "Does the side of the mask matter?", "Figure A4"
    ),
    Named("figA7", "Fig. A7 of 2016: ReLU and absolute gradients", "Do they matter to the eye?", "Figure A7"),
    Named(
        "beyond", "Abstract and conclusion: beyond images", "Do maps of an agent's acts and of clips point?"
    ),
)


def named(name: str) -> Named:
    """A table or figure by its name."""
    return next(one for one in NAMED if one.name == name)
