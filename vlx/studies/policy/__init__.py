"""A policy of reinforcement learning: what makes an agent act (paper abstract, conclusion)."""
