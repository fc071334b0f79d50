"""The page of evaluations: plots, the best and the worst items, the paper's numbers beside the measured."""
