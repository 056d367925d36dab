"""Re-execute the committed notebooks on the sample data: `python -m tests.execute_notebooks [NAME …]`.

Outputs are kept, volatile metadata is not, so that a diff shows what changed in the results.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import nbformat

ROOT = Path(__file__).parents[1]
NOTEBOOKS = ROOT / "notebooks"
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
ENVIRONMENT = {
    "KENPO_DATA": str(ROOT / "data" / "sample"),
    "POLARS_MAX_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}


def execute(path: Path) -> None:
    """Run one notebook in place, as it would open for an analyst."""
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    here = {"metadata": {"path": str(NOTEBOOKS)}}
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources=here).execute()
    normalise(notebook)
    nbformat.write(notebook, path)
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


def normalise(notebook: nbformat.NotebookNode) -> None:
    """Drop what changes from run to run or from machine to machine."""
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNEL, "language_info": {"name": "python"}})
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({key: cell.metadata[key] for key in ("tags",) if key in cell.metadata})
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]


def main(names: list[str]) -> None:
    """Execute the named notebooks, or all of them."""
    os.environ.update(ENVIRONMENT)
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        if not names or path.stem in names or path.name in names:
            execute(path)


if __name__ == "__main__":
    main(sys.argv[1:])
