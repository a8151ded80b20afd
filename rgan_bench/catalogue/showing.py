"""One run in full: how it stands, its settings, scores and curves, and in what it differs from another."""

from collections.abc import Iterator, Sequence

from omegaconf import OmegaConf
from rich.console import Console, Group, RenderableType
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from rgan_bench.catalogue.columns import duration
from rgan_bench.catalogue.command import departures
from rgan_bench.catalogue.entry import FoundRun
from rgan_bench.catalogue.listing import STYLES, grid, put
from rgan_bench.catalogue.plot import plot
from rgan_bench.config.combinations import shown
from rgan_bench.console import score_label
from rgan_bench.errors import UserError
from rgan_bench.report.formats import MISSING, number, with_sign
from rgan_bench.report.metrics import read_curves
from rgan_bench.report.parts import printable
from rgan_bench.report.runs import Score

WIDE, NARROW = (64, 8), (28, 5)  # characters of a plot, without its labels
PANEL, WIDEST = 40, 120  # characters of a narrow one with them; of several side by side
KINDS = ("loss", "logits")  # of the curves in metrics.jsonl


def show(run: FoundRun, other: FoundRun | None, on: Console, *, whole_config: bool) -> None:
    """Prints it all.

    Args:
        whole_config: every key, as YAML, instead of those that depart from the defaults.
    """
    for part in (standing(run), *settings(run, whole_config), *scores(run), *differences(run, other), *curves(run, on)):
        put(on, part, "")


def heading(text: str) -> Text:
    return Text(text, style="bold")


def standing(run: FoundRun) -> RenderableType:
    done = MISSING if run.iteration is None else f"{run.iteration:,}"
    of = "" if run.iterations is None else f" of {run.iterations:,}"
    rate = f", {run.rate:.3g} it/s" if run.rate else ""
    rows: list[tuple[str, str | Text]] = [
        ("folder", printable(run.path)),
        ("status", Text(run.status, style=STYLES.get(run.status, ""))),
        ("iteration", f"{done}{of}{rate}"),
        ("changed", f"{duration(run.age)} ago"),
        ("size", decimal(run.bytes)),
    ]
    if run.run:
        rows += [("failed", run.run.failure or "")] * bool(run.run.failure)
        rows += [("note", trouble) for trouble in run.run.troubles()]
        made = ", ".join(f"{key} {shown(value)}" for key, value in run.run.versions.items())
        rows += [("made by", made)] * bool(made)
    rows += [("problem", run.problem)] * bool(run.problem)
    rows += [("command", run.command or "")] * bool(run.command)
    return block(run.name, rows)


def block(title: str, rows: Sequence[tuple[str, str | Text]]) -> RenderableType:
    """Names and texts; a text that is too long goes on below itself."""
    table = grid((("", False), ("", False)), rows)
    table.show_header = False
    table.columns[1].no_wrap, table.columns[1].overflow = False, "fold"
    return Group(heading(title), table)


def settings(run: FoundRun, whole: bool) -> Iterator[RenderableType]:
    if not run.config:
        return
    if whole:
        yield Group(heading("config"), Text(OmegaConf.to_yaml(OmegaConf.create(run.config)).rstrip()))
        return
    try:
        apart = departures(run.config)
    except UserError as error:  # of a version or a plugin that is not here
        apart = [f"the defaults are not known: {error}"]
    yield Group(
        heading("settings that depart from the defaults (--config: all)"), Text("  ".join(map(printable, apart)))
    )


def scores(run: FoundRun) -> Iterator[RenderableType]:
    if not run.scores:
        return
    header = [(name, name != "score") for name in ("score", "last", "at", "best", "at", "mean ± SD of draws")]
    yield Group(heading("scores"), grid(header, [score_row(name, score) for name, score in run.scores.items()]))
    told = {
        name: ", ".join(f"{key} {shown(value)}" for key, value in score.protocol.items())
        for name, score in run.scores.items()
    }
    yield block("protocols", [*told.items()])


def score_row(name: str, score: Score) -> list[str]:
    (at, value), (best_at, best) = score.final, score.best
    drawn = MISSING
    if score.mean is not None and score.sd is not None:
        drawn = f"{number(score.mean, name)} ± {score.sd:.2g} ({score.draws})"
    label = score_label(name, score.protocol)
    return [label, number(value, name), f"{at:,}", number(best, name), f"{best_at:,}", drawn]


def differences(run: FoundRun, other: FoundRun | None) -> Iterator[RenderableType]:
    """What is set otherwise in another run, and by how much its scores are higher."""
    if other is None:
        return
    keys = [
        key
        for key in {**run.settings, **other.settings}
        if run.settings.get(key) != other.settings.get(key) and key not in ("loss", "arch", "data")  # but their names
    ]
    rows = [[key, shown(run.settings.get(key)), shown(other.settings.get(key))] for key in keys]
    header = [("", False), (run.name, False), (other.name, False)]
    equal = Text("none" if run.config and other.config else "not known")
    yield Group(heading("settings that differ"), grid(header, rows) if rows else equal)
    rows = []
    for name in (name for name in run.scores if name in other.scores):
        mine, theirs = run.scores[name], other.scores[name]
        same = mine.protocol == theirs.protocol
        difference = with_sign(theirs.final[1] - mine.final[1], name) if same else "other protocol: not comparable"
        rows.append([name, *(f"{number(s.final[1], name)} at {s.final[0]:,}" for s in (mine, theirs)), difference])
    if rows:
        header = [("", False), (run.name, True), (other.name, True), ("difference", True)]
        note = Text("Of one run each: rgan-table says whether losses differ, from several seeds.", style="dim")
        yield Group(heading("scores, the last of each"), grid(header, rows), note)


def curves(run: FoundRun, on: Console) -> Iterator[RenderableType]:
    """The histories of the scores, and losses and logits from metrics.jsonl."""
    ascii_only = "utf" not in on.encoding.lower()

    def panel(title: str, points: Sequence[tuple[float, float]], size: tuple[int, int]) -> RenderableType:
        return Group(heading(title), Text("\n".join(plot(points, *size, ascii_only=ascii_only)), no_wrap=True))

    for name, score in run.scores.items():
        if len(score.history) > 1:
            yield panel(f"{name} over the iterations", score.history, WIDE)
    found = read_curves(run.path)
    panels = [
        panel(printable(name), points, NARROW)
        for kind in KINDS
        for name, points in found.items()
        if name.split("/")[0] == kind and len(points) > 1
    ]
    if panels:
        side_by_side = max(1, min(on.width, WIDEST) // PANEL)
        table = Table.grid(padding=(0, 2, 1, 0))
        for start in range(0, len(panels), side_by_side):
            table.add_row(*panels[start : start + side_by_side])
        yield table
