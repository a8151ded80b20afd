"""What a name in a config can mean: one list of the parts of losses, the networks, data sets, extractors and sinks.

A thing announces itself where it is defined, with a decorator, in this package or in a plugin of yours:

    @function("softhinge")
    def softhinge(logits, real): ...

Imports no torch. A mistaken name should cost a moment, and importing torch takes seconds: so the names of the package's
own things are read from its source, and their modules are imported only when a thing itself is asked for.
"""

import ast
import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from rgan_bench.errors import UserError

Thing = TypeVar("Thing")

# Where the package's own things stand: modules, or folders of modules.
OWN = {
    "comparison": "gan/losses.py",
    "function": "gan/losses.py",
    "penalty": "gan/penalties.py",
    "network": "gan/networks",
    "dataset": "data",
    "extractor": "scoring/extractors",
    "sink": "run/sinks",
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


announced: dict[tuple[str, str], Entry] = {}
loading: list[Plugin] = []  # whose module is being imported


# --- announcing -------------------------------------------------------------------------------------------------------


def comparison(name: str) -> Callable[[Thing], Thing]:
    """(logits of reals, logits of fakes) → what is scored of each: `loss.comparison=NAME`."""
    return _announcing("comparison", name)


def function(name: str) -> Callable[[Thing], Thing]:
    """(logits, whether they should be judged real) → a loss for each: `loss.function=NAME`."""
    return _announcing("function", name)


def penalty(
    name: str,
    *,
    points: tuple[str, ...] | None = None,
    norm: str | None = None,
    shape: str | None = None,
    reduce: str | None = None,
    weight: float | None = None,
    needs: tuple[str, ...] | None = None,
    memory: int | None = None,
    first_order: bool | None = None,
) -> Callable[[Thing], Thing]:
    """(discriminator, reals, fakes, u) → a scalar, which `loss.penalty_weight` multiplies: `loss.penalty=NAME`.

    Args:
        points: some of real, fake, mixed, near: the penalty is then a function of the discriminator's gradient with
            respect to images there, [B, C, H, W] → a scalar, added up over the points.
        norm, shape, reduce: with points: keywords that its function takes, with their values where nothing else is
            asked for. All three or none.
        weight: where `loss.penalty_weight` is null; None: 10.
        needs: without points, further keywords that its function takes: `logits` ({real, fake}, [B, 1] each, as the
            step has them), `noise` ({real, fake}, ~ N(0, 1), of the shape of the images), `memory`.
        memory: of so many numbers, a tensor that starts as zeros and is part of the training's state; to be changed in
            place.
        first_order: whether it takes no second derivative, and can be compiled.
    """
    parts = {"points": points, "norm": norm, "shape": shape, "reduce": reduce}
    return _announcing("penalty", name, **parts, weight=weight, needs=needs, memory=memory, first_order=first_order)


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
    name: str,
    *,
    dimensions: int,
    frechet: str | None = None,
    kernel: str | None = None,
    inception_score: str | None = None,
    mark: dict[str, tuple[int, ...]] | None = None,
) -> Callable[[Thing], Thing]:
    """(device, weights' file or None) → a function from uint8 images [B, 3, H, W] to features [B, dimensions]; or that
    and a text which tells its weights apart from others; or these and a function from features to logits of classes:
    `fid.features=[NAME]`.

    Args:
        frechet, kernel: what the distances on its features are called; None: fd_NAME, kd_NAME.
        inception_score: what the score by its classes is called; None: it has no classes.
        mark: names and shapes of tensors by which the file that it reads, `fid.weights`, is known among others.
    """
    named = {"frechet": frechet, "kernel": kernel, "inception_score": inception_score}
    return _announcing("extractor", name, dimensions=dimensions, **named, mark=mark)


def sink(name: str, *, needs: str | None = None) -> Callable[[Thing], Thing]:
    """(run folder, config) → a `rgan_bench.run.sinks.Sink`, which is told of the run: `logger=NAME`.

    Args:
        needs: a package that must be installed. Of our own sinks, the extra of the sink's name brings it.
    """
    return _announcing("sink", name, needs=needs)


def _announcing(kind: str, name: str, **attributes: Any) -> Callable[[Thing], Thing]:
    def announce(value: Thing) -> Thing:
        plugin = loading[-1] if loading else None
        module = getattr(value, "__module__", "")
        known = _entries(kind).get(name)
        if known is not None and (known.module, known.plugin) != (module, plugin):
            whose = f"plugin {known.plugin.name}" if known.plugin else "rgan_bench itself"
            raise UserError(f"the {kind} {name} is there already, from {whose}; give it another name")
        if known is not None and known.value not in (None, value):
            raise UserError(f"the {kind} {name} is registered twice; give one of the two another name")
        announced[kind, name] = Entry(kind, name, module, attributes, value, plugin)
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
        entry = announced[kind, name]
    return entry.value


def plugin_of(kind: str, name: str) -> Plugin | None:
    """That a thing comes from; None where it is the package's own."""
    entry = _entries(kind).get(name)
    return entry.plugin if entry else None


def _entries(kind: str) -> dict[str, Entry]:
    found = dict(_own(kind))
    found.update({name: entry for (each, name), entry in announced.items() if each == kind})
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


__all__ = ["comparison", "dataset", "extractor", "function", "network", "penalty", "sink"]
