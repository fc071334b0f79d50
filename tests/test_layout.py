"""The rules of the checkout: links, imports, sizes, and tests that can fail."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from tests import architecture

ROOT = Path(__file__).parents[1]
SOURCES = sorted(p for folder in ("vlx", "adapters", "eval") for p in (ROOT / folder).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))
MODULES = ("transformers", "pycocotools", "matplotlib", "typer", "jinja2")


@pytest.mark.parametrize("name", ["adapters", "eval"])
def test_each_link_is_the_real_folder(name):
    assert (ROOT / "vlx" / name).samefile(ROOT / name)


@pytest.mark.parametrize("name", ["adapters", "eval"])
def test_a_second_copy_cannot_be_imported(name, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(ImportError, match=f"import vlx.{name}"):
        importlib.import_module(name)


def imported(code: str) -> set[str]:
    """Which of the heavy modules a fresh interpreter holds after some code."""
    told = f"{code}\nimport sys; print(*[m for m in {MODULES!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.split())


def test_importing_vlx_imports_nothing_heavy():
    assert imported("import vlx") == set()


def test_naming_the_models_imports_nothing_heavy():
    assert imported("import vlx; vlx.known_models()") == set()


def test_the_import_check_can_fail():
    assert imported("import vlx, jinja2") == {"jinja2"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_source_file_fits_in_the_head(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 320
    assert "from __future__ import annotations" not in text


def silent(tree: ast.AST) -> list[int]:
    """Lines that compare two things and throw the answer away."""
    return [n.lineno for n in ast.walk(tree) if isinstance(n, ast.Expr) and isinstance(n.value, ast.Compare)]


def checks_something(function: ast.FunctionDef) -> bool:
    for node in ast.walk(function):
        if isinstance(node, ast.Assert):
            return True
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name.rpartition(".")[2].startswith(("assert", "raises", "check", "warns", "test_")):
                return True
    return False


@pytest.mark.parametrize("path", TESTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_test_can_fail(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert silent(tree) == []
    tests = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name.startswith("test_")]
    assert [test.name for test in tests if not checks_something(test)] == []


def test_the_check_of_tests_can_fail():
    tree = ast.parse("def test_x():\n    1 == 2\n")
    assert silent(tree) == [2]
    assert not checks_something(tree.body[0])


@pytest.fixture(scope="module")
def imports():
    return architecture.graph()


def test_no_files_import_one_another_in_a_circle(imports):
    found = list(architecture.pairs(imports))
    assert ("vlx.explain", "vlx.passes.forward") in found
    assert architecture.circles(found) == []


def test_the_check_of_circles_can_fail():
    assert architecture.circles([("a", "b"), ("b", "c"), ("c", "a"), ("c", "d")]) == [["a", "b", "c"]]


def test_every_file_has_a_room_and_arrows_point_down(imports):
    rooms = {name: architecture.room(name) for name in imports.modules}
    doors = {"vlx", "vlx.adapters", "vlx.eval"}
    assert {name for name, room in rooms.items() if room is None} == doors
    row = {name: row for name, (_, row) in architecture.ROOMS.items()}
    assert [(a, b) for a, b in architecture.corridors(imports) if row[a] >= row[b]] == []


def test_the_document_shows_the_tree_as_it_is(imports):
    page = architecture.PAGE.read_text(encoding="utf-8")
    assert page == architecture.with_tree(page), "run python -m tests.architecture"
    assert architecture.PICTURE.read_text(encoding="utf-8") == architecture.picture(imports)
