"""Give every reader of foreign files damaged ones: ``python -m benchmarks.fuzz [--inputs N] [--only NAME]``.

Prints how many were read, how many refused, the slowest and the peak memory of a fresh process; anything
else than a value or a one-line `CheckpointError` is printed with its seed and makes the exit non-zero.
"""

import argparse
import random
import resource
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

import torch

from tests.adapters.files.mutants import DATA, mutant, readers
from vlx.adapters.files.source import ROOM
from vlx.errors import CheckpointError

MEMORY = 3 * ROOM
"""Bytes that reading may take beyond what is loaded: to take more is a failure."""


def fuzz(name: str, inputs: int, seed: int) -> int:
    """Fuzz one reader in this process; the number of failures."""
    fuzzed = readers()[name]
    torch.set_num_threads(1)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    read = refused = failed = 0
    slowest, slow_seed = 0.0, seed
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        (Path(folder) / "x.data-00000-of-00001").write_bytes(DATA)
        for at in range(seed, seed + inputs):
            path = fuzzed.put(Path(folder), mutant(random.Random(at), fuzzed))
            start = time.process_time()
            try:
                fuzzed.read(path)
                read += 1
            except CheckpointError as error:
                refused += 1
                failed += "\n" in str(error)
            except BaseException as error:
                failed += 1
                print(f"{name}: seed {at}: {type(error).__name__}: {error}")
                traceback.print_exc(limit=-3)
                if isinstance(error, KeyboardInterrupt):
                    break
            took = time.process_time() - start
            if took > slowest:
                slowest, slow_seed = took, at
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(
        f"{name:12} {read + refused + failed:7} inputs: {read} read, {refused} refused, {failed} failed; "
        f"slowest {1000 * slowest:.0f} ms of CPU (seed {slow_seed}); "
        f"{grown / 1024:.0f} MiB taken beyond what was loaded, of {MEMORY >> 20} allowed",
        flush=True,
    )
    return failed


def main() -> int:
    """Fuzz each reader in a process of its own."""
    parser = argparse.ArgumentParser(description="Damaged files for every reader of foreign files.")
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=list(readers()), help="one reader, in this process")
    given = parser.parse_args()
    if given.only:
        return int(fuzz(given.only, given.inputs, given.seed) > 0)
    own = [sys.executable, "-m", "benchmarks.fuzz", "--inputs", str(given.inputs), "--seed", str(given.seed)]
    return max(subprocess.run([*own, "--only", name], check=False).returncode for name in readers())


if __name__ == "__main__":
    sys.exit(main())
