"""All that a GPU has to prove, in one call: ``python -m benchmarks.check_gpu [--out FILE]``.

First the conformance tests of every adapter on the device in four precisions, and the tests of
``tests/test_device.py``; then speed, memory and waits of full-size models. What is known so far is in the
file after every step, so that an interrupted run loses nothing.
"""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import torch

from benchmarks import gpu_speed

DTYPES = ("float64", "float32", "bfloat16", "float16")
Told = dict[str, Any]


def environment() -> Told:
    """What it runs on."""
    found: Told = {"torch": torch.__version__, "python": sys.version.split()[0], "threads": os.cpu_count()}
    for name in ("torchvision", "transformers"):
        module = __import__(name)
        found[name] = module.__version__
    if torch.cuda.is_available():
        found |= {
            "device": torch.cuda.get_device_name(),
            "GiB": round(torch.cuda.get_device_properties(0).total_memory / 2**30, 1),
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
        }
    return found


def tested(device: str, dtype: str, workers: int, chosen: str, limit: float) -> Told:
    """Run the tests of one precision; how many passed, and what failed with its last line."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        several = importlib.util.find_spec("xdist") is not None and workers > 1
        command = [
            sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:benchmark",
            f"--junitxml={report}",
            *(["-n", str(workers), "--dist", "worksteal"] if several else []),
            "-k", chosen, "tests/adapters", "tests/test_device.py",
        ]  # fmt: skip
        own = {"VLX_TEST_DEVICE": device, "VLX_TEST_DTYPE": dtype, "OMP_NUM_THREADS": "1"}
        began = time.perf_counter()
        try:
            done = subprocess.run(
                command, env={**os.environ, **own}, capture_output=True, text=True, timeout=limit, check=False
            )
            said = done.stdout[-2000:]
        except subprocess.TimeoutExpired as late:
            said = f"stopped after {limit:.0f} s: {late.stdout[-500:] if late.stdout else ''}"
        seconds = time.perf_counter() - began
        return {**_read(report, said), "seconds": round(seconds, 1)}


def _read(report: Path, said: str) -> Told:
    if not report.is_file():
        return {"passed": 0, "failed": {"pytest": said}, "skipped": 0}
    cases = list(ElementTree.parse(report).getroot().iter("testcase"))
    failed: dict[str, str] = {}
    skipped = 0
    for case in cases:
        told = next((case.find(kind) for kind in ("failure", "error") if case.find(kind) is not None), None)
        if told is not None:
            name = f"{case.get('classname')}::{case.get('name')}"
            failed[name] = " ".join((told.get("message") or "").split())[:300]
        skipped += case.find("skipped") is not None
    return {"passed": len(cases) - len(failed) - skipped, "failed": failed, "skipped": skipped}


def main() -> None:
    parser = argparse.ArgumentParser(description="Prove the models on a GPU and measure them there.")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dtypes", nargs="*", default=list(DTYPES), choices=DTYPES)
    parser.add_argument("--tests", default="conforms or test_device", help="which tests, as pytest's -k")
    parser.add_argument("--workers", type=int, default=min(14, os.cpu_count() or 1))
    parser.add_argument("--limit", type=float, default=240.0, help="seconds for the tests of one precision")
    parser.add_argument("--speed", nargs="*", choices=list(gpu_speed.PARTS), help="these parts alone")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--small", action="store_true", help="small models, to try this script")
    parser.add_argument("--out", type=Path, default=Path("out/check-gpu.json"))
    given = parser.parse_args()
    found: Told = {"environment": environment(), "tests": {}, "speed": {}}
    given.out.parent.mkdir(parents=True, exist_ok=True)

    def keep() -> None:
        given.out.write_text(json.dumps(found, indent=1))

    print(", ".join(f"{name} {value}" for name, value in found["environment"].items()), flush=True)
    for dtype in given.dtypes:
        one = tested(given.device, dtype, given.workers, given.tests, given.limit)
        found["tests"][dtype] = one
        keep()
        print(
            f"{dtype:9s} {one['passed']} passed, {len(one['failed'])} failed, {one['skipped']} skipped, "
            f"{one['seconds']} s",
            flush=True,
        )
        for name, why in one["failed"].items():
            print(f"   {name}: {why}", flush=True)
    parts = list(gpu_speed.PARTS) if given.speed is None else given.speed
    asked = gpu_speed.Asked(given.device, given.runs, given.small)
    for name in parts:
        began = time.perf_counter()
        try:
            found["speed"][name] = gpu_speed.PARTS[name](asked)
        except Exception as error:  # one part that fails must not lose the others
            found["speed"][name] = {"failed": f"{type(error).__name__}: {error}"[:500]}
            print(f"{name}: {found['speed'][name]['failed']}", flush=True)
        print(f"  ({name}: {time.perf_counter() - began:.0f} s)", flush=True)
        keep()
    failures = sum(len(one["failed"]) for one in found["tests"].values())
    failures += sum("failed" in one for one in found["speed"].values())
    print(f"{failures} failed; all numbers are in {given.out}")
    sys.exit(failures > 0)


if __name__ == "__main__":
    main()
