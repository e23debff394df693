"""Notebooks: each runs from top to bottom."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_from_top_to_bottom(path: Path) -> None:
    """Every cell runs, and imports the functions of the package."""
    notebook = nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)
    done = NotebookClient(notebook, timeout=600, resources={"metadata": {"path": ROOT}}).execute()
    cells = [cell for cell in done.cells if cell.cell_type == "code"]
    assert cells and all(cell.execution_count for cell in cells)
    assert any("from {{ cookiecutter.package_name }}" in cell.source for cell in cells)
