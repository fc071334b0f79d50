"""What pages are made with: a strict template environment, their parts, what a browser may do with them."""

import hashlib
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Any

from vlx.show.cards import base64_text


def rendered(package: str, name: str, filters: dict[str, Callable[..., Any]], **values: Any) -> str:
    """The page of a template of a package, which may include those of this one.

    Values are escaped unless marked as markup; a missing one is an error.
    """
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("vlx.show")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(filters)
    return environment.get_template(name).render(**values)


@cache
def part(package: str, name: str) -> str:
    """A style or script of a package that a page carries within itself."""
    return files(package).joinpath("templates").joinpath(name).read_text(encoding="utf-8")


def policy(style: str, script: str = "") -> str:
    """What a browser may do with a page: use its one style, run its one script, show its pictures."""
    runs = f"script-src 'sha256-{_sha(script)}'; " if script else ""
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{_sha(style)}'; {runs}"
        "base-uri 'none'; form-action 'none'"
    )


def _sha(text: str) -> str:
    return base64_text(hashlib.sha256(text.encode()).digest())
