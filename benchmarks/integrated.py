"""What integrated maps cost beside a bare forward and beside captum: ``python -m benchmarks.integrated``.

Every word of a caption of 12 words at the last layer, 3 points on the path, on the models of ``make bench``.
Captum does the same work a word at a time, with as many points and the same weights, so one word is measured:
12 cost 12 times as much. It starts from the features of a blank image, which it computes for each word.
Medians of alternating runs in one process, as ratios of the bare forward of the same rounds.
"""

import argparse
import platform
import warnings

import torch

import vlx
from benchmarks.speed import RUNS, alternating
from benchmarks.subjects import SUBJECTS, WORDS, Subject, WordScores, Work, bare, ours, subject, words

NODES = 3


def captum_path(subject: Subject) -> Work:
    """The attribution of the first word, at the layer."""
    from captum.attr import LayerIntegratedGradients

    path = LayerIntegratedGradients(WordScores(subject).eval(), subject.module)
    pixels = subject.pixels

    def run() -> object:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return path.attribute(pixels, target=0, n_steps=NODES, method="riemann_middle")

    return run


def works_of(subject: Subject) -> dict[str, Work]:
    """All that is compared on one subject."""
    return {
        "bare forward": bare(subject),
        f"vlx, {WORDS} Grad-CAM maps": ours(subject, words()),
        f"vlx, {WORDS} integrated maps": ours(subject, words(), vlx.integrated_with(nodes=NODES)),
        "captum, 1 integrated map": captum_path(subject),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Integrated maps beside a bare forward and captum.")
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--only", choices=list(SUBJECTS), help="one subject instead of all")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    print(f"torch {torch.__version__}, {given.threads} threads, {platform.machine()}, {NODES} points")
    for name in [given.only] if given.only else SUBJECTS:
        chosen = subject(name)
        seconds = alternating(works_of(chosen), given.runs)
        base = seconds["bare forward"]
        print(f"\n{name}, layer {chosen.model.layer}, medians of {given.runs} alternating runs")
        for work, value in seconds.items():
            print(f"  {work:32s} {1000 * value:9.1f} ms   {value / base:6.2f} x forward")


if __name__ == "__main__":
    main()
