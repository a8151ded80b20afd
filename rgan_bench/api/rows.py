"""What rgan-fid found, for people and for JSON."""

import math
from pathlib import Path
from typing import Any

from rgan_bench.console import BIASED, RANK_DEFICIENT, score_label
from rgan_bench.errors import UserError
from rgan_bench.scoring.fid_json import Row
from rgan_bench.scoring.protocol import Measured, spread


def rows_of(path: Path, iteration: int | None, draws: list[dict[str, float]], protocols: dict[str, Any]) -> list[Row]:
    """One row a score. Its value is the first draw's; where there are several, all values, their mean and SD stand
    beside it, and an error bar where the metric brings one.

    Raises:
        UserError: a value is not finite.
    """
    for scores in draws:
        if not all(map(math.isfinite, scores.values())):
            raise UserError(f"{path}: its score came out as {scores}")
    rows = []
    for name, value in draws[0].items():
        values = [scores[name] for scores in draws]
        row: Row = {"path": str(path), "iteration": iteration, "score": name, "value": value}
        row |= value.error if isinstance(value, Measured) else {}
        row |= {"values": values, **spread(values)} if len(values) > 1 else {}
        rows.append(row | {"protocol": protocols[name].as_dict()})
    return rows


def print_table(rows: list[Row]) -> None:
    spreads = any("draws" in row for row in rows)
    header = ("path", "iteration", "score", "value", *["mean ± SD"] * spreads, "fakes", "real", "batch norm")
    table = [header] + [
        (
            entry["path"].encode(errors="backslashreplace").decode(),  # a name need not be UTF-8
            "" if entry["iteration"] is None else f"{entry['iteration']:,}",
            score_label(entry["score"], entry["protocol"]),
            number(entry["value"]),
            *[f"{number(entry['mean'])} ± {entry['sd']:.2g}" if "draws" in entry else ""] * spreads,
            f"{entry['protocol']['num_samples']:,}",
            "given" if entry["protocol"]["num_real"] is None else f"{entry['protocol']['num_real']:,}",
            entry["protocol"]["batch_norm"],
        )
        for entry in rows
    ]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    left = {0, 2, len(header) - 1}
    for line in table:
        cells = (c.ljust(w) if i in left else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True)))
        print("  ".join(cells).rstrip())
    biased = [entry["protocol"] for entry in rows if entry["protocol"]["rank_deficient"]]
    if biased:
        print(BIASED if all(protocol["num_real"] is None for protocol in biased) else RANK_DEFICIENT)


def number(value: float) -> str:
    return f"{value:.4g}" if abs(value) < 1000 else f"{value:.1f}"
