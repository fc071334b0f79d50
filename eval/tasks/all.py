"""The evaluations there are."""

from vlx.eval.tasks.accuracy import ACCURACY
from vlx.eval.tasks.area import AREA
from vlx.eval.tasks.attention import ATTENTION
from vlx.eval.tasks.boxes import BOXES
from vlx.eval.tasks.classes_pointing import CLASSES_POINTING, CLASSES_REJECT
from vlx.eval.tasks.erasing import DELETION, INSERTION
from vlx.eval.tasks.evidence import EVIDENCE
from vlx.eval.tasks.hallucination import HALLUCINATION
from vlx.eval.tasks.localisation import LOCALISATION
from vlx.eval.tasks.occlusion import OCCLUSION
from vlx.eval.tasks.pointing import POINTING
from vlx.eval.tasks.sanity import SANITY
from vlx.eval.tasks.seeds import SEEDS
from vlx.eval.tasks.task import Task

TASKS: tuple[Task, ...] = (
    BOXES, POINTING, AREA, ATTENTION, OCCLUSION, SANITY, DELETION, INSERTION, ACCURACY,
    EVIDENCE, HALLUCINATION,
    LOCALISATION, CLASSES_POINTING, CLASSES_REJECT, SEEDS,
)  # fmt: skip
