"""The table of the house: a module imports only from rows above its own. Change it together with the code."""

import ast
import re
from pathlib import Path

import rgan_bench

ROWS = [
    ["errors", "files", "stops"],
    ["streams", "locks"],
    ["schema", "protocol", "cat", "cat.geometry", "cat.source", "cat.download"],
    ["cat.prepare"],
    ["config"],
    ["runs"],
    ["console", "standing", "fid_json"],
    ["sweep"],
    ["report", "report.runs", "report.parts"],
    ["report.reading", "report.protocols", "report.significance"],
    ["report.cells"],
    ["report.paper"],
    ["report.sweeps"],
    ["report.tables"],
    ["report.formats"],
    ["report.latex", "report.page"],
    ["convolutions"],
    ["accelerate"],
    ["rng"],
    ["draws"],
    ["losses", "penalties"],
    ["networks.layers", "networks.spectral"],
    ["networks.cnn32", "networks.dcgan"],
    ["networks"],
    ["data.dataset", "data.decode"],
    ["data.cifar10", "data.folder", "data.demo"],
    ["data.cat"],
    ["data"],
    ["devices"],
    ["provenance"],
    ["checkpoint", "state", "memory"],
    ["store", "health"],
    ["steps", "resume"],
    ["sampling", "extractors", "record"],
    ["metrics"],
    ["scoring", "training", "summary"],
    ["experiment"],
    ["cli", "cli.start", "cli.train", "cli.fid", "cli.prepare_cat", "cli.table"],
]
TORCH_FREE = ["errors", "files", "stops", "streams", "locks", "schema", "protocol", "config", "runs", "console"]
TORCH_FREE += ["standing", "fid_json", "sweep"]
TORCH_FREE += ["report", "report.runs", "report.parts", "report.reading", "report.protocols"]
TORCH_FREE += ["report.significance", "report.cells", "report.paper", "report.sweeps"]
TORCH_FREE += ["report.tables", "report.formats", "report.latex", "report.page"]
TORCH_FREE += ["cat", "cat.geometry", "cat.source", "cat.download", "cat.prepare"]
TORCH_FREE += ["cli.start", "cli.train", "cli.fid", "cli.prepare_cat", "cli.table"]
PACKAGE = Path(rgan_bench.__file__).parent


def modules() -> dict[str, Path]:
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(part for part in parts if part != "__init__")] = path
    del found[""]  # the package itself, which exports lazily
    return found


def imports(path: Path, *, top_level: bool = False) -> set[str]:
    """Dotted names of everything imported, `from x import y` as both x and x.y."""
    tree = ast.parse(path.read_text())
    nodes = tree.body if top_level else list(ast.walk(tree))
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def test_every_module_stands_in_the_table_once() -> None:
    assert sorted(name for row in ROWS for name in row) == sorted(modules())


def test_imports_point_upwards() -> None:
    height = {name: index for index, row in enumerate(ROWS) for name in row}
    for name, path in modules().items():
        for imported in imports(path):
            module = imported.removeprefix("rgan_bench.")
            if imported.startswith("rgan_bench.") and module in height and module != name:
                assert height[module] < height[name], f"{name} imports {module}, which does not stand above it"


def test_what_answers_quickly_imports_no_torch() -> None:
    for name in TORCH_FREE:
        for imported in imports(modules()[name], top_level=True):
            assert imported.split(".")[0] not in ("torch", "torchvision", "torch_fidelity"), name
            module = imported.removeprefix("rgan_bench.")
            if imported.startswith("rgan_bench.") and module in modules():
                assert module in TORCH_FREE, f"{name} imports {module}, which imports torch"


def test_modules_are_short() -> None:
    for name, path in modules().items():
        assert len(path.read_text().splitlines()) <= 350, f"{name}: would two rooms be clearer than one?"


def test_every_test_that_the_docs_name_exists() -> None:
    root = Path(__file__).resolve().parent
    written = "".join(path.read_text() for path in root.glob("test_*.py"))
    named = re.findall(r"`(test_\w+)`", (root.parent / "docs" / "reliability.md").read_text())
    assert len(named) > 25
    for name in named:
        assert f"def {name}(" in written, name
