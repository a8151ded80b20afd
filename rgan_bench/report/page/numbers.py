"""How many digits a table's numbers deserve."""

import math
from statistics import median

from rgan_bench.report.cells import Table
from rgan_bench.scoring.protocol import is_fid

MOST_DECIMALS = 6


def decimals(table: Table) -> int:
    """So many that the standard error of a mean shows two digits, the same in the whole table. With single seeds: two
    of an FID, as papers print it, else four digits in all."""
    cells = [cell for column in table.columns for cell in column.cells.values() if cell.mean is not None]
    errors = [cell.sd / math.sqrt(len(cell.values)) for cell in cells if cell.sd]
    if errors:
        return limited(1 - magnitude(median(errors)))
    means = [abs(cell.mean) for cell in cells if cell.mean]
    return 2 if is_fid(table.score) or not means else limited(3 - magnitude(median(means)))


def magnitude(value: float) -> int:
    return math.floor(math.log10(value))


def limited(count: int) -> int:
    return max(0, min(MOST_DECIMALS, count))


def fixed(value: float, places: int) -> str:
    """With a true minus; numbers that no table has room for as 1.234e+20."""
    text = f"{value:.{places}f}" if abs(value) < 1e7 else f"{value:.4g}"
    return text.replace("-", "−")


def signed(value: float, places: int) -> str:
    text = fixed(abs(value), places)
    if not text.strip("0."):
        return text
    return f"{'−' if value < 0 else '+'}{text}"
