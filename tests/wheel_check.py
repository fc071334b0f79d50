"""Build sdist and wheel, and compare the wheel's files with the checkout: ``python -m tests.wheel_check``."""

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
SKIPPED = {"__pycache__"}


def expected() -> set[str]:
    """Every file that a user needs, by its path in the wheel."""
    found: set[str] = set()
    for folder, prefix in (("vlx", "vlx"), ("adapters", "vlx/adapters"), ("eval", "vlx/eval")):
        for path in (ROOT / folder).rglob("*"):
            inside = path.relative_to(ROOT / folder)
            linked = folder == "vlx" and inside.parts[0] in ("adapters", "eval")
            if path.is_file() and not linked and not SKIPPED & set(inside.parts):
                found.add(f"{prefix}/{inside.as_posix()}")
    return found


def main() -> int:
    """Exit non-zero if the wheel lacks a file, holds another one, or does not import."""
    with tempfile.TemporaryDirectory() as folder:
        build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, str(ROOT)]
        subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            held = {name for name in archive.namelist() if ".dist-info/" not in name}
            archive.extractall(Path(folder) / "site")
        missing, extra = sorted(expected() - held), sorted(held - expected())
        code = (
            "import vlx, vlx.adapters, vlx.eval, vlx.scenes; vlx.scenes.held_out_scenes(layout='voc'); "
            "[vlx.load(name) for name in vlx.known_models() if name.startswith('scenes/')]; "
            "print(vlx.__file__)"
        )
        site, cache = str(Path(folder) / "site"), str(Path(folder) / "cache")
        alone = {"PYTHONPATH": site, "PATH": "", "VLX_CACHE": cache}
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, env=alone, check=False
        )
    print(f"{wheel.name}: {len(held)} files, {len(missing)} missing, {len(extra)} not expected")
    for name in (*missing[:10], *extra[:10]):
        print(f"  {name}")
    ran_inside = done.returncode == 0 and folder in done.stdout
    print("imports from the wheel" if ran_inside else f"does not import: {done.stderr[-500:]}{done.stdout}")
    return int(bool(missing or extra or not ran_inside))


if __name__ == "__main__":
    raise SystemExit(main())
