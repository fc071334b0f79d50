"""The stages in which the built-in models are trained.

The convolutions learn from windows and scenes, the fully connected layers from feature maps, then the
captioner, the VQA model and a question-only model from fixed fc7 vectors, and two classifiers from the
maps of the fixed convolutions, each on scenes that the stage before has not seen. Writes weights, the
archive of held-out scenes, scores and the log. A stage that is done is kept in ``--work`` and not
repeated, so an interrupted run goes on where it was.
"""

import random
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from vlx.adapters.files.weights import fit_weights, load_weights, save_tensors, save_weights
from vlx.adapters.nets.vgg import VggLike
from vlx.scenes.classes import own_state
from vlx.scenes.cnn import small_vgg
from vlx.scenes.formats import write_world
from vlx.scenes.held_out import ARCHIVE, pack
from vlx.scenes.score import report
from vlx.scenes.training.classes import Seen, train_gap_classifier, train_vgg_classifier, whole_maps
from vlx.scenes.training.cnn import pooled_maps, train_cnn
from vlx.scenes.training.data import drawn, labels, pictures, plans
from vlx.scenes.training.fc import train_fc, vectors
from vlx.scenes.training.log import Log
from vlx.scenes.training.text import train_captioner, train_question_only, train_vqa

CNN_SEED, FC_SEED, CHECK_SEED, HELD_OUT_SEED, TEXT_SEED, CLASSES_SEED = 1, 2, 3, 4, 5, 6
SCENES, CLASS_SCENES, HELD_OUT_SCENES = 32_000, 20_000, 200
WORLDS = {CNN_SEED: SCENES, FC_SEED: SCENES, TEXT_SEED: SCENES, CHECK_SEED: 1_000}


def train(work: Path, out: Path, device: torch.device) -> None:
    """Train everything; stages are kept in ``work``, results written to ``out``."""
    work.mkdir(parents=True, exist_ok=True)
    out.mkdir(parents=True, exist_ok=True)
    log = _log(work / "training.log")
    log(f"torch {torch.__version__} on {device}, {torch.get_num_threads()} threads")
    cnn = _cnn_stage(work, device, log)
    maps = {seed: _maps_stage(work, cnn, seed, count, device, log) for seed, count in WORLDS.items()}
    _fc_stage(work, cnn, maps, device, log)
    save_weights(out / "cnn.safetensors", cnn)
    world, checks = (
        ([(seed, index) for seed in seeds for index in range(WORLDS[seed])],
         torch.cat([vectors(cnn, maps[seed], device) for seed in seeds]))
        for seeds in ((CNN_SEED, FC_SEED, TEXT_SEED), (CHECK_SEED,))
    )  # fmt: skip
    for stage in (train_captioner, train_question_only, train_vqa):
        done = work / f"{stage.__name__}.done"
        if not done.is_file():
            _seed_everything()
            stage(out, world, checks, device, log)
            done.touch()
    _classifier_stage(work, out, cnn, device, log)
    _held_out_stage(work, out)
    report(out, log)
    log("done")
    (out / "training.log").write_text((work / "training.log").read_text(encoding="utf-8"), encoding="utf-8")


def train_classifiers(work: Path, out: Path, device: torch.device) -> None:
    """Train the classifiers alone, on the convolutions in ``out``; their log is left in ``work``.

    Raises CheckpointError where there are none.
    """
    work.mkdir(parents=True, exist_ok=True)
    log = _log(work / "training.log")
    log(f"torch {torch.__version__} on {device}, {torch.get_num_threads()} threads")
    cnn = small_vgg()
    fit_weights(cnn, load_weights(out / "cnn.safetensors"), str(out / "cnn.safetensors"))
    _classifier_stage(work, out, cnn.to(device).eval().requires_grad_(False), device, log)


def _cnn_stage(work: Path, device: torch.device, log: Log) -> VggLike:
    """The CNN with trained convolutions, frozen."""
    path = work / "convolutions.safetensors"
    if not path.is_file():
        pixels = np.array(pictures(work / "scenes.npy", CNN_SEED, SCENES))
        log(f"{SCENES} scenes rendered")
        _seed_everything()
        save_weights(path, train_cnn(pixels, plans(CNN_SEED, SCENES), device, log))
        log("the convolutions are trained")
    return _loaded(path, device)


def _maps_stage(work: Path, cnn: VggLike, seed: int, count: int, device: torch.device, log: Log) -> Tensor:
    """The pooled feature maps of some scenes, (scene, pooled), in half precision."""
    path = work / f"maps{seed}.safetensors"
    if not path.is_file():
        save_file({"maps": pooled_maps(cnn, drawn(seed, count), device)}, path)
        log(f"feature maps of {count} scenes computed")
    return load_file(path)["maps"]


def _fc_stage(work: Path, cnn: VggLike, maps: dict[int, Tensor], device: torch.device, log: Log) -> None:
    """Train fc6 and fc7 of a CNN in place."""
    path = work / "cnn.safetensors"
    if not path.is_file():
        _seed_everything()
        seeds = (CNN_SEED, FC_SEED)
        truth = labels([scene for seed in seeds for scene in plans(seed, SCENES)])
        check = (maps[CHECK_SEED], labels(plans(CHECK_SEED, WORLDS[CHECK_SEED])))
        train_fc(cnn, (torch.cat([maps[seed] for seed in seeds]), truth), check, device, log)
        save_weights(path, cnn)
    cnn.load_state_dict(load_file(path))


def _classifier_stage(work: Path, out: Path, cnn: VggLike, device: torch.device, log: Log) -> None:
    """Train both classifiers on the maps of a CNN's convolutions and write what they have of their own."""
    worlds: list[Seen] = []
    for seed, count in ((CLASSES_SEED, CLASS_SCENES), (CHECK_SEED, WORLDS[CHECK_SEED])):
        path = work / f"whole_maps{seed}.npy"
        if not path.with_suffix(".done").is_file():
            whole_maps(path, cnn, drawn(seed, count), count, device)
            log(f"whole feature maps of {count} scenes computed")
        there = (labels(plans(seed, count)).counts > 0).float()
        worlds.append((np.load(path, mmap_mode="r"), there))
    for name, lesson in (("classifier", train_vgg_classifier), ("classifier-gap", train_gap_classifier)):
        done = work / f"{name}.done"
        if not done.is_file():
            _seed_everything()
            network = lesson(worlds[0], worlds[1], device, log)
            save_tensors(out / f"{name}.safetensors", own_state(network))
            done.touch()


def _held_out_stage(work: Path, out: Path) -> None:
    """Render the scenes that scores are taken on, and pack them."""
    pack(write_world(work / "held_out", HELD_OUT_SCENES, HELD_OUT_SEED), out / ARCHIVE.name)


def _loaded(path: Path, device: torch.device) -> VggLike:
    cnn = small_vgg(dropout=0.2)
    cnn.load_state_dict(load_file(path))
    return cnn.to(device).eval().requires_grad_(False)


def _seed_everything() -> None:
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


def _log(path: Path) -> Log:
    began = time.monotonic()

    def log(line: str) -> None:
        told = f"{time.monotonic() - began:7.0f} s  {line}"
        print(told, flush=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(told + "\n")

    return log
