"""The faces that rgan-prepare-cat made."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from rgan_bench.config.schema import LimitsConfig
from rgan_bench.data.dataset import ImageDataset
from rgan_bench.data.folder import load_images
from rgan_bench.errors import UserError
from rgan_bench.files import is_folder, reason
from rgan_bench.register import dataset


@dataset("cat256", image_size=256)
@dataset("cat128", image_size=128)
@dataset("cat64", image_size=64)
def load(data: Any, limits: LimitsConfig) -> ImageDataset:
    """All faces of one size.

    Raises:
        UserError: the folder is not there, or holds no images or unreadable ones.
    """
    root = Path(data.root)
    try:
        folder = is_folder(root)
    except OSError as error:
        raise UserError(f"data={data.name}: data.root={root} cannot be reached ({reason(error)})") from error
    if not folder:
        raise UserError(
            f"data={data.name}: there is no folder {root}; make it with "
            f"`rgan-prepare-cat --source CAT_ARCHIVES --out {root.parent}`, or say where it is with data.root"
        )
    return replace(load_images(root, data.image_size, limits), name=data.name)
