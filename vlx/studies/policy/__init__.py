"""Why does an agent act so? Maps of a policy network that learnt from pixels and rewards alone."""

from vlx.studies.policy.agents import player, shipped_agent
from vlx.studies.policy.explaining import explain_actions
from vlx.studies.policy.orchard import Orchard

__all__ = ["Orchard", "explain_actions", "player", "shipped_agent"]
