"""The floors of the house, docs/architecture.md draws them: a folder imports only from those below it.

Change this together with the code.
"""

import ast
import re
from pathlib import Path

import rgan_bench

# What anyone may use: the modules at the top.
GROUND = {"errors", "files", "console", "rng", "streams", "locks", "register", "plugins", "ranks"}
# Floor → those that it may import from, besides the ground. From the lowest to the highest.
FLOORS = {
    "config": set(),
    "data": {"config"},
    "gan": {"config"},
    "scoring": {"config", "data"},
    "training": {"config", "data", "gan", "scoring"},
    "report": {"config", "scoring"},
    "run": {"config", "data", "gan", "scoring", "training"},
    "sweeps": {"config", "run"},
    "generators": {"config", "data", "gan", "scoring", "training", "run"},
    "catalogue": {"config", "scoring", "report", "run"},
    "api": {"config", "data", "scoring", "training", "report", "run", "sweeps", "generators", "catalogue"},
    "cli": {"config", "data", "scoring", "training", "report", "run", "sweeps", "generators", "catalogue", "api"},
}
# Of a floor below that needs torch, only these modules may be imported by a floor that does without, and such a module
# does without it too.
TORCH_FREE_FLOORS = {"config", "report", "sweeps", "catalogue", "api", "cli"}
TORCH_FREE = {
    *GROUND - {"rng", "ranks"},
    *("data", "data.cat", "data.cat.geometry", "data.cat.source", "data.cat.download", "data.cat.prepare"),
    "data.signature",
    *("scoring", "scoring.protocol", "scoring.fid_json"),
    *("run", "run.folder", "run.standing", "run.stops", "run.outcome", "run.objective", "run.tolerated"),
    *("run.sinks", "run.sinks.tensorboard", "run.sinks.wandb", "training", "gan", "generators"),
}
# At the top, and no ground: names under which others find what lies on a floor.
NAMES = {"losses": "gan", "__main__": "cli"}
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


def floor(module: str) -> str:
    return module.split(".")[0]


def own_imports(module: str, path: Path, *, top_level: bool = False) -> set[str]:
    """Modules of the package that a module imports."""
    found = {each.removeprefix("rgan_bench.") for each in imports(path, top_level=top_level) if "rgan_bench." in each}
    return (found & set(modules())) - {module}


def test_every_module_lies_on_a_floor() -> None:
    top = {name for name in modules() if "." not in name}
    assert top == GROUND | set(FLOORS) | set(NAMES)


def test_floors_import_only_from_below() -> None:
    for name, path in modules().items():
        for imported in own_imports(name, path):
            here, there = floor(name), floor(imported)
            if here in NAMES:
                assert there == NAMES[here]
            elif here in GROUND:
                assert there in GROUND, f"{name} imports {imported}"
            else:
                assert there in {here} | GROUND | FLOORS[here], f"{name} imports {imported}, which is not below it"


def test_no_imports_go_round_in_circles() -> None:
    graph = {name: own_imports(name, path) for name, path in modules().items()}
    done: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, " → ".join((*above, name))
        if name not in done:
            for each in graph[name]:
                visit(each, (*above, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def test_what_answers_quickly_imports_no_torch() -> None:
    def torch_free(name: str) -> bool:
        return name in TORCH_FREE or floor(name) in TORCH_FREE_FLOORS

    assert set(modules()) >= TORCH_FREE
    for name, path in modules().items():
        if torch_free(name):
            outside = {each.split(".")[0] for each in imports(path, top_level=True)}
            assert not outside & {"torch", "torchvision", "torch_fidelity"}, name
            for imported in own_imports(name, path, top_level=True):
                assert torch_free(imported), f"{name} imports {imported}, which may import torch"


def test_modules_are_short() -> None:
    for name, path in modules().items():
        assert len(path.read_text().splitlines()) <= 300, f"{name}: would two rooms be clearer than one?"


def test_every_test_that_the_docs_name_exists() -> None:
    root = Path(__file__).resolve().parent
    written = "".join(path.read_text() for path in root.rglob("test_*.py"))
    named = re.findall(r"`(test_\w+)`", (root.parent / "docs" / "reliability.md").read_text())
    assert len(named) > 25
    for name in named:
        assert f"def {name}(" in written, name
