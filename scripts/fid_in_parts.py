"""rgan-fid with a stopwatch around its parts. Their seconds go as JSON to the file that FID_PARTS names, or to stdout.

On a GPU each part waits for the device to finish, so that what would overlap is told apart.
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

SECONDS = dict.fromkeys(("inside the extractor", "drawing fakes", "sums", "distances"), 0.0)


def now() -> float:
    import torch

    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return time.perf_counter()


def timed(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        started = now()
        try:
            return function(*args, **kwargs)
        finally:
            SECONDS[part] += now() - started

    return wrapper


def timed_batches(part: str, function: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    def wrapper(*args: Any, **kwargs: Any) -> Iterator[Any]:
        batches = function(*args, **kwargs)
        take = timed(part, lambda: next(batches, None))
        while (batch := take()) is not None:
            yield batch

    return wrapper


def main() -> None:
    from rgan_bench.cli.fid import main
    from rgan_bench.scoring import metrics, scorer
    from rgan_bench.scoring.extractors import Extractor

    Extractor.__call__ = timed("inside the extractor", Extractor.__call__)  # type: ignore[method-assign]
    metrics.Collector.add = timed("sums", metrics.Collector.add)  # type: ignore[method-assign]
    scorer.sample = timed_batches("drawing fakes", scorer.sample)
    scorer.measure = timed("distances", scorer.measure)
    main()
    Path(os.environ.get("FID_PARTS", "/dev/stdout")).write_text(json.dumps(SECONDS) + "\n")


if __name__ == "__main__":
    main()
