"""`rgan-fid` for Python."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rgan_bench.api.bench import Bench
from rgan_bench.api.options import Options, check, check_path
from rgan_bench.console import silent
from rgan_bench.errors import UserError
from rgan_bench.plugins import load_plugins
from rgan_bench.scoring.fid_json import Row


def score(*paths: str | Path, plugins: Iterable[str] = (), quiet: bool = False, **options: Any) -> list[Row]:
    """What `rgan-fid PATHS` does: scores checkpoints, run folders (their last checkpoint) or folders of images.

        rgan_bench.score("outputs/…")  # the run's own score once more

    Args:
        plugins: modules or files that parts of the checkpoints come from.
        quiet: print nothing.
        options: `num_samples=5000`, `features=["pixels"]`, `data="cifar10"`, `ema=True`, …: those of `rgan-fid`, as
            `rgan_bench.api.options.Options` has them.

    Returns:
        The rows of `rgan-fid --json`: path, iteration, score (its name), value, protocol. pandas.DataFrame takes them.

    Raises:
        UserError: something cannot be scored; nothing is kept of the others.
    """
    known = Options.__dataclass_fields__
    for name in options:
        if name not in known:
            raise UserError(f"{name}: no option of rgan-fid; one of: {', '.join(known)}")
    wanted = Options(**options)
    if wanted.real_stats is not None:
        wanted.real_stats = Path(wanted.real_stats)
    if not paths:
        raise UserError("score: name what to score: a checkpoint, a run folder, or images")
    load_plugins(plugins)
    check(wanted)
    places = [Path(path) for path in paths]
    for path in places:
        check_path(path, wanted)
    with silent(quiet):
        bench = Bench(wanted, strict=True)
        return [row for path in places for row in bench.rows(path)]
