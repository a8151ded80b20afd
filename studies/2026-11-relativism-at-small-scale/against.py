"""Question 4a: one loss against each other one, by the tests of rgan-table's sweep: python against.py RESULTS LOSS."""

import sys
from pathlib import Path

from rgan_bench.report.formats import number, with_sign
from rgan_bench.report.reading import find_runs
from rgan_bench.report.sweeps import sweep_table

SCORE = "fd_efficientnet-lite0"


def main(results: str, loss: str) -> None:
    table = sweep_table(find_runs([Path(results)]), SCORE)
    (column,) = table.columns
    mean = column.cells[loss].mean
    assert mean is not None
    head = f"{loss} ({number(mean, SCORE)}) minus it [95 % interval]"
    print(f"| other loss | its mean | {head} | Holm-adjusted p | lower in |")
    print("| --- | --- | --- | --- | --- |")
    mine = dict(column.cells[loss].seed_values)
    for other, test in column.against(loss).items():
        test, cell = test.seen_from(other), column.cells[other]
        told = "— | —"
        if test.ci is not None and test.p_holm is not None:
            low, high = (with_sign(end, SCORE) for end in test.ci)
            told = f"{with_sign(test.difference, SCORE)} [{low}, {high}] | {test.p_holm:.2g}"
        theirs = "—" if cell.mean is None else number(cell.mean, SCORE)
        both = [(one, value) for seed, value in cell.seed_values if (one := mine.get(seed)) is not None and value]
        print(f"| {other} | {theirs} | {told} | {sum(one < two for one, two in both)} of {len(both)} |")


if __name__ == "__main__":
    main(*sys.argv[1:])
