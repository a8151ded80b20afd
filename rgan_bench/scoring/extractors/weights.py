"""Files of weights: found, downloaded once, looked into before they are trusted, and given to whom they fit."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch

from rgan_bench import register
from rgan_bench.errors import UserError, one_line


@dataclass(frozen=True)
class Published:
    """The weights of an extractor, as others have published them.

    Attributes:
        features: the extractor's name.
        network: whose weights they are, for people.
        url: of the file; its last part is its name in torch's cache.
        shapes: tensors that the file must have besides those of the extractor's `mark`.
        foreign: names that it does not have, and files of similar networks do.
    """

    features: str
    network: str
    url: str
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    foreign: tuple[str, ...] = ()

    def downloaded(self, hash_prefix: str | None = None) -> Path:
        """The file in torch's cache, fetched if it is not there.

        Args:
            hash_prefix: how the SHA-256 of the content begins.

        Raises:
            UserError: it cannot be had.
        """
        path = Path(torch.hub.get_dir()) / "checkpoints" / self.url.rsplit("/", 1)[-1]
        if path.exists():
            return path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(self.url, str(path), hash_prefix=hash_prefix)
        except (URLError, OSError, RuntimeError) as error:
            raise UserError(
                f"fid.features={self.features}: cannot download {self.url} ({one_line(error)}); put that file at "
                f"{path}, or name it with fid.weights=PATH, or score without it: fid.features=[pixels]"
            ) from error
        return path

    def read(self, path: Path, what: str) -> dict[str, Any]:
        """The file's content, read without running anything in it.

        Args:
            what: how an error names the file.

        Raises:
            UserError: there is no such file, or it holds something else.
        """
        content = read(path, what, f"must hold {self.network} weights", f", as in {self.url}")
        mark = register.attributes("extractor", self.features)["mark"]
        if not has(content, mark | self.shapes) or any(key in content for key in self.foreign):
            raise UserError(
                f"{what}={path}: holds other weights than {self.network} ({described(mark)}); get {self.url}"
            )
        assert isinstance(content, dict)  # it has tensors by their names
        return content


def read(path: Path, what: str, wanted: str, example: str = "") -> Any:
    """
    Raises:
        UserError: there is no such file, or none of weights.
    """
    if not path.is_file():
        raise UserError(f"{what}={path}: there is no such file; it {wanted}")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever an unpickler may stumble over
        raise UserError(
            f"{what}={path}: not a file of weights ({one_line(error)[:200]}); it {wanted}{example}"
        ) from error


def share(features: list[str], weights: str | None) -> dict[str, str | None]:
    """Extractor's name → the file of weights that it gets of `fid.weights`.

    Where several of them read weights, the file is for the one that it fits; the others find or download their own.

    Raises:
        UserError: there are several, and it fits none of them.
    """
    marks = {name: mark for name in features if (mark := register.attributes("extractor", name).get("mark"))}
    if weights is None or len(marks) < 2:
        return dict.fromkeys(features, weights)
    content = read(Path(weights), "fid.weights", f"must hold the weights of {' or '.join(marks)}")
    fitting = [name for name, mark in marks.items() if has(content, mark)]
    if not fitting:
        known = ", ".join(f"{name} ({described(mark)})" for name, mark in marks.items())
        raise UserError(f"fid.weights={weights}: fits none of {known}; give the file of one of them, or null")
    return {name: None if name in marks and name not in fitting else weights for name in features}


def has(content: Any, shapes: dict[str, tuple[int, ...]]) -> bool:
    """Whether a file's content has tensors of these names and shapes."""
    content = content if isinstance(content, dict) else {}
    return {key: tuple(getattr(content.get(key), "shape", ())) for key in shapes} == shapes


def described(shapes: dict[str, tuple[int, ...]]) -> str:
    return " and ".join(f"its {name} is {'×'.join(map(str, shape))}" for name, shape in shapes.items())
