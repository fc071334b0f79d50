"""Train the built-in models from nothing: ``python -m vlx.scenes.training [--work DIR] [--out DIR]``."""

import argparse
from pathlib import Path

import torch

from vlx.scenes.models import ASSETS
from vlx.scenes.training.stages import train, train_classifiers


def main() -> None:
    """Run every stage that is not done yet."""
    parser = argparse.ArgumentParser(description="Train the models of the built-in scenes.")
    parser.add_argument("--work", type=Path, default=Path("runs/train"), help="where stages are kept")
    parser.add_argument("--out", type=Path, default=ASSETS, help="where weights and log are written")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    parser.add_argument(
        "--classifiers",
        action="store_const",
        const=train_classifiers,
        default=train,
        dest="train",
        help="train the two classifiers alone, on the convolutions that lie in --out",
    )
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    given.train(given.work, given.out, torch.device(given.device))


if __name__ == "__main__":
    main()
