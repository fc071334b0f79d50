"""The lowest versions that pyproject.toml allows, as constraints: ``python -m tests.lowest``."""

from pathlib import Path

import tomllib

ROOT = Path(__file__).parents[1]
EXTRAS = ("densecap", "evaluate")
"""The extras that a user's run needs; tools of developers are taken as they are."""


def lowest() -> list[str]:
    """One line for each dependency, ``torch==2.6`` where pyproject.toml has ``torch>=2.6``."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    asked = [*project["dependencies"], *(one for name in EXTRAS for one in extras[name])]
    return [one.replace(">=", "==") for one in asked]


if __name__ == "__main__":
    print("\n".join(lowest()))
