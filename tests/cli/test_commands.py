"""The command line: what it prints and writes, and one line for everything that goes wrong."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import vlx
from tests.conftest import Run
from tests.explained import answers, caption, photo
from tests.explained import told as told_of
from vlx import load_explanation
from vlx.adapters.nets.question import QuestionNetwork
from vlx.adapters.nets.recurrent import caption_network
from vlx.adapters.nets.vgg import VggLike
from vlx.adapters.parts.captioner import CNNLSTMCaptioner
from vlx.adapters.parts.deeper_lstm import DeeperLSTM
from vlx.adapters.parts.vocabulary import Vocabulary, treebank_tokens
from vlx.cli import explaining
from vlx.cli.app import app, main
from vlx.images.preprocess import Preprocess, Squash
from vlx.scenes.training import stages

PREPROCESS = Preprocess(Squash((32, 32)))
LAYER = "features.4"


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    photo().save(path)
    return path


@pytest.fixture
def small_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small models on fixed random weights under the names of the built-in ones."""
    torch.manual_seed(0)
    cnn = VggLike([6, "M", 8], (12, 10))
    names = ["END", "a", "dog", "cat", "on", "grass", "UNK"]
    words = Vocabulary(names, 0, 0, unknown=6)
    network = caption_network(cnn, 10, len(names), embedding=9, hidden=8).eval()
    network.vocabulary.bias.data[0] = -5  # so that it does not stop at once
    captioner = CNNLSTMCaptioner(network, words, PREPROCESS, layer=LAYER, steps=4)
    asked = Vocabulary(["is", "it", "?", "UNK"], 0, 0, unknown=3, tokenise=treebank_tokens)
    question = QuestionNetwork(cnn, 10, 4, 3, embedding=5, hidden=6, joint=7).eval()
    vqa = DeeperLSTM(question, asked, ["yes", "no", "red"], PREPROCESS, layer=LAYER)
    known = {"scenes/captioner": captioner, "scenes/vqa": vqa}

    def load(name: str, **_settings: object) -> object:
        return known[name]

    monkeypatch.setattr(sys.modules["vlx.load"], "load", load)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of a torchvision classifier of three named classes on fixed random weights."""
    from torchvision.models import squeezenet1_1

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "small.pth"
    torch.save(squeezenet1_1(num_classes=3).state_dict(), path)
    path.with_suffix(".labels.txt").write_text("tabby cat\nboxer\ntiger\n", encoding="utf-8")
    return f"torchvision/squeezenet1_1:{path}"


def _one_line(err: str) -> str:
    assert err.startswith("vlx: ")
    assert err.endswith("\n")
    assert err.count("\n") == 1
    assert "Traceback" not in err
    return err


def test_help_names_every_command_and_nothing_means_help(run: Run) -> None:
    status, out, err = run("--help")
    assert (status, err) == (0, "")
    for command in ("caption", "vqa", "classify", "demo", "models", "scenes"):
        assert f"\n  {command} " in out
    assert run() == (0, out, "")


def test_every_command_has_help_through_typers_runner() -> None:
    for command in (["caption"], ["vqa"], ["classify"], ["demo"], ["models"], ["scenes", "train"]):
        result = CliRunner().invoke(app, [*command, "--help"])
        assert result.exit_code == 0
        assert "Usage:" in result.output


def test_version_is_that_of_the_package(run: Run) -> None:
    assert run("--version") == (0, f"vlx {vlx.__version__}\n", "")


def test_models_are_listed_with_a_line_each(run: Run) -> None:
    status, out, _ = run("models")
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()] == list(vlx.known_models())


@pytest.mark.usefixtures("small_models")
def test_caption_prints_a_row_for_each_word_and_saves_everything(
    run: Run, picture: Path, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "out"
    status, told, err = run("caption", picture, "--caption", "a dog on wug", "--out", out)
    assert (status, err) == (0, "")
    lines = told.splitlines()
    assert lines[0] == f"{picture}: a dog on wug"
    heads = "word score from image, nats from language alone probability evidence"
    assert " ".join(lines[1].split()) == heads
    assert [line.split()[0] for line in lines[2:7]] == ["a", "dog", "on", "wug", "caption"]
    assert lines[7] == "  unknown to the model: wug"
    kept = load_explanation(out / "photo-grad_cam")
    for target, line in zip(kept.targets, lines[2:7], strict=True):
        assert line.split()[1::3][:2] == [f"{target.score:.3f}", f"{target.probability:.4f}"]
        image, alone = map(float, line.split()[2:4])
        assert image + alone == pytest.approx(target.score, abs=2e-3)
    expected = {"photo-grad_cam.png", "photo-grad_cam.json", "photo-grad_cam.npz", "report.html"}
    assert {path.name for path in out.iterdir()} == expected
    assert "wug" in (out / "report.html").read_text(encoding="utf-8")


@pytest.mark.usefixtures("small_models")
def test_several_methods_explain_the_same_caption_and_share_the_page(
    run: Run, picture: Path, tmp_path: Path
) -> None:
    methods = ("--method", "grad_cam", "--method", "guided_grad_cam", "--method", "grad_cam")
    status, told, _ = run("caption", picture, *methods, "--beam", 2, "--out", tmp_path / "out")
    assert status == 0
    heads = "word score from image, nats from language alone probability grad_cam guided_grad_cam"
    assert " ".join(told.splitlines()[1].split()) == heads
    first = load_explanation(tmp_path / "out" / "photo-grad_cam")
    second = load_explanation(tmp_path / "out" / "photo-guided_grad_cam")
    assert first.words == second.words
    assert not first.at_pixels
    assert second.at_pixels
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert page.count('class="item"') == 1
    assert page.count('class="view"') == 2


@pytest.mark.usefixtures("small_models")
def test_several_layers_are_compared(run: Run, picture: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    layers = ("--layer", LAYER, "--layer", "features.1")
    asked = ("vqa", picture, "is it?", "--answer", "red", *layers)
    status, told, _ = run(*asked, "--no-evidence", "--out", out)
    assert status == 0
    assert told.splitlines()[1].split() == ["answer", "score", "probability", LAYER, "features.1"]
    _, told, _ = run(*asked)  # without biases between them, features of 0 are the same at both layers
    assert "score   from image, logits  from the question alone  probability" in told.splitlines()[1]
    expected = {f"photo-{layer}.{kind}" for layer in (LAYER, "features.1") for kind in ("png", "json", "npz")}
    assert {path.name for path in out.iterdir()} == expected | {"photo-comparison.png", "report.html"}
    kept = load_explanation(out / "photo-features.1")
    assert kept.provenance.layer == "features.1"
    page = (out / "report.html").read_text(encoding="utf-8")
    assert page.count('class="item"') == 1
    assert "Grad-CAM, features.1" in page


def test_several_models_are_compared(run: Run, picture: Path, tmp_path: Path, classifier: str) -> None:
    network, _, weights = classifier.partition(":")
    other = tmp_path / "other.pth"
    torch.save({name: value.flip(0) for name, value in torch.load(weights).items()}, other)
    given = ("--model", classifier, "--model", f"{network}:{other}")
    status, told, _ = run("classify", picture, *given, "--out", tmp_path / "out")
    assert status == 0
    heads = [line for line in told.splitlines() if not line.startswith(" ")]
    assert heads == [f"{picture} ({network})", f"{picture} ({network} (2))"]
    own = "torchvision-squeezenet1_1"
    kept = {f"photo-{own}{end}" for end in (".json", "-2.json")} | {"photo-comparison.png", "report.html"}
    assert kept <= {path.name for path in (tmp_path / "out").iterdir()}


@pytest.mark.usefixtures("small_models")
def test_only_the_words_asked_for_by_text_or_position(run: Run, picture: Path) -> None:
    given = ("--caption", "a dog on a dog")
    _, told, _ = run("caption", picture, *given, "--words", "on, 4")
    assert [line.split()[0] for line in told.splitlines()[2:]] == ["on", "dog"]
    status, _, err = run("caption", picture, *given, "--words", "dog")
    assert status == 1
    assert "use one of the positions [1, 4]" in _one_line(err)
    status, _, err = run("caption", picture, *given, "--words", " , ")
    assert status == 1
    assert "--words is empty" in _one_line(err)


@pytest.mark.usefixtures("small_models")
def test_vqa_prints_answers_and_the_likeliest(run: Run, picture: Path) -> None:
    status, told, _ = run("vqa", picture, "Is it red?", "--answer", "yes", "--answer", "red", "--no-evidence")
    lines = told.splitlines()
    assert status == 0
    assert lines[0] == f"{picture}: Is it red?"
    assert [line.split()[0] for line in lines[1:4]] == ["answer", "yes", "red"]
    shares = dict(line.split()[::2] for line in lines[2:4])
    listed = dict(part.split() for part in lines[4].removeprefix("  likeliest: ").split(", "))
    assert sum(map(float, listed.values())) == pytest.approx(1, abs=3e-4)
    assert {name: listed[name] for name in shares} == shares
    assert lines[5] == "  unknown to the model: red"


@pytest.mark.usefixtures("small_models")
@pytest.mark.parametrize(
    ("command", "count"), [(("caption", "--caption", "a dog"), 3), (("vqa", "is it?", "--answer", "red"), 1)]
)
def test_evidence_is_told_unless_it_is_left_out(
    run: Run, picture: Path, tmp_path: Path, command: tuple[str, ...], count: int
) -> None:
    name, *rest = command
    _, told, _ = run(name, picture, *rest, "--out", tmp_path / "with")
    _, bare, _ = run(name, picture, *rest, "--no-evidence", "--out", tmp_path / "without")
    assert "from image" in told
    assert "from image" not in bare
    facts = [
        json.loads((tmp_path / folder / "photo-grad_cam.json").read_text(encoding="utf-8"))["targets"]
        for folder in ("with", "without")
    ]
    assert len(facts[0]) == count
    for one, plain in zip(*facts, strict=True):
        assert one["from_image"] == pytest.approx(one["score"] - one["blank"])
        assert one["score"] == plain["score"]
        assert not plain.keys() & {"from_image", "blank", "error"}
    pages = [(tmp_path / one / "report.html").read_text(encoding="utf-8") for one in ("with", "without")]
    assert ["from the image, " in page for page in pages] == [True, False]
    page = pages[0].partition("<script")[0]
    assert ("logits from the image" in page) == (name == "vqa")
    assert ("scores are logits" in told) == (name == "vqa")
    assert ("nats" in told) == (name == "caption")


def test_evidence_of_classes_and_of_a_path(run: Run, picture: Path, classifier: str) -> None:
    given = ("classify", picture, "--model", classifier, "--label", "tiger")
    _, told, _ = run(*given)
    lines = told.splitlines()
    assert (
        " ".join(lines[1].split()) == "class score from image, logits without the image probability evidence"
    )
    assert "  scores are logits, and what comes from the image is a difference of logits" in lines
    _, told, _ = run(*given, "--method", "integrated_gradients", "--no-evidence")
    assert "from image, logits" in told  # the start of its path tells it anyway


def test_an_adapter_that_cannot_tell_has_no_columns(
    run: Run, picture: Path, monkeypatch: pytest.MonkeyPatch, classifier: str
) -> None:
    from vlx.adapters.parts.classifier import Classifier

    plain = Classifier.read

    def read(self: Classifier, images: list[Image.Image]) -> object:
        return replace(plain(self, images), above=None)

    monkeypatch.setattr(Classifier, "read", read)
    status, told, err = run("classify", picture, "--model", classifier)
    assert (status, err) == (0, "")
    assert told.splitlines()[1].split() == ["class", "score", "probability", "evidence"]


@pytest.mark.usefixtures("small_models")
def test_an_unknown_answer_is_refused_with_near_ones(run: Run, picture: Path) -> None:
    status, told, err = run("vqa", picture, "is it?", "--answer", "rod")
    assert (status, told) == (1, "")
    assert "near names: red" in _one_line(err)


def test_classify_with_ones_own_weights(run: Run, picture: Path, tmp_path: Path, classifier: str) -> None:
    given = ("--model", classifier, "--label", "tiger", "--label", "boxer", "--out", tmp_path / "out")
    status, told, _ = run("classify", picture, *given, "--layer", "features.9")
    assert status == 0
    assert [line.split()[0] for line in told.splitlines()[1:4]] == ["class", "tiger", "boxer"]
    kept = load_explanation(tmp_path / "out" / "photo-grad_cam")
    assert kept.provenance.layer == "features.9"
    assert len(kept.predicted) == 3


def _against_two_others(row: str) -> None:
    name, score, share = row.split()[0], row.split()[-3], row.split()[-2]
    assert row.split()[1:6] == ["-", "0.6", "×", "2", "runners-up"], name
    assert float(score) != 0
    assert share == "-"  # no probability


@pytest.mark.usefixtures("small_models")
def test_words_and_answers_against_their_runners_up(run: Run, picture: Path) -> None:
    for command in (
        ("caption", picture, "--caption", "a dog", "--words", "dog", "--runners-up", 2),
        ("vqa", picture, "is it?", "--answer", "yes", "--runners-up", 2, "--method", "hires_cam"),
    ):
        status, told, err = run(*command, "--no-evidence")
        assert (status, err) == (0, "")
        row = told.splitlines()[2].replace("none positive", "none")
        _against_two_others(row)
    status, told, err = run("caption", picture, "--runners-up", 0)
    assert (status != 0, told) == (True, "")
    assert "--runners-up" in _one_line(err)


def test_classes_against_their_runners_up(run: Run, picture: Path, classifier: str) -> None:
    status, told, err = run(
        "classify", picture, "--model", classifier, "--label", "tiger", "--runners-up", 2, "--no-evidence"
    )
    assert (status, err) == (0, "")
    _against_two_others(told.splitlines()[2].replace("none positive", "none"))


@pytest.mark.usefixtures("small_models")
def test_methods_that_show_parts_of_the_image(run: Run, picture: Path) -> None:
    methods = ("reveal_blur", "reveal_and_hide_mean", "bands_4")
    given = [part for method in methods for part in ("--method", method)]
    status, told, err = run("caption", picture, "--caption", "a dog", "--no-evidence", *given)
    assert (status, err) == (0, "")
    head = told.splitlines()[1]
    assert head.split()[-3:] == list(methods)
    assert "from image, nats" in head  # they see a filled image anyway
    status, told, err = run("caption", picture, "--caption", "a dog", "--method", "reveal_48")
    assert (status, told) == (1, "")
    assert "no method 'reveal_48'; near names: reveal" in _one_line(err)
    status, _, err = run("caption", picture, "--caption", "a dog", "--method", "logit_lens")
    assert status == 1
    assert "has no image tokens" in _one_line(err)


def test_a_folder_goes_on_after_a_damaged_image(run: Run, tmp_path: Path, classifier: str) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    photo().save(folder / "a.png")
    (folder / "b.jpg").write_bytes(b"\xff\xd8\xff\xe0 and then nothing")
    photo(40, 40).save(folder / "c.png")
    (folder / "notes.txt").write_text("no image")
    status, told, err = run("classify", folder, "--model", classifier, "--out", tmp_path / "out")
    assert status == 1
    assert [line for line in told.splitlines() if not line.startswith(" ")] == [
        str(folder / "a.png"), str(folder / "c.png")
    ]  # fmt: skip
    first, last = err.splitlines()
    assert first.startswith(f"vlx: {folder / 'b.jpg'}")
    assert last == "vlx: 1 of 3 images could not be explained"
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert page.count('class="item"') == 2


def test_images_of_one_name_are_saved_apart_and_an_image_given_twice_is_explained_once(
    run: Run, tmp_path: Path, classifier: str
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        photo().save(tmp_path / name / "p.png")
    paths = (tmp_path / "one", tmp_path / "one" / "p.png", tmp_path / "two" / "p.png")
    status, told, _ = run("classify", *paths, "--model", classifier, "--out", tmp_path / "out")
    assert status == 0
    assert told.count("p.png") == 2
    saved = {path.name for path in (tmp_path / "out").glob("*.json")}
    assert saved == {"p-grad_cam.json", "p-2-grad_cam.json"}


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["caption", "nowhere.jpg"], 1, "no image nowhere.jpg"),
        (["caption", "{empty}"], 1, "no images in"),
        (["caption", "{photo}", "--method", "grad_can"], 1, "near names: grad_cam"),
        (["caption", "{photo}", "--model", "scenes/captoner"], 1, "near names: scenes/captioner"),
        (["caption", "{photo}", "--model", "{classifier}"], 1, "does not write captions"),
        (["vqa", "{photo}", "what?", "--model", "{classifier}"], 1, "does not answer questions"),
        (["classify", "{photo}", "--model", "torchvision/resnet49"], 1, "near names: resnet"),
        (["classify", "{photo}", "--model", "torchvision/resnet18:no.pth"], 1, "no.pth"),
        (["classify", "{photo}", "--model", "{classifier}", "--layer", "feature.9"], 1, "features.9"),
        (["classify", "{photo}", "--model", "{classifier}", "--label", "boxor"], 1, "near names: boxer"),
        (["classify", "{photo}", "--model", "{classifier}", "--device", "gpu"], 1, "use cpu"),
        (["classify", "{photo}", "--model", "{classifier}", "--out", "{photo}"], 1, "photo.png"),
        (["classify"], 2, "IMAGE"),
        (["caption"], 2, "IMAGE"),
        (["caption", "{photo}", "--beam", "0"], 2, "--beam"),
        (["caption", "{photo}", "--bean", "2"], 2, "--bean"),
        (["captoin", "{photo}"], 2, "captoin"),
        (["scenes"], 2, "Missing command"),
        (["scenes", "generate", "{empty}", "--count", "0"], 2, "--count"),
    ],
)
def test_what_goes_wrong_is_one_line(
    run: Run, picture: Path, tmp_path: Path, classifier: str, arguments: list[str], status: int, said: str
) -> None:
    (tmp_path / "empty").mkdir()
    places = {"photo": picture, "empty": tmp_path / "empty", "classifier": classifier}
    got, told, err = run(*(part.format(**places) for part in arguments))
    assert (got, told) == (status, "") or "--out" in arguments
    assert got == status
    assert said in _one_line(err)


def test_an_interrupt_ends_with_130_and_one_line(
    run: Run, picture: Path, classifier: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_path: object) -> Image.Image:
        raise KeyboardInterrupt

    monkeypatch.setattr(explaining, "open_image", interrupted)
    assert run("classify", picture, "--model", classifier) == (130, "", "vlx: interrupted\n")


def test_a_bug_is_not_hidden(monkeypatch: pytest.MonkeyPatch, picture: Path, classifier: str) -> None:
    def broken(_path: object) -> Image.Image:
        raise ZeroDivisionError

    monkeypatch.setattr(explaining, "open_image", broken)
    with pytest.raises(ZeroDivisionError):
        main(["classify", str(picture), "--model", classifier])


def test_result_says_what_has_no_positive_evidence() -> None:
    rows = [line.split() for line in explaining.result("p.jpg", [caption()]).splitlines()]
    assert rows[2] == ["a", "-0.500", "0.6000", "0.1"]
    assert rows[6][:3] == ["caption", "-9.500", "0.0001"]
    tiny = replace(
        caption(), targets=(replace(caption().targets[0], probability=3.2e-7), *caption().targets[1:])
    )
    assert "3.2e-07" in explaining.result("p.jpg", [tiny])
    assert rows[5] == ["grass", "-3.500", "0.1500", "none", "positive"]
    lines = explaining.result("p.jpg", [answers()]).splitlines()
    assert lines[0] == "p.jpg: What colour is the dog?"
    assert lines[-1] == "  likeliest: red 0.9000, green 0.0500, blue 0.0100"


def test_parts_of_scores_stand_beside_them() -> None:
    rows = [line.split() for line in explaining.result("p.jpg", [told_of()]).splitlines()]
    assert rows[3][:5] == ["dog", "-1.500", "-1.000", "-0.500", "0.3000"]
    assert rows[2][:4] == ["a", "-0.500", "0.000", "-0.500"]
    some = replace(told_of(), targets=(told_of().targets[0], *caption().targets[1:]))
    rows = [line.split() for line in explaining.result("p.jpg", [some]).splitlines()]
    assert rows[3][:5] == ["dog", "-1.500", "-", "-", "0.3000"]
    other = replace(told_of(), provenance=replace(told_of().provenance, method="hires_cam"))
    text = explaining.result("p.jpg", [told_of(), other])
    assert text.count("from image, nats") == 1
    less = tuple(replace(target, blank=target.score) for target in other.targets)
    text = explaining.result("p.jpg", [told_of(), replace(other, targets=less)]).splitlines()[1]
    for method in ("grad_cam", "hires_cam"):
        assert f"from image, nats ({method})  from language alone ({method})" in text


def test_columns_line_up() -> None:
    assert explaining.columns([("a", "bb"), ("ccc", "d")], indent=" ") == " a    bb\n ccc  d"


def test_demo_is_given_its_folder_and_photo(
    run: Run, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vlx.cli import demonstration

    seen: list[tuple[Path, Path | None]] = []
    monkeypatch.setattr(demonstration, "run_demo", lambda out, image: seen.append((out, image)))
    assert run("demo", "--out", tmp_path, "--image", picture)[0] == 0
    assert run("demo")[0] == 0
    assert seen == [(tmp_path, picture), (Path("vlx-demo"), None)]


def test_scenes_commands_pass_their_options_on(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vlx.scenes import formats, score

    seen: list[object] = []
    monkeypatch.setattr(formats, "write_world", lambda *a, **k: seen.append((a, k)) or a[0])
    monkeypatch.setattr(stages, "train", lambda *a: seen.append(a))
    monkeypatch.setattr(score, "report", lambda folder, _log: seen.append(folder))
    assert run("scenes", "generate", tmp_path, "--count", 3, "--seed", 5, "--workers", 2)[0] == 0
    threads = torch.get_num_threads()
    try:
        assert run("scenes", "train", "--work", "w", "--out", "o", "--threads", 1)[0] == 0
    finally:
        torch.set_num_threads(threads)
    assert run("scenes", "score")[0] == 0
    assert run("scenes", "score", "--models", tmp_path)[0] == 0
    made, trained, *scored = seen
    assert made == ((tmp_path, 3, 5), {"workers": 2})
    assert trained == (Path("w"), Path("o"), torch.device("cpu"))
    assert scored == [score.ASSETS, tmp_path]


def _process(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "vlx.cli", *map(str, arguments)]
    settings = {**os.environ, **environment}
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=settings, errors="replace"
    )


def test_a_real_process_explains_and_fails_in_one_line(
    picture: Path, tmp_path: Path, classifier: str
) -> None:
    good = _process("classify", picture, "--model", classifier, "--out", tmp_path / "out")
    assert (good.returncode, good.stderr) == (0, "")
    facts = json.loads((tmp_path / "out" / "photo-grad_cam.json").read_text(encoding="utf-8"))
    assert facts["targets"][0]["name"] in good.stdout
    bad = _process("classify", picture.with_name("missing.png"), "--model", classifier)
    assert (bad.returncode, bad.stdout) == (1, "")
    _one_line(bad.stderr)


def test_a_file_name_beyond_the_terminals_letters_is_printed(tmp_path: Path, classifier: str) -> None:
    path = tmp_path / "caf\u00e9 \U0001f436.png"
    photo().save(path)
    done = _process("classify", path, "--model", classifier, PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert done.returncode == 0
    assert "caf\\xe9 \\U0001f436.png" in done.stdout


def test_help_imports_nothing_heavy() -> None:
    heavy = ("transformers", "matplotlib", "jinja2", "pycocotools", "torchvision", "nltk", "scipy")
    code = f"import sys\nimport vlx.cli.app\nprint([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_built_in_models_caption_and_answer(run: Run, held_out: Path, tmp_path: Path) -> None:
    scene = min((held_out / "images").glob("*.jpg"))
    status, told, err = run(
        "caption", scene, "--method", "grad_cam", "--method", "guided_grad_cam", "--out", tmp_path
    )
    assert (status, err) == (0, "")
    assert "caption" in told
    status, told, err = run("vqa", scene, "is there a dog ?", "--answer", "yes", "--answer", "no")
    assert (status, err) == (0, "")
    assert told.splitlines()[-1].startswith("  likeliest: ")


def test_scale_of_figures_is_chosen(run: Run, picture: Path, tmp_path: Path):
    given = ("caption", str(picture), "--caption", "a dog on the grass", "--no-evidence", "--out")
    assert run(*given, str(tmp_path / "common"))[0] == 0
    assert run(*given, str(tmp_path / "own"), "--scale", "own")[0] == 0
    drawn = [next((tmp_path / name).glob("*grad_cam.png")).read_bytes() for name in ("common", "own")]
    assert drawn[0] != drawn[1]
    status, _, err = run(*given, str(tmp_path / "x"), "--scale", "mine")
    assert (status, len(err.strip().splitlines())) == (2, 1)
