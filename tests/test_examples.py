"""The examples in docstrings are run as printed, and what a user calls has one."""

import ast
import doctest
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

import vlx

ROOT = Path(__file__).parents[1]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
SOURCES = sorted(p for folder in ("vlx", "adapters", "eval") for p in (ROOT / folder).rglob("*.py"))
WITH_EXAMPLES = [path for path in SOURCES if ">>>" in path.read_text(encoding="utf-8")]

SHOWN = [
    ROOT / "vlx" / "methods" / "cam.py",
    *sorted((ROOT / "vlx" / "images").glob("*.py")),
    *sorted((ROOT / "eval" / "measures").glob("*.py")),
]
"""Files whose public functions all have an example."""

PROTOCOL = "a protocol: the example of a model of one's own is in README.md, which is run too"
WITHOUT = {
    "Answerer": PROTOCOL,
    "Captioner": PROTOCOL,
    "ImageClassifier": PROTOCOL,
    "Matcher": PROTOCOL,
    "Responder": PROTOCOL,
    "VlxError": "it is caught, not called",
    "explain_match": "no model of texts that fit comes with the package, and one takes more than a few lines",
}
"""What of vlx has no example, and why."""


def module_of(path: Path) -> ModuleType:
    """A source file as it is imported; adapters/ and eval/ are parts of vlx."""
    first, *rest = path.relative_to(ROOT).with_suffix("").parts
    parts = [*(["vlx"] if first != "vlx" else []), first, *rest]
    return importlib.import_module(".".join(part for part in parts if part != "__init__"))


def documented(tree: ast.AST) -> Iterator[tuple[str, int, str]]:
    """Name, line and docstring of everything in a file; read from the text, whatever decorators wrap it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
            yield getattr(node, "name", "the file"), node.body[0].lineno - 1, ast.get_docstring(node) or ""


def failures(tree: ast.AST, known: dict[str, Any], file: str) -> tuple[int, list[str]]:
    """How many examples of a file were run, and what those that failed printed."""
    parser, runner, told = (
        doctest.DocTestParser(),
        doctest.DocTestRunner(verbose=False, optionflags=FLAGS),
        list[str](),
    )
    for name, line, text in documented(tree):
        runner.run(parser.get_doctest(text, known, name, file, line), out=told.append)
    return runner.tries, told


def own_names(module: ModuleType) -> dict[str, Any]:
    """The public functions and classes that a module defines itself, as if they had been imported."""
    found = {name: value for name, value in vars(module).items() if not name.startswith("_")}
    return {
        name: value for name, value in found.items() if getattr(value, "__module__", "") == module.__name__
    }


@pytest.fixture(scope="session")
def at_hand(held_out: Path) -> dict[str, Any]:
    """What an example may use without saying where it comes from."""
    return {
        "vlx": vlx,
        "np": np,
        "torch": torch,
        "photo": min((held_out / "images").iterdir()),
        "captioner": vlx.load("scenes/captioner"),
        "vqa": vlx.load("scenes/vqa"),
    }


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_examples_of_a_file_print_what_they_say(path, at_hand):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    count, told = failures(tree, own_names(module_of(path)) | at_hand, str(path))
    assert count > 0
    assert told == []


def test_an_example_can_fail():
    tree = ast.parse('def f():\n    """It adds.\n\n    >>> 1 + 1\n    3\n    """\n')
    count, (told,) = failures(tree, {}, "a file")
    assert count == 1
    assert "Expected:\n    3\nGot:\n    2\n" in told


def test_everything_that_a_user_calls_has_an_example():
    values = {name: getattr(vlx, name) for name in vlx.__all__}
    called = {name: v for name, v in values.items() if inspect.isroutine(v) or inspect.isclass(v)}
    without = {name for name, value in called.items() if ">>>" not in (value.__doc__ or "")}
    assert without == set(WITHOUT)


@pytest.mark.parametrize("path", SHOWN, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_public_function_of_a_file_has_an_example(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    public = [n for n in tree.body if isinstance(n, ast.FunctionDef) and not n.name.startswith("_")]
    assert [one.name for one in public if ">>>" not in (ast.get_docstring(one) or "")] == []
