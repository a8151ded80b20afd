"""What a name in a config can mean: one list of the parts of losses, the networks, data sets and extractors there are.

A thing announces itself where it is defined, with a decorator, in this package or in a plugin of yours:

    @function("softhinge")
    def softhinge(logits, real): ...

Imports no torch. A mistaken name should cost a moment, and importing torch takes seconds: so the names of the package's
own things are read from its source, and their modules are imported only when a thing itself is asked for.
"""

import ast
import hashlib
import importlib
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from rgan_bench.errors import UserError, one_line

Thing = TypeVar("Thing")

# Where the package's own things stand: modules, or folders of modules.
OWN = {
    "comparison": "gan/losses.py",
    "function": "gan/losses.py",
    "penalty": "gan/penalties.py",
    "network": "gan/networks",
    "dataset": "data",
    "extractor": "scoring/extractors.py",
}


@dataclass(frozen=True)
class Plugin:
    """A module from outside the package.

    Attributes:
        name: as `plugins=[…]` names it: a module, or the path of a file.
        files: its source: name → text. More than one where it is a package.
        digest: of these.
    """

    name: str
    files: dict[str, str]
    digest: str


@dataclass(frozen=True)
class Entry:
    """
    Attributes:
        module: that defines it.
        attributes: what its decorator was told besides the name.
        value: the function or class; None where its module is still to be imported.
        plugin: that it comes from; None: from this package.
    """

    kind: str
    name: str
    module: str
    attributes: dict[str, Any] = field(default_factory=dict)
    value: Any = None
    plugin: Plugin | None = None


_announced: dict[tuple[str, str], Entry] = {}
_loaded: dict[str, Plugin] = {}  # name → plugin
_loading: list[Plugin] = []


# --- announcing -------------------------------------------------------------------------------------------------------


def comparison(name: str) -> Callable[[Thing], Thing]:
    """(logits of reals, logits of fakes) → what is scored of each: `loss.comparison=NAME`."""
    return _announcing("comparison", name)


def function(name: str) -> Callable[[Thing], Thing]:
    """(logits, whether they should be judged real) → a loss for each: `loss.function=NAME`."""
    return _announcing("function", name)


def penalty(
    name: str, *, points: tuple[str, ...] | None = None, weight: float | None = None
) -> Callable[[Thing], Thing]:
    """(discriminator, reals, fakes, u) → a scalar, which `loss.penalty_weight` multiplies: `loss.penalty=NAME`.

    Args:
        points: some of real, fake, mixed: the penalty is then a function of the discriminator's gradient with respect
            to images there, [B, C, H, W] → a scalar, added up over the points.
        weight: where `loss.penalty_weight` is null; None: 10.
    """
    return _announcing("penalty", name, points=points, weight=weight)


def network(
    name: str,
    *,
    image_size: int,
    of: str | None = None,
    choices: dict[str, tuple[Any, ...]] | None = None,
    multiple_of: dict[str, int] | None = None,
    **defaults: Any,
) -> Callable[[Thing], Thing]:
    """(arch config) → (generator, discriminator), initialised: `arch=NAME`.

    Args:
        image_size: of the images, in pixels; of="points" makes points of the plane, and has 1.
        choices: arch key → the only values that this network can have there.
        multiple_of: arch key → what its value must be a multiple of.
        defaults: of arch keys, where they are not those of cnn32. Of the package's own, configs/arch has them.
    """
    limits = {"of": of, "choices": choices, "multiple_of": multiple_of}
    return _announcing("network", name, image_size=image_size, **limits, **defaults)


def dataset(
    name: str, *, image_size: int | None = None, of: str | None = None, **defaults: Any
) -> Callable[[Thing], Thing]:
    """(data config, limits) → uint8 images [N, 3, size, size], or an ImageDataset: `data=NAME`.

    Args:
        image_size: in pixels, where there is no choice; of="points" returns a PointDataset, and has 1.
        defaults: of its keys; they decide which types these take. Of the package's own, configs/data has them.
    """
    return _announcing("dataset", name, image_size=image_size, of=of, **defaults)


def extractor(
    name: str, *, dimensions: int, frechet: str | None = None, kernel: str | None = None
) -> Callable[[Thing], Thing]:
    """(device, weights' file or None) → a function from uint8 images [B, 3, H, W] to features [B, dimensions], or that
    and a text which tells its weights apart from others: `fid.features=[NAME]`.

    Args:
        frechet, kernel: what the distances on its features are called; None: fd_NAME, kd_NAME.
    """
    return _announcing("extractor", name, dimensions=dimensions, frechet=frechet, kernel=kernel)


def _announcing(kind: str, name: str, **attributes: Any) -> Callable[[Thing], Thing]:
    def announce(value: Thing) -> Thing:
        plugin = _loading[-1] if _loading else None
        module = getattr(value, "__module__", "")
        known = _entries(kind).get(name)
        if known is not None and (known.module, known.plugin) != (module, plugin):
            whose = f"plugin {known.plugin.name}" if known.plugin else "rgan_bench itself"
            raise UserError(f"the {kind} {name} is there already, from {whose}; give it another name")
        if known is not None and known.value not in (None, value):
            raise UserError(f"the {kind} {name} is registered twice; give one of the two another name")
        _announced[kind, name] = Entry(kind, name, module, attributes, value, plugin)
        return value

    return announce


# --- looking up -------------------------------------------------------------------------------------------------------


def names(kind: str) -> list[str]:
    """In the order of their definition, those of plugins last."""
    return list(_entries(kind))


def attributes(kind: str, name: str) -> dict[str, Any]:
    """What the decorator was told; empty where there is no such thing."""
    entry = _entries(kind).get(name)
    return entry.attributes if entry else {}


def get(kind: str, name: str) -> Any:
    """
    Raises:
        ValueError: there is no such thing.
    """
    entry = _entries(kind).get(name)
    if entry is None:
        raise ValueError(f"{kind}={name!r}: must be one of {', '.join(names(kind))}")
    if entry.value is None:
        importlib.import_module(entry.module)
        entry = _announced[kind, name]
    return entry.value


def plugin_of(kind: str, name: str) -> Plugin | None:
    """That a thing comes from; None where it is the package's own."""
    entry = _entries(kind).get(name)
    return entry.plugin if entry else None


def _entries(kind: str) -> dict[str, Entry]:
    found = dict(_own(kind))
    found.update({name: entry for (each, name), entry in _announced.items() if each == kind})
    return found


@cache
def _own(kind: str) -> dict[str, Entry]:
    """The package's own things of a kind, from decorators in its source."""
    package = Path(__file__).resolve().parent
    place = package / OWN[kind]
    found = {}
    for path in sorted(place.glob("*.py")) if place.is_dir() else [place]:
        text = path.read_text(encoding="utf-8")
        if f"@{kind}(" not in text:
            continue
        module = ".".join((package.name, *path.relative_to(package).with_suffix("").parts))
        for node in ast.parse(text).body:
            # Decorators run from the last to the first.
            for call in reversed(getattr(node, "decorator_list", [])):
                if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == kind:
                    told = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords if keyword.arg}
                    name = ast.literal_eval(call.args[0])
                    found[name] = Entry(kind, name, module, told)
    return found


# --- plugins ----------------------------------------------------------------------------------------------------------


def load_plugins(wanted: Iterable[str]) -> list[Plugin]:
    """Imports modules by name, or files by path, so that what they announce is there. Once each in a process.

    Raises:
        UserError: there is no such plugin, its import fails, or it takes a name that is taken.
    """
    return [_loaded.get(name) or _load(name) for name in wanted]


def loaded_plugins() -> list[Plugin]:
    return list(_loaded.values())


def _load(name: str) -> Plugin:
    here = str(Path.cwd())
    if not _is_path(name) and here not in sys.path:
        sys.path.append(here)  # console scripts do not look where they are called
    spec = _find(name)
    if spec is None or spec.origin is None or spec.loader is None:
        raise UserError(f"plugins=[{name}]: there is no such {'file' if _is_path(name) else 'module'} of Python")
    origin = Path(spec.origin)
    sources = sorted(origin.parent.rglob("*.py")) if origin.name == "__init__.py" else [origin]
    before = dict(_announced)
    try:
        texts = {path.relative_to(origin.parent).as_posix(): path.read_text(encoding="utf-8") for path in sources}
        digest = hashlib.sha256(repr(sorted(texts.items())).encode()).hexdigest()[:16]
        plugin = Plugin(name, texts, digest)
        _loading.append(plugin)
        module = sys.modules.get(spec.name) or importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[spec.name]
            raise
        finally:
            _loading.pop()
    except Exception as error:  # somebody's code may raise anything
        _announced.clear()
        _announced.update(before)
        reason = one_line(error) if isinstance(error, UserError) else f"{type(error).__name__}: {one_line(error)}"
        raise UserError(f"plugins=[{name}]: cannot be imported ({reason})") from error
    _loaded[name] = plugin
    return plugin


def _find(name: str) -> importlib.machinery.ModuleSpec | None:
    if not _is_path(name):
        try:
            return importlib.util.find_spec(name)
        except (ImportError, ValueError):  # a parent that is not there; an empty name
            return None
    path = Path(name).expanduser().resolve()
    if not path.is_file():
        return None
    # A name of its own for each path: two files called my_losses.py are two modules.
    unique = hashlib.sha256(str(path).encode()).hexdigest()[:8]
    return importlib.util.spec_from_file_location(f"rgan_plugin_{path.stem}_{unique}", path)


def _is_path(name: str) -> bool:
    return name.endswith(".py") or "/" in name


def forget_plugins() -> None:
    """As if none had been loaded; for tests."""
    _loaded.clear()
    for key in [key for key, entry in _announced.items() if entry.plugin]:
        del _announced[key]


__all__ = ["comparison", "dataset", "extractor", "function", "network", "penalty"]
