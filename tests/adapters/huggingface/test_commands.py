"""The command line and the report on models of transformers, loaded from a folder."""

import json

import pytest

from tests.adapters.huggingface import tiny
from tests.adapters.huggingface.test_speakers import noise


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    noise().save(path)
    return path


@pytest.fixture
def saved(tmp_path, capsys):
    def made(build):
        folder = tmp_path / build.__name__
        model, processor = build()
        model.save_pretrained(folder)
        for part in processor if isinstance(processor, tuple) else (processor,):
            part.save_pretrained(folder)
        capsys.readouterr()  # saving shows its progress
        return f"hf:{folder}"

    return made


def test_a_caption_word_by_word_with_a_page(run, photo, saved, tmp_path):
    status, out, _ = run(
        "caption", photo, "--model", saved(tiny.blip), "--caption", "a dog runs", "--out", tmp_path / "o"
    )
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()[2:]] == ["a", "dog", "runs", "caption"]
    assert "dog" in (tmp_path / "o" / "report.html").read_text(encoding="utf-8")
    (facts,) = (tmp_path / "o").glob("*.json")
    assert json.loads(facts.read_text(encoding="utf-8"))["words"] == ["a", "dog", "runs"]


def test_the_answer_to_a_prompt_word_by_word(run, photo, saved):
    model = saved(tiny.qwen2_vl)
    status, out, _ = run(
        "caption", photo, "--model", model, "--prompt", "what is there", "--method", "hires_cam"
    )
    assert status == 0
    assert out.splitlines()[0].startswith(f"{photo}: what is there")
    assert out.splitlines()[-1].split()[0] == "caption"


def test_answers_side_by_side(run, photo, saved):
    model = saved(tiny.blip_vqa)
    status, out, _ = run(
        "vqa", photo, "what colour is the ball", "--model", model, "--answer", "red", "--answer", "blue"
    )
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()[1:]] == ["answer", "red", "blue"]
    status, out, _ = run("vqa", photo, "what is there", "--model", saved(tiny.vilt))
    assert status == 0
    assert "likeliest" in out


def test_texts_and_classes(run, photo, saved):
    model = saved(tiny.clip)
    status, out, _ = run("classify", photo, "--model", model, "--label", "a dog", "--label", "a red ball")
    assert status == 0
    assert "a red ball" in out
    status, _, err = run("classify", photo, "--model", model)
    assert status == 1
    assert "--label" in err
    assert run("classify", photo, "--model", saved(tiny.vit))[0] == 0


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["caption", "--model", "MODEL", "--layer", "nothing"], "no layer 'nothing'"),
        (["caption", "--model", "hf:/no/such/folder"], "could not be loaded"),
        (["caption", "--model", "MODEL", "--method", "guided_backprop", "--caption", "a dog"], "no ReLU"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(run, photo, saved, arguments, complaint):
    model = saved(tiny.blip)
    command, *rest = (model if argument == "MODEL" else argument for argument in arguments)
    status, _, err = run(command, photo, *rest)
    assert status == 1
    assert complaint in err
    assert len(err.strip().splitlines()) == 1
    assert "Traceback" not in err


def test_a_prompt_needs_a_model_that_takes_one(run, photo):
    status, _, err = run("caption", photo, "--prompt", "what is there")
    assert status == 1
    assert "takes no prompt" in err
