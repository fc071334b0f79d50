"""The evaluations there are."""

from vlx.evaluation.attention import ATTENTION
from vlx.evaluation.boxes import BOXES
from vlx.evaluation.evaluator import Evaluator
from vlx.evaluation.occlusion import OCCLUSION
from vlx.evaluation.pointing import POINTING
from vlx.evaluation.sanity import SANITY

EVALUATORS: tuple[Evaluator, ...] = (BOXES, POINTING, ATTENTION, OCCLUSION, SANITY)
