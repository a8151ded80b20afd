"""What the cells and headers of tables say, in any format."""

from rgan_bench.config.combinations import shown
from rgan_bench.report.cells import Cell, Table
from rgan_bench.scoring.protocol import is_fid

MISSING = "—"


def number(value: float, score: str) -> str:
    """FIDs with two decimals, as the paper prints them; other distances with four digits."""
    return f"{value:.2f}" if is_fid(score) else f"{value:.4g}"


def cell_text(cell: Cell, score: str) -> str:
    """ "31.98", with several seeds "31.98 ± 1.20 (3 seeds)"; what has no value says why."""
    parts = []
    if cell.mean is not None:
        text = number(cell.mean, score)
        if cell.sd is not None:
            text += f" ± {number(cell.sd, score)} ({len(cell.values)} seeds)"
        parts.append(text)
    parts += cell.states
    return "; ".join(parts) or MISSING


def difference_text(cell: Cell, score: str) -> str:
    return MISSING if cell.difference is None else with_sign(cell.difference, score)


def with_sign(value: float, score: str) -> str:
    return f"{'+' if value >= 0 else '−'}{number(abs(value), score)}"


def printed_text(cell: Cell) -> str:
    return MISSING if cell.paper is None else f"{cell.paper:.2f}"


def own_texts(table: Table, row: str) -> list[str]:
    return [shown(table.own[row][key]) for key in table.own_keys]


def header(table: Table) -> list[str]:
    names = [table.down, *table.own_keys]
    for column in table.columns:
        names += [column.title, "paper", "difference"] if table.beside_paper else [column.title]
    return names


def line(table: Table, row: str, bold: str = "{}") -> list[str]:
    """The texts of a row; `bold` is a format for the best of a column."""
    texts = [row, *own_texts(table, row)]
    for column in table.columns:
        cell = column.cells[row]
        ours = cell_text(cell, table.score)
        texts.append(bold.format(ours) if cell.best else ours)
        if table.beside_paper:
            texts += [printed_text(cell), difference_text(cell, table.score)]
    return texts
