"""Train the built-in models from nothing: ``python -m vlx.scenes.train [--work DIR] [--out DIR]``.

Renders scenes, trains the CNN, then the captioner, the VQA model and a question-only model on its
fixed vectors, and writes weights, held-out scenes, scores and the log. A stage that is done is kept in
``--work`` and not repeated, so an interrupted run goes on where it was.
"""

import argparse
import random
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from vlx.adapters.networks import VggLike
from vlx.adapters.weights import save_weights
from vlx.scenes.formats import write_world
from vlx.scenes.score import report
from vlx.scenes.train_cnn import small_vgg, train_cnn, vectors
from vlx.scenes.train_data import pictures, plans
from vlx.scenes.train_log import Log
from vlx.scenes.train_text import train_captioner, train_vqa

ASSETS = Path(__file__).parent / "assets"
CNN_SEED, TEXT_SEED, CHECK_SEED, HELD_OUT_SEED = 1, 2, 3, 4
CNN_SCENES, TEXT_SCENES, CHECK_SCENES, HELD_OUT_SCENES = 16_000, 16_000, 1_000, 200


def main() -> None:
    """Run every stage that is not done yet."""
    parser = argparse.ArgumentParser(description="Train the models of the built-in scenes.")
    parser.add_argument("--work", type=Path, default=Path("runs/train"), help="where stages are kept")
    parser.add_argument("--out", type=Path, default=ASSETS, help="where weights and log are written")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    train(given.work, given.out, torch.device(given.device))


def train(work: Path, out: Path, device: torch.device) -> None:
    """Train everything; stages are kept in ``work``, results written to ``out``."""
    work.mkdir(parents=True, exist_ok=True)
    out.mkdir(parents=True, exist_ok=True)
    log = _log(work / "training.log")
    log(f"torch {torch.__version__} on {device}, {torch.get_num_threads()} threads")
    cnn = _cnn_stage(work, device, log)
    seen = _vectors_stage(work, cnn, TEXT_SEED, TEXT_SCENES, device, log)
    check = _vectors_stage(work, cnn, CHECK_SEED, CHECK_SCENES, device, log)

    save_weights(out / "cnn.safetensors", cnn)
    world, checks = (TEXT_SEED, seen), (CHECK_SEED, check)
    for stage in (train_captioner, train_vqa):
        done = work / f"{stage.__name__}.done"
        if not done.is_file():
            _seed_everything()
            stage(out, world, checks, device, log)
            done.touch()
    write_world(out / "heldout", HELD_OUT_SCENES, HELD_OUT_SEED)
    report(out, log)
    log("done")
    (out / "training.log").write_text((work / "training.log").read_text(encoding="utf-8"), encoding="utf-8")


def _cnn_stage(work: Path, device: torch.device, log: Log) -> VggLike:
    path = work / "cnn.safetensors"
    if not path.is_file():
        pixels = np.array(pictures(work / "cnn.npy", CNN_SEED, CNN_SCENES))
        log(f"{CNN_SCENES} scenes rendered")
        _seed_everything()
        save_weights(path, train_cnn(pixels, plans(CNN_SEED, CNN_SCENES), device, log))
        log("the CNN is trained")
    cnn = small_vgg()
    cnn.load_state_dict(load_file(path))
    return cnn.to(device).eval().requires_grad_(False)


def _vectors_stage(work: Path, cnn: VggLike, seed: int, count: int, device: torch.device, log: Log) -> Tensor:
    path = work / f"vectors{seed}.safetensors"
    if not path.is_file():
        pixels = pictures(work / f"scenes{seed}.npy", seed, count)
        save_file({"vectors": vectors(cnn, pixels, device)}, path)
        log(f"vectors of {count} other scenes computed")
    return load_file(path)["vectors"]


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


if __name__ == "__main__":
    main()
