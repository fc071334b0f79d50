"""Seconds, measured side by side: alternating runs in one process, medians, ratios."""

import statistics
import time
from collections.abc import Mapping

import torch

import vlx
from benchmarks.subjects import METHODS, RIVALS, WORDS, Subject, Work, bare, one_call, ours, words

RUNS = 7
ONE_CALL, A_CALL_EACH = (f"vlx, {len(METHODS)} methods, {how}" for how in ("one call", "a call each"))


def alternating(works: Mapping[str, Work], runs: int = RUNS) -> dict[str, float]:
    """The median seconds of each work; every round runs each of them once, after one warm-up round.

    Work that a GPU still has to do is waited for.
    """
    times: dict[str, list[float]] = {name: [] for name in works}
    for number in range(runs + 1):
        for name, work in works.items():
            began = time.perf_counter()
            work()
            if torch.cuda.is_initialized():
                torch.cuda.synchronize()
            if number:
                times[name].append(time.perf_counter() - began)
    return {name: statistics.median(found) for name, found in times.items()}


def works_of(subject: Subject) -> dict[str, Work]:
    """All that is compared on one subject."""
    found: dict[str, Work] = {
        "bare forward": bare(subject),
        "vlx, 1 caption map": ours(subject, [vlx.caption()]),
        "vlx, 1 word map": ours(subject, [vlx.word(0)]),
        f"vlx, {WORDS} word maps": ours(subject, words()),
        f"vlx, {WORDS} Guided Grad-CAM maps": ours(subject, words(), vlx.guided_grad_cam),
        ONE_CALL: lambda: one_call(subject, METHODS),
        A_CALL_EACH: lambda: [one_call(subject, method) for method in METHODS],
    }
    for count in (1, WORDS):
        for name, rival in RIVALS.items():
            found[f"{name}, {count} map{'s' if count > 1 else ''}"] = rival(subject, count)
    return found


def print_speed(subject: Subject, runs: int = RUNS) -> None:
    """Print the medians as ratios of a bare forward, and what the others take beside vlx."""
    seconds = alternating(works_of(subject), runs)
    base, own_words = seconds["bare forward"], seconds[f"vlx, {WORDS} word maps"]
    own_one = seconds["vlx, 1 word map"]
    print(f"\n{subject.name}, layer {subject.model.layer}, medians of {runs} alternating runs")
    for name, value in seconds.items():
        beside = ""
        if not name.startswith(("bare", "vlx")):
            own = own_words if str(WORDS) in name else own_one
            beside = f"   {value / own:6.1f} x vlx"
        print(f"  {name:32s} {1000 * value:9.1f} ms   {value / base:6.2f} x forward{beside}")
    each = seconds[A_CALL_EACH] / seconds[ONE_CALL]
    print(f"  {len(METHODS)} methods, a call each: {each:.2f} x one call")
