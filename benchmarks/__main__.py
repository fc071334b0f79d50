"""Print every speed and memory number: ``python -m benchmarks [--runs N] [--only NAME]``."""

import argparse
import platform

import torch
import torchvision

from benchmarks.memory import print_memory
from benchmarks.speed import RUNS, print_speed
from benchmarks.subjects import SUBJECTS, subject


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed and memory of vlx beside other libraries.")
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--only", choices=list(SUBJECTS), help="one subject instead of all")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    print(
        f"torch {torch.__version__}, torchvision {torchvision.__version__}, {given.threads} threads, "
        f"{platform.machine()}"
    )
    for name in [given.only] if given.only else SUBJECTS:
        chosen = subject(name)
        print_speed(chosen, given.runs)
        print_memory(chosen)


if __name__ == "__main__":
    main()
