"""What people see: a block at the start, one bar, a block at the end. Readable when piped to a file."""

import contextlib
import sys
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from tqdm import tqdm

BIASED = "rank-deficient: fewer images than features, so the covariance has no full rank and the distance is biased"
RANK_DEFICIENT = f"{BIASED}; the kernel distance beside it is not"
PLAIN_INTERVAL = 10.0  # seconds between progress lines where there is no bar
ANNOUNCED = 3.0  # seconds: what takes longer is said before, where there is no bar
COLUMNS = 80  # where nobody tells how many there are

Thing = TypeVar("Thing")

_speaker = ""  # whose lines these are, where several runs write into one log
_silent = False


def speak_as(name: str) -> None:
    """From now on each line of this process begins with this name, and there is no bar: runs side by side share one
    terminal or log. Empty: neither."""
    global _speaker
    _speaker = f"{name}: " if name else ""


@contextlib.contextmanager
def silent(wanted: bool = True) -> Iterator[None]:
    """Within the block nothing is printed, if that is wanted."""
    global _silent
    before, _silent = _silent, wanted or _silent
    try:
        yield
    finally:
        _silent = before


def print_block(rows: Iterable[tuple[str, str]]) -> None:
    rows = list(rows)
    width = max(len(name) for name, _ in rows)
    for name, text in rows:
        tell(f"{name:<{width}}  {text}")


def tell(text: str) -> None:
    """A line on stdout."""
    if not _silent:
        print(f"{_speaker}{text}", flush=True)


def say(text: str) -> None:
    """A line on stderr that does not tear a bar apart. Where stderr is gone, nothing: no save may fail by it."""
    if _silent:
        return
    with contextlib.suppress(OSError, ValueError), tqdm.external_write_mode(file=sys.stderr):
        print(f"{_speaker}{text}", file=sys.stderr, flush=True)


def draws_bars() -> bool:
    """Whether a bar can be drawn: on a terminal, and in a notebook, of which one run alone writes there."""
    return not _silent and not _speaker and (sys.stderr.isatty() or in_notebook())


def in_notebook() -> bool:
    """Asked of what Jupyter has put in place of stderr: nothing of it need be imported here."""
    return type(sys.stderr).__module__.startswith("ipykernel.")


def new_bar(**settings: Any) -> Any:
    """tqdm's bar for wherever we are, or none."""
    kind: Any = tqdm
    if in_notebook():
        with warnings.catch_warnings(action="ignore"):  # without ipywidgets it is one of text, which will do
            from tqdm.auto import tqdm as kind
    return kind(disable=not draws_bars(), **settings)


def counted(batches: Iterable[Any], total: int, title: str) -> Iterator[Any]:
    """Passes batches of images through, with a bar while it lasts; where there is none, what takes long is announced
    after the first batch."""
    began = time.perf_counter()
    announced = False
    with new_bar(total=total, desc=title, unit="img", leave=False) as bar:
        for batch in batches:
            yield batch
            bar.update(len(batch))
            seconds = (time.perf_counter() - began) * (total / max(1, len(batch)) - 1)
            if not announced and seconds > ANNOUNCED and not draws_bars():
                say(f"{title}: {total:,} images, about {duration(seconds)}")
            announced = True


def watched(things: Sequence[Thing], title: str, unit: str) -> Iterator[Thing]:
    """Passes things through, with a bar while it lasts; where there is none, with a line now and then."""
    last = time.perf_counter()
    for number, thing in enumerate(new_bar(iterable=things, desc=title, unit=unit, leave=False)):
        if not draws_bars() and time.perf_counter() - last >= PLAIN_INTERVAL:
            last = time.perf_counter()
            say(f"{title}: {number:,} of {len(things):,}")
        yield thing


class Progress:
    """The one bar of a training run; where there is none, a line now and then. Scores are lines in either case: there
    may be many, and a bar has one line."""

    def __init__(self, done: int, total: int) -> None:
        self.total = total
        self.done = done
        self.notes: dict[str, str] = {}
        self.score = ""
        self.plain = not draws_bars()
        self.last_line = time.perf_counter()
        self.bar = new_bar(total=total, initial=done, unit="it", dynamic_ncols=True, smoothing=0.05)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *exception: object) -> None:
        self.bar.close()

    def step(self) -> None:
        self.done += 1
        self.bar.update()

    def note(self, values: Mapping[str, float], *, at_once: bool = False) -> None:
        """Shows these numbers from now on; without a bar in the next line, or at once."""
        self.notes |= {name: f"{value:.4g}" for name, value in values.items()}
        shown = [f"{name} {text}" for name, text in self.notes.items() if name != "it/s"]
        shown += [self.score] * bool(self.score)
        self.bar.set_postfix_str(fitting(shown, getattr(self.bar, "ncols", None) or COLUMNS, self.total), refresh=False)
        now = time.perf_counter()
        if self.plain and (at_once or now - self.last_line >= PLAIN_INTERVAL):
            self.line(self.notes)

    def scores(self, values: Mapping[str, float]) -> None:
        """A line of them. The first stays beside the bar as well."""
        if not values:
            return
        self.line({name: f"{value:.4g}" for name, value in values.items()})
        first = next(iter(values))
        self.score = f"{first} {values[first]:.4g}"
        if not self.plain:
            self.note({})

    def line(self, texts: Mapping[str, str]) -> None:
        self.last_line = time.perf_counter()
        shown = "  ".join(f"{name} {text}" for name, text in texts.items())
        say(f"iteration {self.done:,}/{self.total:,}  {shown}")


def fitting(shown: list[str], columns: int, total: int) -> str:
    """As many of these, from the first, as stand beside the bar whole: one that is cut in two is another number."""
    # 100%|█████| 1200/1200 [01:23:45<01:23:45, 123.45it/s, …]
    left = columns - len(f"100%|#####| {total}/{total} [01:23:45<01:23:45, 123.45it/s, ]")
    chosen: list[str] = []
    for text in shown:
        if len(", ".join([*chosen, text])) <= left:
            chosen.append(text)
    return ", ".join(chosen)


def duration(seconds: float) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def score_label(name: str, protocol: dict[str, Any]) -> str:
    """The score's name, with a warning where its value depends on there being few images."""
    return f"{name} (rank-deficient)" if protocol["rank_deficient"] else name
