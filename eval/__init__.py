"""All that measures: scores of maps as pure functions on arrays, and evaluations over data sets.

Its rooms, each of which knows only those before it: ``measures`` on arrays, ``baselines`` (methods kept apart
from those of vlx), ``data`` that reads files,
``items`` to be scored, ``tasks`` (the evaluations), ``runs`` of them, and the ``page``.

`evaluate` scores methods on a model in hand, in memory. ``vlx evaluate`` runs an evaluation by name, and
goes on where it was stopped; with a model of your own::

    from pathlib import Path
    from vlx.eval.runs.evaluate import evaluate
    from vlx.eval.runs.request import Request
    from vlx.eval.tasks.boxes import BOXES

    evaluate(BOXES, Request("mine", data="coco/"), Path("runs/boxes"), model)
"""

if __name__ != "vlx.eval":
    raise ImportError("import vlx.eval, not eval: a second copy would make second classes")

from vlx.eval.runs.in_memory import evaluate

__all__ = ["evaluate"]
