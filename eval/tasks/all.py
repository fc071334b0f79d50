"""The evaluations there are."""

from vlx.eval.tasks.attention import ATTENTION
from vlx.eval.tasks.boxes import BOXES
from vlx.eval.tasks.evaluator import Evaluator
from vlx.eval.tasks.occlusion import OCCLUSION
from vlx.eval.tasks.pointing import POINTING
from vlx.eval.tasks.sanity import SANITY

EVALUATORS: tuple[Evaluator, ...] = (BOXES, POINTING, ATTENTION, OCCLUSION, SANITY)
