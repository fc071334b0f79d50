"""Property tests of evaluators: the same examples in every run, and no limit on a slow machine."""

from hypothesis import settings

settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")
