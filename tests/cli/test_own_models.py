"""The documents' adapters on the command line and in evaluations, and errors in code of the user's own."""

import json
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet
import pytest

import vlx
from tests.conftest import Run
from vlx.cli.app import main
from vlx.errors import VlxError
from vlx.eval.items.models import networks, shuffled, type_of

ROOT = Path(__file__).parents[2]

NET = """
from torch import nn
class Net(nn.Module):
    def __init__(self, words):
        super().__init__()
        self.cnn = nn.Sequential()
        self.cnn.add_module("layer4", nn.Sequential(nn.Conv2d(3, 8, 7, 16), nn.ReLU()))
        self.emb, self.fc = nn.Embedding(words, 8), nn.Linear(8, words)
        self.rnn = nn.GRU(8, 8, batch_first=True)
    def forward(self, x, ids):
        return self.fc(self.rnn(self.emb(ids) + self.cnn(x).mean((2, 3))[:, None])[0])
def captioner(words=WORDS):
    torch.manual_seed(0)
    return MyCaptioner(Net(len(words)), words)
"""


def blocks(name: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def desk(tmp_path: Path, held_out: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the documents' adapters in my_models.py, and a photo."""
    photo = min((held_out / "images").glob("*.jpg"))
    (tmp_path / "photo.jpg").write_bytes(photo.read_bytes())
    (own,) = [block for block in blocks("README.md") if "class MyCaptioner" in block]
    known = vlx.load("scenes/captioner").vocabulary.names
    words = f"WORDS = {['<s>', *(word for word in known if word.isalpha())]!r}\n"
    guide = "".join(blocks("docs/extending/adapter.md"))
    code = f"photo = {str(photo)!r}\n{own}\n{words}{NET}\n{guide}\n" + textwrap.dedent("""
        def below():
            torch.manual_seed(0)
            words = ["", "what", "is", "how", "many", "there", "the", "are", "color"]
            return MyVqaBelow(Answers(9, 3), words, ["yes", "no", "red"])
        """)
    write(tmp_path, "my_models", code, monkeypatch)
    return tmp_path


def write(folder: Path, name: str, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / f"{name}.py").write_text(code, encoding="utf-8")
    monkeypatch.chdir(folder)
    monkeypatch.delitem(sys.modules, name, raising=False)


def rows(out: str) -> list[str]:
    return [line.split()[0] for line in out.splitlines()[2:]]


@pytest.mark.usefixtures("desk")
def test_the_readmes_captioner_explains_a_caption(run: Run) -> None:
    model = "python:my_models:captioner"
    status, out, err = run(
        "caption", "photo.jpg", "--model", model, "--caption", "A dog, on the grass.", "--out", "o"
    )
    assert (status, err) == (0, "")
    assert rows(out) == ["a", "dog", "on", "the", "grass", "caption"]
    assert json.loads(next(Path("o").glob("*.json")).read_text())["words"] == [
        "a",
        "dog",
        "on",
        "the",
        "grass",
    ]
    status, _, err = run("caption", "photo.jpg", "--model", model, "--caption", "a zzebra")
    assert status == 1
    assert re.fullmatch(r"vlx: the model knows no word 'zzebra' among its \d+; near names: .*zebra.*\n", err)
    status, _, err = run("caption", "photo.jpg", "--model", model)
    assert status == 1
    assert re.fullmatch(r"vlx: photo.jpg: my_models.py:\d+: NotImplementedError: give a caption\n", err)


@pytest.mark.usefixtures("desk")
def test_the_guides_vqa_model_and_responder_answer(run: Run) -> None:
    for name, method in (("vqa", "grad_cam"), ("below", "guided_grad_cam")):
        asked = (
            "vqa",
            "photo.jpg",
            "What is this?",
            "--model",
            f"python:my_models:{name}",
            "--method",
            method,
        )
        assert run(*asked)[0] == 0
    asked = ("vqa", "photo.jpg", "what is this", "--model", "python:my_models:responder")
    status, out, _ = run(*asked, "--answer", "a dog", "--answer", "zebra")
    assert (status, rows(out)) == (0, ["a", "zebra"])
    assert run(*asked)[0] == 0
    status, out, _ = run("caption", "photo.jpg", "--model", asked[-1], "--prompt", "what is this")
    assert (status, len(rows(out))) == (0, 4)
    status, out, _ = run("caption", "photo.jpg", "--model", asked[-1], "--caption", "a dog")
    assert (status, rows(out)) == (0, ["a", "dog", "caption"])
    status, _, err = run("caption", "photo.jpg", "--model", asked[-1])
    assert (status, err) == (
        1,
        "vlx: MyResponder writes no captions: give one, or use explain_answer or explain_label\n",
    )


@pytest.mark.usefixtures("desk")
def test_the_guides_classifier_at_two_layers(run: Run) -> None:
    asked = (
        "classify",
        "photo.jpg",
        "--model",
        "python:my_models:classifier",
        "--layer",
        "0",
        "--layer",
        "1",
    )
    status, out, _ = run(*asked, "--method", "grad_cam", "--method", "hires_cam")
    assert status == 0
    assert "my classifier" not in out  # one model: nothing to tell apart


@pytest.mark.usefixtures("desk")
def test_a_responder_without_generate_is_asked_no_captions(run: Run) -> None:
    given = ("--model", "python:my_models:responder", "--out", "runs")
    said = "vlx: pointing needs a captioner, and MyResponder is a responder\n"
    assert run("evaluate", "pointing", *given) == (1, "", said)


@pytest.mark.parametrize(
    ("model", "task", "more"),
    [
        ("captioner", "boxes", []),
        ("captioner", "pointing", []),
        ("captioner", "sanity", []),
        ("vqa", "attention", []),
        ("vqa", "sanity", []),
        ("below", "occlusion", ["--window", "112", "--stride", "112"]),
        ("below", "insertion", []),
        ("classifier", "sanity", []),
        ("classifier", "occlusion", ["--window", "32", "--stride", "32"]),
        ("responder", "attention", []),
    ],
)
def test_the_documents_adapters_are_evaluated(
    model: str, task: str, more: list[str], desk: Path, run: Run
) -> None:
    asked = ("evaluate", task, "--model", f"python:my_models:{model}", "--limit", "2", "--out", "runs")
    status, _, err = run(*asked, *more, "--damaged", "1")
    assert status == 0, err
    found = parquet.read_table(desk / "runs" / "results.parquet").to_pylist()
    assert any(row["score"] is not None for row in found) or model == "responder"


LAYERED = """
import my_models
from my_models import *
class Layered(MyVqa):
    def __init__(self, layer):
        super().__init__(Answers(4, 2), ["", "what", "is", "this"], ["dog", "cat"])
        self.layer = layer
    def read(self, images, questions):
        from dataclasses import replace
        return replace(super().read(images, questions), layer=self.layer)
def vqa(layer="cnn"):
    return Layered(layer)
"""


def test_an_adapter_without_at_is_loaded_again(desk: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    write(desk, "layered", LAYERED, monkeypatch)
    asked = ("vqa", "photo.jpg", "what is this", "--answer", "dog", "--out", "o")
    model = ("--model", "python:layered:vqa")
    assert run(*asked, *model, "--layer", "cnn.0", "--layer", "cnn.1")[0] == 0
    assert {json.loads(path.read_text())["provenance"]["layer"] for path in Path("o").glob("*.json")} == {
        "cnn.0",
        "cnn.1",
    }
    status, _, err = run(*asked, "--model", "python:my_models:vqa", "--layer", "cnn.0")
    assert (status, err) == (1, "vlx: python:my_models:vqa takes no layer: let vqa() take it by name\n")


def test_models_that_bear_no_name_are_numbered(desk: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    write(desk, "layered", LAYERED, monkeypatch)
    models = ("--model", "python:layered:vqa", "--model", "python:my_models:vqa")
    status, out, _ = run("vqa", "photo.jpg", "what is this", "--answer", "dog", *models)
    assert status == 0
    assert [line for line in out.splitlines() if line.startswith("photo")] == [
        "photo.jpg (model): what is this",
        "photo.jpg (model (2)): what is this",
    ]


BROKEN = {
    "read": ('self.words["zebra"]', r"photo.jpg: broken.py:\d+: KeyError: 'zebra'"),
    "index": ('["a"].index("zebra")', r"photo.jpg: broken.py:\d+: ValueError: 'zebra' is not in list"),
    "torch": (
        "torch.ones(2, 3) @ torch.ones(2, 3)",
        r"photo.jpg: broken.py:\d+: RuntimeError: mat1 and mat2.*",
    ),
    "assert": ("[][0] if 1 else assert_", r"photo.jpg: broken.py:\d+: IndexError: list index out of range"),
    "file": ('open("none.txt")', r"photo.jpg: broken.py:\d+: FileNotFoundError: .*none.txt'"),
    "none": ("None", "read of Broken gave a NoneType, not a vlx.Pass"),
    "tuple": ("(images, captions)", "read of Broken gave a tuple, not a vlx.Pass"),
}


@pytest.mark.parametrize(("code", "said"), BROKEN.values(), ids=BROKEN.keys())
def test_an_error_in_read_is_one_line(
    code: str, said: str, desk: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = f"""
        import torch
        class Broken:
            words = {{}}
            def read(self, images, captions):
                return {code}
            def generate(self, images, beam=1):
                return ["a dog"] * len(images)
        def model():
            return Broken()
        """
    write(desk, "broken", textwrap.dedent(lines), monkeypatch)
    status, out, err = run("caption", "photo.jpg", "--model", "python:broken:model")
    assert (status, out) == (1, "")
    assert re.fullmatch(f"vlx: ({said})\n", err), err
    status, _, err = run("evaluate", "boxes", "--model", "python:broken:model", "--limit", 1, "--out", "runs")
    assert status == 1
    assert "Traceback" not in err


WRONG = {
    "a text": ('"a dog"', {}, "gave a str for 1 images"),
    "none": ("None", {}, "gave a NoneType for 1 images"),
    "numbers": ("[[1, 2]]", {}, "gave a list for 1 images"),
    "too many": ('["a", "b"]', {}, "gave 2 texts for 1 images"),
    "empty": ('[""]', {}, "the model said nothing"),
    "no beam": ('["a"]', {"--beam": 3}, r"generate of Writes is generate\(images\): it takes no beam"),
}


@pytest.mark.parametrize(("gives", "more", "said"), WRONG.values(), ids=WRONG.keys())
def test_what_generate_gives_is_checked(
    gives: str, more: dict[str, int], said: str, desk: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = f"""
        class Writes:
            def read(self, images, captions): ...
            def generate(self, images):
                return {gives}
        """
    write(desk, "writes", textwrap.dedent(code), monkeypatch)
    asked = [part for pair in more.items() for part in pair]
    status, _, err = run("caption", "photo.jpg", "--model", "python:writes:Writes", *asked)
    assert (status, err.count("\n"), bool(re.search(said, err))) == (1, 1, True), err


MADE = {
    "def model(:\n": "vlx: python:made:model: .*made.py, line 1.*",
    "import nowhere_to_be_found\n": "vlx: python:made:model: No module named 'nowhere_to_be_found'",
    "1 / 0\n": "vlx: made.py:1: ZeroDivisionError: division by zero",
    "def model():\n    return open('weights.pth')\n": "vlx: made.py:2: FileNotFoundError: .*weights.pth'",
    "def model(path): ...\n": "vlx: python:made:model needs path: give a function .*",
    "def model(): ...\n": "vlx: python:made:model gave a NoneType, which has no method read.*",
    "class A:\n    def read(self, i, c): ...\nmodel = A()\n": "vlx: python:made:model is a model itself.*",
    "model = 3\n": "vlx: python:made:model: no function 'model'.*",
    "class model:\n    def read(self, images): ...\n": "vlx: python:made:model does not write captions.*",
}


@pytest.mark.parametrize(("code", "said"), MADE.items())
def test_a_module_that_makes_no_model_is_one_line(
    code: str, said: str, desk: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(desk, "made", code, monkeypatch)
    status, out, err = run("caption", "photo.jpg", "--model", "python:made:model", "--caption", "a")
    assert (status, out) == (1, "")
    assert re.fullmatch(f"{said}\n", err), err


def test_an_error_of_vlx_itself_keeps_its_traceback(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vlx.api.captions.explain", None)
    with pytest.raises(TypeError):
        main(["caption", str(desk / "photo.jpg"), "--caption", "a dog"])


def test_a_text_for_a_model_of_another_kind_is_told(desk: Path, run: Run) -> None:
    status, _, err = run(
        "caption", "photo.jpg", "--model", "python:my_models:vqa", "--caption", "what is this"
    )
    assert (status, err) == (1, "vlx: explain_caption does not fit MyVqa, which reads questions\n")
    status, _, err = run("vqa", "photo.jpg", "a dog", "--model", "python:my_models:captioner")
    assert status == 1
    assert err.startswith("vlx: python:my_models:captioner does not answer questions")
    status, _, err = run("classify", "photo.jpg", "--model", "python:my_models:vqa")
    assert status == 1
    assert err.startswith("vlx: python:my_models:vqa does not classify images")


def test_a_model_is_told_by_what_it_reads() -> None:
    def made(**methods: Any) -> Any:
        return type("Own", (), {name: staticmethod(call) for name, call in methods.items()})()

    assert type_of(made(read=lambda images: 0)) == "classifier"
    assert type_of(made(read=lambda images, questions: 0)) == "vqa"
    assert type_of(made(read=lambda images, captions: 0)) == "captioner"
    assert type_of(made(read=lambda images, texts: 0, generate=lambda images: 0)) == "captioner"
    writes = made(read=lambda i, c, p=None: 0, respond=lambda images, prompts: 0)
    assert type_of(writes) == "responder"
    writes.takes_prompt = False
    assert type_of(writes) == "captioner"
    own = made(read=lambda images, questions: 0)
    own.labels = ["yes", "no"]  # what it calls its answers
    assert type_of(own) == "vqa"
    with pytest.raises(VlxError, match="no read"):
        type_of(made())


def test_networks_are_found_where_adapters_hold_them() -> None:
    import threading

    from torch import nn

    class Holds:
        __slots__ = ("first", "inner", "more")

        def __init__(self) -> None:
            self.first, self.more = nn.Linear(2, 2), {"a": nn.Linear(2, 2), "b": [nn.Linear(2, 2)]}
            self.inner = type("Inner", (), {})()
            self.inner.network = nn.Linear(2, 2)

    assert len(networks(Holds())) == 4
    own = Holds()
    changed = shuffled(own)
    assert not any(mine is theirs for mine, theirs in zip(networks(own), networks(changed), strict=True))
    own.inner.lock = threading.Lock()
    with pytest.raises(VlxError, match="Holds cannot be copied"):
        shuffled(own)


def test_which_file_was_taken_is_one_line(desk: Path) -> None:
    import torch
    from torchvision.models import squeezenet1_1

    state = squeezenet1_1(num_classes=2).state_dict()
    (desk / "trained").mkdir()
    torch.save({"model": state, "ema": state, "epoch": 3}, desk / "trained" / "best.pth")
    torch.save(state, desk / "trained" / "last.pth")
    code = "from vlx.cli.app import main; main()"
    asked = ["classify", "photo.jpg", "--model", "torchvision/squeezenet1_1:trained"]
    done = subprocess.run([sys.executable, "-c", code, *asked], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines() == [
        "vlx: trained holds best.pth and last.pth: best.pth is read",
        "vlx: trained/best.pth holds model and ema: model is read",
    ]


def test_the_captioner_of_the_benchmarks_is_a_model(
    shared_data: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("REAL_CAPTIONER", str(shared_data))
    photo = min((shared_data / "photos").glob("*.jpg"))
    status, out, err = run(
        "caption", photo, "--model", "python:benchmarks.real_captioner:captioner", "--caption", "A dog"
    )
    assert (status, err, rows(out)) == (0, "", ["a", "dog", "caption"])
    monkeypatch.setenv("REAL_CAPTIONER", "nowhere")
    status, _, err = run("caption", photo, "--model", "python:benchmarks.real_captioner:captioner")
    assert (status, err.count("\n")) == (1, 1)
