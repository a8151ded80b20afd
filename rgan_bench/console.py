"""What people see: a block at the start, one bar, a block at the end. Readable when piped to a file."""

import contextlib
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any

from tqdm import tqdm

BIASED = "rank-deficient: fewer images than features, so the covariance has no full rank and the distance is biased"
RANK_DEFICIENT = f"{BIASED}; the kernel distance beside it is not"
PLAIN_INTERVAL = 10.0  # seconds between progress lines where there is no terminal to draw a bar on


def print_block(rows: Iterable[tuple[str, str]]) -> None:
    rows = list(rows)
    width = max(len(name) for name, _ in rows)
    for name, text in rows:
        print(f"{name:<{width}}  {text}")
    sys.stdout.flush()


def say(text: str) -> None:
    """A line on stderr that does not tear a bar apart. Where stderr is gone, nothing: no save may fail by it."""
    with contextlib.suppress(OSError, ValueError), tqdm.external_write_mode(file=sys.stderr):
        print(text, file=sys.stderr, flush=True)


def counted(batches: Iterable[Any], total: int, title: str) -> Iterator[Any]:
    """Passes batches of images through, with a bar while it lasts (on a terminal only)."""
    with tqdm(total=total, desc=title, unit="img", leave=False, disable=None) as bar:
        for batch in batches:
            yield batch
            bar.update(len(batch))


class Progress:
    """The one bar of a training run; without a terminal, a line now and then."""

    def __init__(self, done: int, total: int) -> None:
        self.total = total
        self.done = done
        self.notes: dict[str, str] = {}
        self.plain = not sys.stderr.isatty()
        self.last_line = time.perf_counter()
        self.bar = tqdm(total=total, initial=done, unit="it", disable=self.plain, dynamic_ncols=True, smoothing=0.05)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *exception: object) -> None:
        self.bar.close()

    def step(self) -> None:
        self.done += 1
        self.bar.update()

    def note(self, values: dict[str, float], *, at_once: bool = False) -> None:
        """Shows these numbers from now on; without a terminal in the next line, or at once."""
        self.notes |= {name: f"{value:.4g}" for name, value in values.items()}
        self.bar.set_postfix({name: text for name, text in self.notes.items() if name != "it/s"}, refresh=False)
        now = time.perf_counter()
        if self.plain and (at_once or now - self.last_line >= PLAIN_INTERVAL):
            self.last_line = now
            shown = "  ".join(f"{name} {value}" for name, value in self.notes.items())
            print(f"iteration {self.done:,}/{self.total:,}  {shown}", file=sys.stderr, flush=True)


def score_label(name: str, protocol: dict[str, Any]) -> str:
    """The score's name, with a warning where its value depends on there being few images."""
    return f"{name} (rank-deficient)" if protocol["rank_deficient"] else name
