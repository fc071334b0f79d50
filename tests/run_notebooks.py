"""Execute every notebook from top to bottom: ``python -m tests.run_notebooks [FOLDER for the results]``."""

import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[1] / "notebooks"


def main() -> int:
    """Exit non-zero at the first cell that fails, or if a notebook was committed with output."""
    kept = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp())
    for path in sorted(FOLDER.glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        if any(cell.get("outputs") for cell in notebook.cells):
            print(f"{path.name} holds output: clear it before committing")
            return 1
        NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(FOLDER)}}).execute()
        nbformat.write(notebook, kept / path.name)
        print(f"{path.name}: {sum(cell.cell_type == 'code' for cell in notebook.cells)} cells ran")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
