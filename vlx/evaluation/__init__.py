"""Evaluate explanations over a data set: items in, rows of scores with controls out, then summaries.

``vlx evaluate`` does this by name; with a model of your own::

    from pathlib import Path
    from vlx.evaluation.boxes import BOXES
    from vlx.evaluation.launch import Request, launch

    launch(BOXES, Request("mine", data="coco/"), Path("runs/boxes"), model)
"""
