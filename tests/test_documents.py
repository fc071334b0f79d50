"""Every block of every README runs: Python as printed, lines of the shell through the command line."""

import importlib
import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
import typer.main
from click.testing import CliRunner
from PIL import Image

import vlx
from tests.adapters.huggingface import tiny
from tests.conftest import Run
from vlx.adapters.huggingface import wrap
from vlx.cli.app import app

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    path
    for folder in (".", "adapters", "eval", "notebooks", "benchmarks", "docs", "docs/extending")
    for path in sorted((ROOT / folder).glob("*.md"))
    if path.name != "CHANGELOG.md"
]
READMES = [path for path in DOCUMENTS if path.name == "README.md"]
GUIDES = [path for path in DOCUMENTS if path.parent.name == "extending"]  # their Python: tests/test_guides.py


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(path: Path, kind: str) -> list[str]:
    """The blocks of a document that are fenced as of a kind; "" are those without one."""
    text = path.read_text(encoding="utf-8")
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [block for of, block in found if of == kind]


def shell_lines(word: str) -> list[str]:
    """The lines in plain blocks that call a program, without what they say of themselves."""
    lines = [line for path in READMES + GUIDES for block in blocks(path, "") for line in block.splitlines()]
    return [re.sub(r"\s+#.*", "", line) for line in lines if line.startswith(f"{word} ")]


@pytest.fixture
def desk(tmp_path: Path, held_out: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the files that the examples name; photo.jpg holds a dog."""
    said = json.loads((held_out / "captions.json").read_text())["annotations"]
    files = {
        one["id"]: one["file_name"] for one in json.loads((held_out / "captions.json").read_text())["images"]
    }
    names = dict.fromkeys(files[one["image_id"]] for one in said if "dog" in one["caption"].split())
    model = vlx.load("scenes/captioner")
    seen = ((name, vlx.open_image(held_out / "images" / name)) for name in names)
    dog = next(name for name, photo in seen if model.generate([photo])[0].split().count("dog") == 1)
    shutil.copy(held_out / "images" / dog, tmp_path / "photo.jpg")
    shutil.copy(held_out / "images" / dog, tmp_path / "other.jpg")
    (tmp_path / "coco").symlink_to(held_out, target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def small(name: str, **_settings: Any) -> Any:
    """A tiny model of the class that a name of the documents is of."""
    made = {
        "blip-image-captioning-base": tiny.blip,
        "llava-1.5-7b-hf": tiny.llava,
        "clip-vit-base-patch32": tiny.clip,
    }
    build = made[name.rpartition("/")[2]]
    model, processor = build()
    return wrap(model, processor)


def test_every_block_is_of_a_kind_that_is_run() -> None:
    fences = [
        line
        for path in READMES + GUIDES
        for line in re.findall(r"^```.*", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert set(fences) == {"```", "```python"}
    plain = [line for path in READMES + GUIDES for block in blocks(path, "") for line in block.splitlines()]
    assert [line for line in plain if not line.startswith(("vlx ", "make ")) and line] == []


@pytest.mark.parametrize("path", READMES, ids=named)
def test_the_python_of_a_readme_runs(path: Path, desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From top to bottom; models that would be downloaded are tiny ones of their class."""
    torch.manual_seed(0)
    shown: list[Image.Image] = []
    monkeypatch.setattr(Image.Image, "show", lambda self, *_: shown.append(self))
    load = vlx.load
    monkeypatch.setattr(
        vlx, "load", lambda name, **more: (small if name.startswith("hf:") else load)(name, **more)
    )
    net, x = torchvision.models.resnet18(num_classes=10), torch.randn(2, 3, 128, 192)  # a reader's own
    space: dict[str, Any] = {"vlx": vlx, "torch": torch, "net": net, "x": x}
    found = blocks(path, "python")
    assert found
    for block in found:
        exec(compile(block, named(path), "exec"), space)
    assert bool(shown) == (".show()" in "".join(found))
    if path == ROOT / "README.md":
        assert {one.name for one in (desk / "out").iterdir()} == {
            "photo.png",
            "photo.json",
            "photo.npz",
            "dog.pdf",
        }


@pytest.mark.parametrize("line", shell_lines("vlx"))
def test_the_command_line_takes_a_line_of_the_documents(line: str, desk: Path) -> None:
    command = typer.main.get_command(app)
    called: list[str] = []

    def quieten(one: Any) -> None:
        for name, inner in getattr(one, "commands", {}).items():
            quieten(inner)
            if not getattr(inner, "commands", {}):
                inner.callback = lambda name=name, **_given: called.append(name)

    quieten(command)
    result = CliRunner().invoke(command, shlex.split(line)[1:])
    assert (result.exit_code, len(called)) == (0, 1), result.output


ELSEWHERE = (
    "--model|inspect|(check|layers) torchvision|evaluate (all|methods|ablations|layers)|train|study|plan|"
    "reproduce (all|fig|table)"
)
"""No file of theirs is here, or they take long; other tests have them."""
RUN = [line for line in shell_lines("vlx") if not re.search(ELSEWHERE, line)]


def test_most_lines_need_no_download() -> None:
    assert len(RUN) >= 7


@pytest.mark.parametrize("line", RUN)
@pytest.mark.usefixtures("desk")
def test_a_line_that_needs_no_download_runs(line: str, run: Run) -> None:
    fewer = re.sub(r" --limit \d+", "", line) + " --limit 2" if " evaluate " in line else line
    status, out, err = run(*shlex.split(fewer)[1:])
    assert (status, bool(out)) == (0, True), err


def test_every_target_of_make_exists() -> None:
    known = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    texts = [path.read_text(encoding="utf-8") for path in DOCUMENTS]
    asked = [name for text in texts for name in re.findall(r"(?:`|^)make ([a-z-]+)", text, re.MULTILINE)]
    assert asked
    assert [name for name in asked if name not in known] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_what_a_document_names_of_vlx_exists(path: Path) -> None:
    """Names in code marks: attributes of vlx, its modules, and keywords of what is called there."""
    marked = " ".join(re.findall(r"`([^`\n]+)`", path.read_text(encoding="utf-8")))
    for name in sorted(set(re.findall(r"\bvlx(?:\.[A-Za-z_]+)+", marked))):
        assert _found(name), name
    for name, given in re.findall(r"\b(?:vlx\.)?([A-Z][a-z]+)\(([^()]*)\)", marked):
        there = getattr(vlx, name, None)
        keywords = re.findall(r"(\w+)=", given)
        if there is not None and keywords:
            assert set(keywords) <= set(there.__dataclass_fields__), (name, keywords)


def _found(name: str) -> bool:
    """Whether a name can be reached by attributes of vlx, or of a module, as that which a function hides."""
    parts = name.split(".")
    for at in range(len(parts), 0, -1):
        try:
            held: Any = importlib.import_module(".".join(parts[:at]))
        except ImportError:
            continue
        for part in parts[at:]:
            if not hasattr(held, part):
                return False
            held = getattr(held, part)
        return True
    return False
