"""Question 4b: whether the averaged generator scores better than the generator itself, loss by loss.

python averages.py RESULTS prints a table: the difference within each run, by a paired t-test over seeds, with Holm's
correction over the losses.
"""

import sys
from pathlib import Path
from statistics import fmean

from rgan_bench.report.formats import number, with_sign
from rgan_bench.report.protocols import average_draws, choose_protocol
from rgan_bench.report.reading import find_runs
from rgan_bench.report.statistics import compare_table

SCORE = "fd_efficientnet-lite0"


def main(results: str) -> None:
    values: dict[str, dict[str, list[tuple[int, float | None]]]] = {}
    for generator, score in (("itself", SCORE), ("average", f"{SCORE}_ema")):
        chosen = average_draws(choose_protocol(find_runs([Path(results)]), score))
        for run in chosen.runs:
            values.setdefault(run.row, {}).setdefault(generator, []).append((run.seed, run.final(score)))
    print("| loss | itself | average | difference [95 % interval] | Holm-adjusted p | lower in |")
    print("| --- | --- | --- | --- | --- | --- |")
    tests = compare_table([{"one": each["average"], "two": each["itself"]} for each in values.values()])
    for (loss, each), found in zip(values.items(), tests, strict=True):
        pairs = [(dict(each["average"])[seed], value) for seed, value in each["itself"]]
        both = [(one, two) for one, two in pairs if one is not None and two is not None]
        means = [number(fmean(side), SCORE) for side in zip(*both, strict=True)]
        test = found[0] if found else None
        told = "— | —"
        if test is not None and test.ci is not None and test.p_holm is not None:
            low, high = (with_sign(end, SCORE) for end in test.ci)
            told = f"{with_sign(test.difference, SCORE)} [{low}, {high}] | {test.p_holm:.2g}"
        print(f"| {loss} | {means[1]} | {means[0]} | {told} | {sum(one < two for one, two in both)} of {len(both)} |")


if __name__ == "__main__":
    main(*sys.argv[1:])
