"""Whether a tag is the version that the files state: ``python -m tests.release_check v1.2.3``."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def wrong(tag: str, root: Path = ROOT) -> list[str]:
    """What stands in the way of a release under a tag, a line each."""
    said = re.search(
        r'^__version__ = "(.+)"$', (root / "vlx" / "__init__.py").read_text("utf-8"), re.MULTILINE
    )
    version = said[1] if said else "?"
    cited = re.search(r"^version: (.+)$", (root / "CITATION.cff").read_text("utf-8"), re.MULTILINE)
    dated = rf"^## {re.escape(version)} - \d{{4}}-\d\d-\d\d$"
    found = []
    if tag != f"v{version}":
        found.append(f"the tag is {tag!r}, the version in vlx/__init__.py is {version}: tag it v{version}")
    if not cited or cited[1] != version:
        found.append(f"CITATION.cff does not say version: {version}")
    if not re.search(dated, (root / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE):
        found.append(f"CHANGELOG.md has no heading ## {version} - YEAR-MONTH-DAY")
    return found


if __name__ == "__main__":
    lines = wrong(sys.argv[1])
    print("\n".join(lines) or f"{sys.argv[1]} can be released")
    raise SystemExit(bool(lines))
