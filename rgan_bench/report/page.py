"""The tables as one self-contained page: tables, curves, sample grids, and each cell's protocol and command."""

import base64
import io
import warnings
from html import escape

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot

from rgan_bench.report.answers import answer_html
from rgan_bench.report.cells import Column, Table, runs_shown
from rgan_bench.report.formats import MISSING, cell_text, difference_text, header, number, printed_text
from rgan_bench.report.parts import printable
from rgan_bench.report.runs import Run
from rgan_bench.report.statistics import PairTest

STYLE = """
:root { color-scheme: light dark; --ink: #1c1e21; --paper: #fff; --line: #d5d9de; --soft: #5b6570; --mark: #e6f2ea; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e6ea; --paper: #16181c; --line: #3a3f46; --soft: #9aa4af; --mark: #1d3527; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.2rem; max-width: 75rem; font: 16px/1.5 system-ui, sans-serif;
  color: var(--ink); background: var(--paper); }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; } h3 { font-size: 1rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .92rem; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; background: var(--paper); }
td.best { font-weight: 700; background: var(--mark); }
td.state, td.printed, .note { color: var(--soft); }
.note { font-size: .9rem; }
.plots, .grids { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 22rem), 1fr)); }
.grids { grid-template-columns: repeat(auto-fill, minmax(min(100%, 13rem), 1fr)); }
figure { margin: 0; } figure svg, figure img { width: 100%; height: auto; display: block; }
figure img { image-rendering: pixelated; } figcaption { font-size: .85rem; color: var(--soft);
  overflow-wrap: anywhere; }
details { border-bottom: 1px solid var(--line); padding: .35rem 0; } summary { cursor: pointer; }
code, pre { font: .85rem/1.45 ui-monospace, monospace; } pre { white-space: pre-wrap; overflow-wrap: anywhere; }
"""


def page(tables: list[Table]) -> str:
    """HTML to be read offline, on a laptop or a phone, in light or dark."""
    body = "".join(section(table) for table in tables)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>rgan_bench: tables</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<h1>Tables of {runs_shown(tables):,} runs</h1>\n{body}</body>\n</html>\n"
    )


def section(table: Table) -> str:
    notes = "".join(f'<p class="note">{escape(note)}</p>\n' for note in table.notes)
    return (
        f"<h2>{escape(table.title)}</h2>\n{answer_html(table)}{grid_of_cells(table)}{notes}"
        f"{significance(table)}{curves(table)}{samples(table)}{provenance(table)}"
    )


def grid_of_cells(table: Table) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in header(table))
    rows = []
    for row in table.rows:
        cells = [f"<td>{escape(row)}</td>"]
        for column in table.columns:
            cell = column.cells[row]
            kind = "best" if cell.best else "state" if cell.mean is None else ""
            cells.append(f'<td class="{kind}">{escape(cell_text(cell, table.score))}</td>')
            if table.beside_paper:
                cells.append(f'<td class="printed">{escape(printed_text(cell))}</td>')
                cells.append(f"<td>{escape(difference_text(cell, table.score))}</td>")
        rows.append("<tr>" + "".join(cells) + "</tr>")
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead>\n<tbody>{"".join(rows)}</tbody></table></div>\n'


def significance(table: Table) -> str:
    """Which differences are significant, given the spread between seeds."""
    parts = [significance_of(column) for column in table.columns if column.pairs]
    if not parts:
        return ""
    explanation = "Paired t-test where seeds are shared, else Welch's; p with Holm's correction over the table."
    return f'<h3>Is the difference significant?</h3>\n<p class="note">{explanation}</p>\n{"".join(parts)}'


def significance_of(column: Column) -> str:
    rows = "".join(significance_row(pair) for pair in column.pairs)
    names = ("pair", "difference", "t", "p", "significant (Holm-adjusted p < 0.05)")
    head = "<tr>" + "".join(f"<th>{escape(name)}</th>" for name in names) + "</tr>"
    return (
        f"<details><summary>{escape(column.title)}</summary>"
        f'<div class="wide"><table><thead>{head}</thead><tbody>{rows}</tbody></table></div></details>\n'
    )


def significance_row(pair: PairTest) -> str:
    one, two = pair.pair
    texts = (
        f"{one} − {two}",
        f"{pair.difference:+.4g}",
        MISSING if pair.t is None else f"{pair.t:.2f}",
        MISSING if pair.p_holm is None else f"{pair.p_holm:.3g}",
        ("yes" if pair.significant else "no") + ", but seeds are missing" * pair.incomplete,
    )
    return "<tr>" + "".join(f"<td>{escape(text)}</td>" for text in texts) + "</tr>"


# --- curves -----------------------------------------------------------------------------------------------------------


def settings(table: Table) -> list[tuple[str, dict[str, list[Run]]]]:
    """(title, row → runs) a plot: one a column, but one for the four columns of table 3, which read the same runs."""
    columns = table.columns[:1] if table.name.startswith("table3") else table.columns
    return [
        (table.title if table.name.startswith("table3") else column.title, {r: c.runs for r, c in column.cells.items()})
        for column in columns
    ]


def curves(table: Table) -> str:
    plots = [plot(title, runs, table) for title, runs in settings(table)]
    plots = [svg for svg in plots if svg]
    return f'<h3>Score against iteration</h3>\n<div class="plots">{"".join(plots)}</div>\n' if plots else ""


def no_formula(text: str) -> str:
    """Matplotlib takes what stands between two dollars for a formula, and fails where it is none."""
    return text.replace("$", r"\$")


def plot(title: str, rows: dict[str, list[Run]], table: Table) -> str:
    """One line per loss (a thin one for each further seed)."""
    score = table.score
    style = pyplot.rc_context(
        {"svg.fonttype": "none", "svg.hashsalt": "rgan", "font.size": 9, "font.family": "sans-serif"}
    )
    with style, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a name that this font cannot write: the browser has others
        figure, axes = pyplot.subplots(figsize=(5, 3.4))
        palette = matplotlib.color_sequences["tab10"]
        for index, (row, runs) in enumerate(rows.items()):
            for repetition, run in enumerate(runs):
                history = run.scores[score].history if score in run.scores else []
                if history:
                    iterations, values = zip(*history, strict=True)
                    axes.plot(
                        iterations,
                        values,
                        color=palette[index % 10],
                        linestyle="-" if index < 10 else "--",
                        linewidth=1 if repetition else 1.6,
                        marker="." if len(history) < 30 else None,
                        label=None if repetition else no_formula(row),
                    )
        drawn = bool(axes.lines)
        axes.set(xlabel="iteration", ylabel=no_formula(table.label), title=no_formula(title))
        low, high = axes.dataLim.intervaly
        if (
            low > 0 and high > 10 * low
        ):  # untrained and trained, collapsed and converged: too far apart for a linear axis
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda value, _: f"{value:g}"))
        axes.spines[["top", "right"]].set_visible(False)
        if drawn:
            axes.legend(frameon=False, fontsize=7.5, ncols=2)
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True, bbox_inches="tight", metadata={"Date": None})
        pyplot.close(figure)
    if not drawn:
        return ""
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :].replace("#000000", "currentColor")  # black would vanish in the dark
    svg = svg.replace("<svg ", '<svg fill="currentColor" ', 1)
    return f"<figure>{svg}</figure>"


# --- samples and provenance -------------------------------------------------------------------------------------------


def samples(table: Table) -> str:
    figures = []
    for title, rows in settings(table):
        for row, runs in rows.items():
            grid = runs[0].grid() if runs else None
            if grid is not None:
                iteration, content = grid
                image = base64.b64encode(content).decode()
                caption = escape(f"{row}, {title}: iteration {iteration:,}")
                picture = f'<img alt="samples of {escape(row)}" src="data:image/png;base64,{image}">'
                figures.append(f"<figure>{picture}<figcaption>{caption}</figcaption></figure>")
    return f'<h3>Samples</h3>\n<div class="grids">{"".join(figures)}</div>\n' if figures else ""


def provenance(table: Table) -> str:
    """A fold-out a run: under which protocol, from which code, by which command."""
    parts = []
    for run in table.runs:
        protocol = run.scores[table.score].protocol if table.score in run.scores else {}
        final = run.final(table.score)
        shown = MISSING if final is None else number(final, table.score)
        facts = ", ".join(f"{key} {value}" for key, value in protocol.items())
        made = ", ".join(f"{key} {value}" for key, value in run.versions.items())
        parts.append(
            f"<details><summary>{escape(f'{run.loss}, seed {run.seed}: {shown} ({run.status})')}</summary>"
            f"<pre>{escape(run.command or '(made from Python)')}</pre>"
            f'<p class="note">protocol: {escape(facts)}<br>made by: {escape(made)}<br>'
            f"{escape(printable(run.folder))}</p></details>\n"
        )
    return f"<h3>Where each number comes from</h3>\n{''.join(parts)}" if parts else ""
