"""Print how long a neuraltalk2 checkpoint of the published size takes to load: ``make bench-load``.

The file is written into a temporary folder with random weights: VGG-16, 512 numbers a word, 9,567 words,
about 590 MB. Each load runs in a process of its own, whose peak memory is told beside that of one that
only imports the adapter.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

WORDS = 9_567
CHANNELS = (64, 128, 256, 512, 512)


def write(path: Path) -> None:
    """Write a checkpoint of the published size, saved as on a GPU."""
    from tests.adapters.files.t7_writer import write_t7
    from tests.adapters.published import neuraltalk2_tensors, neuraltalk2_value

    words = [f"word{at}" for at in range(WORDS - 1)] + ["UNK"]
    tensors = neuraltalk2_tensors(
        words=words, embedding=512, hidden=512, channels=CHANNELS, fc=(4096, 4096), places=7
    )
    write_t7(path, neuraltalk2_value(tensors, words=words), cuda=True)


def load(path: Path) -> None:
    """Load once in this process; print the seconds, and what it can then do."""
    from PIL import Image

    from vlx.adapters.families.neuraltalk2 import load_neuraltalk2

    began = time.perf_counter()
    model = load_neuraltalk2(path)
    seconds = time.perf_counter() - began
    peak = peak_bytes()
    features = model.read([Image.new("RGB", (320, 240))], ["word1 word2"]).features
    print(seconds, peak, tuple(features.shape))


def peak_bytes() -> int:
    """Peak resident bytes of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def fresh(*arguments: str) -> str:
    """What this file prints in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.load_neuraltalk2", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def main() -> None:
    parser = argparse.ArgumentParser(description="Time and memory of loading a neuraltalk2 checkpoint.")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--write", type=Path, help="only write the file")
    parser.add_argument("--load", type=Path, help="only load a file")
    parser.add_argument("--import-only", action="store_true")
    given = parser.parse_args()
    if given.write:
        write(given.write)
    elif given.load:
        load(given.load)
    elif given.import_only:
        import vlx.adapters.families.neuraltalk2  # noqa: F401 # its memory is what is measured

        print(peak_bytes())
    else:
        measured(given.runs)


def measured(runs: int) -> None:
    """Write the file, load it so many times, print the numbers."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model_id1-501-1448236541.t7"
        fresh("--write", str(path))
        size = path.stat().st_size
        print(f"torch {torch.__version__}, a file of {size / 1e6:.0f} MB")
        bare = int(fresh("--import-only"))
        for _ in range(runs):
            seconds, peak, shape = fresh("--load", str(path)).split(maxsplit=2)
            beyond = int(peak) - bare
            print(
                f"  {float(seconds):.2f} s, {size / 1e6 / float(seconds):.0f} MB/s; peak memory "
                f"{int(peak) / 2**20:.0f} MiB, {beyond / size:.2f} x the file beyond the imports; "
                f"features {shape.strip()}"
            )


if __name__ == "__main__":
    main()
