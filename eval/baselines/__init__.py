"""Methods that are kept apart from those of vlx, as baselines to compare with: patented ones.

>>> from vlx.eval.baselines import c_mwp
>>> c_mwp.name
'c_mwp'
"""

from vlx.eval.baselines.excitation import LAYERS, NOTICE, c_mwp, mwp, notice_of

__all__ = ["LAYERS", "NOTICE", "c_mwp", "mwp", "notice_of"]
