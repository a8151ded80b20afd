"""Plugins: modules from outside the package, imported for what they announce to the register. Imports no torch."""

import hashlib
import importlib.machinery
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path

from rgan_bench import register
from rgan_bench.errors import UserError, one_line
from rgan_bench.register import Plugin

_loaded: dict[str, Plugin] = {}  # name → plugin


def load_plugins(wanted: Iterable[str]) -> list[Plugin]:
    """Imports modules by name, or files by path, so that what they announce is there. Once each in a process.

    Raises:
        UserError: there is no such plugin, its import fails, or it takes a name that is taken.
    """
    return [_loaded.get(name) or _load(name) for name in wanted]


def _load(name: str) -> Plugin:
    here = str(Path.cwd())
    if not _is_path(name) and here not in sys.path:
        sys.path.append(here)  # console scripts do not look where they are called
    spec = _find(name)
    if spec is None or spec.origin is None or spec.loader is None:
        raise UserError(f"plugins=[{name}]: there is no such {'file' if _is_path(name) else 'module'} of Python")
    origin = Path(spec.origin)
    sources = sorted(origin.parent.rglob("*.py")) if origin.name == "__init__.py" else [origin]
    before = dict(register.announced)
    try:
        texts = {path.relative_to(origin.parent).as_posix(): path.read_text(encoding="utf-8") for path in sources}
        digest = hashlib.sha256(repr(sorted(texts.items())).encode()).hexdigest()[:16]
        plugin = Plugin(name, texts, digest)
        register.loading.append(plugin)
        module = sys.modules.get(spec.name) or importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[spec.name]
            raise
        finally:
            register.loading.pop()
    except Exception as error:  # somebody's code may raise anything
        register.announced.clear()
        register.announced.update(before)
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
    for key in [key for key, entry in register.announced.items() if entry.plugin]:
        del register.announced[key]
