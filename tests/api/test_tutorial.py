"""docs/tutorial.ipynb runs from top to bottom."""

from pathlib import Path

import nbformat
from nbclient import NotebookClient

TUTORIAL = Path(__file__).resolve().parent.parent.parent / "docs" / "tutorial.ipynb"
SHORT = """
ITERATIONS = 20
LOSSES, SEEDS, SHORT = ("sgan", "rasgan"), (1, 2), 5
"""


def test_the_tutorial_runs(tmp_path: Path) -> None:
    notebook = nbformat.read(TUTORIAL, as_version=4)
    nbformat.validate(notebook)
    (parameters,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    assert {line.partition(" = ")[0] for line in SHORT.split("\n")} <= {
        line.partition(" = ")[0] for line in ["", *parameters.source.split("\n")]
    }
    parameters.source = SHORT
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    kinds = [kind for output in shown if "data" in output for kind in output.data]
    assert kinds.count("image/png") == 3  # samples, curves, interpolations
    assert {"text/html", "text/markdown"} <= set(kinds)  # runs, the table
    printed = "".join(output.text for output in shown if output.output_type == "stream")
    assert "finished at iteration 20" in printed
    assert printed.count("run folder") == 1  # the cells of the sweep are quiet
