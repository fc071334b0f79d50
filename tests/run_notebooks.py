"""Execute every notebook from top to bottom: ``python -m tests.run_notebooks [FOLDER for the results]``.

Where a notebook would load a model from a hub, it gets a tiny one on random weights.
"""

import os
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from tests.adapters.huggingface import tiny

FOLDER = Path(__file__).parents[1] / "notebooks"


def main() -> int:
    """Exit non-zero at the first cell that fails, or if a notebook was committed with output."""
    kept = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp())
    models = Path(tempfile.mkdtemp())
    for variable, build in (("VLX_CAPTIONER", tiny.blip), ("VLX_CHAT", tiny.idefics3)):
        for part in build():
            part.save_pretrained(models / variable)
        os.environ.setdefault(variable, f"hf:{models / variable}")
    for path in sorted(FOLDER.glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        if any(cell.get("outputs") for cell in notebook.cells):
            print(f"{path.name} holds output: clear it before committing")
            return 1
        NotebookClient(notebook, timeout=None, resources={"metadata": {"path": str(FOLDER)}}).execute()
        nbformat.write(notebook, kept / path.name)
        print(f"{path.name}: {sum(cell.cell_type == 'code' for cell in notebook.cells)} cells ran")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
