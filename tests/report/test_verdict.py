"""The sentences, as they should read, and their numbers against SciPy called directly."""

import csv
import html
import io
import json
from collections.abc import Callable

import numpy as np
import pytest
import scipy.stats

from rgan_bench.report import writers
from rgan_bench.report.cells import Table
from rgan_bench.report.latex import latex
from rgan_bench.report.page.answer import answers, side_tables
from rgan_bench.report.verdict import verdict
from tests.report.made import made_cell, made_table

SGAN, RASGAN = [40.0, 41.0, 39.5, 40.5, 42.0, 40.2], [31.0, 32.5, 30.0, 31.8, 33.1, 31.0]
LSGAN = [31.5, 32.4, 30.9, 31.7, 33.0, 31.3]
HOLM = (
    "Significant is p < 0.05 after Holm's correction over the whole table; each 95 % interval holds by itself, so one "
    "may lie clear of 0 all the same."
)
TOO_FEW = " For intervals by permutation, which suppose no normal distribution, there are too few seeds."
FEW = "Fewer than 5 seeds (2 at least): the spread is hardly known, and only large differences can be seen."
MISSING = (
    "Seeds are missing or diverged; what is left of such a cell is no fair sample, and it is never called the best."
)


def setting(metric: str = "frechet", down: str = "loss", **rows: object) -> Table:
    return made_table({"lr 1e-4": rows}, metric, down=down)  # type: ignore[dict-item]


GOLDEN: dict[str, tuple[Table, list[str], list[str]]] = {
    "one seed": (
        setting(sgan=[40.0], rasgan=[31.5], lsgan=["diverged at 1,200"]),
        [
            "lr 1e-4: rasgan has the lowest fid, 31.50 (1 seed). With one seed nothing can be said about noise. "
            "lsgan has no value (diverged at 1,200)."
        ],
        [
            "One seed each: nothing can be said about noise, and another seed may well turn the order round.",
            MISSING,
        ],
    ),
    "two seeds": (
        setting(sgan=[40.0, 42.0], rasgan=[31.5, 33.0]),
        [
            "lr 1e-4: rasgan has the lowest fid, 32.25 (2 seeds). Significantly worse: sgan by 8.75 (95 % CI 5.57 to "
            "11.93). With so many seeds and this spread, a difference of 4.08 would be found in 80 % of such tables.",
            "Tested: 1 pair; seeds are shared, so the tests are paired (t-test of the differences within seeds). "
            + HOLM + TOO_FEW,
        ],
        [FEW],
    ),
    "paired": (
        setting(sgan=SGAN, rasgan=RASGAN, lsgan=LSGAN),
        [
            "lr 1e-4: rasgan has the lowest fid, 31.57 (6 seeds). Not significantly worse: lsgan by 0.23 (95 % CI "
            "−0.20 to 0.67). Significantly worse: sgan by 8.97 (95 % CI 8.59 to 9.34). With so many seeds and this "
            "spread, a difference of 0.72 would be found in 80 % of such tables (0.55 if it were the only comparison).",
            "Tested: 3 pairs; seeds are shared, so the tests are paired (t-test of the differences within seeds; on "
            "average a seed's scores correlate with r = 0.97 between two of them). " + HOLM,
        ],
        [],
    ),
    "unpaired": (
        setting(sgan=SGAN[:5], rasgan=made_cell("rasgan", RASGAN[:5], first=6)),
        [
            "lr 1e-4: rasgan has the lowest fid, 31.68 (5 seeds). Significantly worse: sgan by 8.92 (95 % CI 7.30 to "
            "10.54). With so many seeds and this spread, a difference of 2.25 would be found in 80 % of such tables.",
            "Tested: 1 pair; seeds are not shared, so the tests are not paired (Welch's t-test). " + HOLM,
        ],
        [],
    ),
    "ties and no spread": (
        setting("modes", sgan=[8.0, 8.0], rasgan=[8.0, 8.0], lsgan=[7.0, 7.0]),
        [
            "lr 1e-4: sgan has the highest modes, 8 (2 seeds). Equal to it in every seed: rasgan. Worse, but without "
            "any spread that a test could go by: lsgan by 1.",
            "Tested: 3 pairs; seeds are shared, so the tests are paired (t-test of the differences within seeds). "
            + HOLM + TOO_FEW,
        ],
        [FEW, "Some pairs have no spread between seeds: no test is possible there."],
    ),
    "diverged": (
        setting(sgan=SGAN[:5], rasgan=[*RASGAN[:3], "diverged at 1,200", "diverged at 5"], lsgan=["diverged at 3"] * 5),
        [
            "lr 1e-4: sgan has the lowest fid of those with all their seeds, 40.60 (5 seeds). rasgan has no value from "
            "2 of 5 seeds (diverged at 1,200; diverged at 5); the others have a mean of 31.17, significantly better. "
            "lsgan has no value from any of 5 seeds (diverged at 3).",
            "Tested: 1 pair; seeds are shared, so the tests are paired (t-test of the differences within seeds; on "
            "average a seed's scores correlate with r = 1.00 between two of them). " + HOLM + TOO_FEW,
        ],
        [MISSING],
    ),
    "missing everywhere": (
        setting(sgan=[40.0, "unfinished at 5"], rasgan=["failed at 3", 3.0]),
        [
            "lr 1e-4: no loss is called the best. sgan has no value from 1 of 2 seeds (unfinished at 5); the other has "
            "40.00. rasgan has no value from 1 of 2 seeds (failed at 3); the other has 3.00."
        ],
        [FEW, MISSING],
    ),
    "one that can be judged": (
        setting(sgan=[40.0, 41.0], rasgan=["diverged at 9", "diverged at 9"]),
        [
            "lr 1e-4: sgan alone can be judged, with 40.50 (2 seeds). rasgan has no value from any of 2 seeds "
            "(diverged at 9)."
        ],
        [FEW, MISSING],
    ),
    "higher is better": (
        setting("modes", sgan=[20.0, 21.0, 19.0], rasgan=[24.0, 25.5, 22.9], down="arch.width"),
        [
            "lr 1e-4: arch.width=rasgan has the highest modes, 24.13 (3 seeds). Significantly worse: arch.width=sgan "
            "by 4.133 (95 % CI 3.335 to 4.932). With so many seeds and this spread, a difference of 1.049 would be "
            "found in 80 % of such tables.",
            "Tested: 1 pair; seeds are shared, so the tests are paired (t-test of the differences within seeds; on "
            "average a seed's scores correlate with r = 1.00 between two of them). " + HOLM + TOO_FEW,
        ],
        [FEW.replace("2 at", "3 at")],
    ),
    "some share their seeds": (
        setting(sgan=SGAN[:3], lsgan=LSGAN[:3], rasgan=made_cell("rasgan", RASGAN[:5], first=6), hinge=[30.0]),
        [
            "lr 1e-4: hinge has the lowest fid, 30.00 (1 seed). Not all have equally many seeds (1 to 5). With one "
            "seed in common or at all, no test is possible: sgan, lsgan, rasgan.",
            "Tested: 3 pairs; 1 of them share their seeds and are paired (t-test; on average a seed's scores correlate "
            "with r = 1.00 between two of them), the others not (Welch). " + HOLM,
        ],
        [FEW.replace("2 at", "1 at")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", GOLDEN)
def test_the_sentences(case: str) -> None:
    table, sentences, warnings = GOLDEN[case]
    found = verdict(table)
    assert found.sentences == sentences
    assert found.warnings == warnings


def test_their_numbers_are_scipy_s() -> None:
    (column,) = verdict(GOLDEN["paired"][0]).columns
    assert (column.leader, column.equal, column.worse, column.seeds) == ("rasgan", ["lsgan"], ["sgan"], (6, 6))
    for row, values in (("sgan", SGAN), ("lsgan", LSGAN)):
        expected = scipy.stats.ttest_rel(values, RASGAN)
        assert column.tests[row].p == pytest.approx(expected.pvalue)
        assert column.interval(row) == pytest.approx(tuple(expected.confidence_interval(0.95)))
        assert column.worse_by(row) == pytest.approx(np.mean(values) - np.mean(RASGAN))
    (column,) = verdict(GOLDEN["higher is better"][0]).columns
    assert column.worse_by("sgan") == pytest.approx(np.mean([24.0, 25.5, 22.9]) - 20)
    low, high = column.interval("sgan")
    assert low < column.worse_by("sgan") < high


def test_bold_is_whatever_is_not_significantly_worse() -> None:
    best = {
        case: [row for row, cell in table.columns[0].cells.items() if cell.best] for case, (table, *_) in GOLDEN.items()
    }
    assert best == {
        "one seed": ["rasgan"], "two seeds": ["rasgan"], "paired": ["rasgan", "lsgan"], "unpaired": ["rasgan"],
        "ties and no spread": ["sgan", "rasgan"], "diverged": ["sgan"], "missing everywhere": [],
        "one that can be judged": [], "higher is better": ["rasgan"], "some share their seeds": ["hinge"],
    }  # fmt: skip


# --- several settings -------------------------------------------------------------------------------------------------


def swept() -> Table:
    columns = {
        "0.0001": {"sgan": [40.0, 41.0, 40.5], "rasgan": [35.0, 36.5, 36.0], "lsgan": [50.0, 50.5, 51.2]},
        "0.001": {"sgan": [38.0, 38.9, 38.2], "rasgan": [45.0, 46.5, 45.2], "lsgan": [49.0, 49.9, 49.5]},
        "0.01": {"sgan": [60.0, 61.0, 59.0], "rasgan": ["diverged at 100"] * 3, "lsgan": [55.0, 55.9, 55.5]},
    }
    return made_table(columns, key="optim.lr")  # type: ignore[arg-type]


def test_a_sweep_s_sentences() -> None:
    found = verdict(swept())
    assert found.sentences[3:7] == [
        "each at its best optim.lr: rasgan has the lowest fid, 35.83 (3 seeds). Significantly worse: sgan by 2.53 "
        "(95 % CI 1.50 to 3.57), lsgan by 13.63 (95 % CI 12.83 to 14.43). With so many seeds and this spread, a "
        "difference of 2.09 would be found in 80 % of such tables (1.20 if it were the only comparison).",
        "Best optim.lr of each, and how its neighbours do: rasgan 0.0001 (at 0.001 worse by 9.73); sgan 0.001 (at "
        "0.0001 worse by 2.13, at 0.01 worse by 21.63); lsgan 0.001 (at 0.0001 worse by 1.10, at 0.01 worse by 6.00). "
        "At an end of what was tried, so that better values may lie beyond: rasgan. The seeds that are compared have "
        "also chosen the values, so this comparison is a little optimistic.",
        "Mean rank over 3 settings (± SD between them): sgan 1.3 ± 0.6, lsgan 1.7 ± 0.6. Not ranked: rasgan, diverged "
        "at 100 (optim.lr=0.01).",
        "Stability, how far the mean moves over 3 settings: lsgan by 6.00 (49.47 to 55.47), sgan by 21.63 (38.37 to "
        "60.00).",
    ]
    assert [column.leader for column in found.tuned_columns] == ["rasgan"]


def test_ranks_are_tested_where_settings_or_seeds_suffice() -> None:
    columns = {
        str(i): {"sgan": [41.0 + i], "rasgan": [35.0 - i], "lsgan": [50.0 + i], "hinge": [60.0]} for i in range(5)
    }
    found = verdict(made_table(columns, name="table2"))
    assert found.sentences[-2:] == [
        "Mean rank over 5 settings (± SD between them): rasgan 1.0 ± 0.0, sgan 2.0 ± 0.0, lsgan 3.0 ± 0.0, hinge 4.0 "
        "± 0.0. Over 5 settings, Friedman's test that all rank alike has p = 0.0018; by Nemenyi's critical difference "
        "of 2.10, rasgan differs from hinge.",
        "Stability, how far the mean moves over 5 settings: hinge by 0.00 (60.00 to 60.00), rasgan by 4.00 (31.00 to "
        "35.00), sgan by 4.00 (41.00 to 45.00), lsgan by 4.00 (50.00 to 54.00).",
    ]
    columns = {title: {"sgan": SGAN, "rasgan": RASGAN, "lsgan": LSGAN} for title in "ab"}
    assert "Over 6 seeds (their ranks averaged over the settings), Friedman's test" in " ".join(
        verdict(made_table(columns)).sentences
    )
    columns["a"] = {"sgan": SGAN, "rasgan": ["diverged at 3"] * 6}
    columns["b"] = {"sgan": SGAN, "rasgan": RASGAN}
    assert (
        "There is no ranking over 2 settings. Not ranked: rasgan, diverged at 3 (a)."
        in verdict(made_table(columns)).sentences
    )


def test_a_claim_that_rests_on_the_normal_distribution_is_said_to() -> None:
    skewed = [0.01, 0.02, 0.03, 0.02, 0.01, 0.02, 0.01, 0.02]
    a = [10.0 + i for i in range(8)]
    table = setting(sgan=a, rasgan=[value + more for value, more in zip(a, skewed, strict=True)])
    assert not any("permutation" in text for text in verdict(table).warnings)
    pair = table.columns[0].pairs[0]
    assert pair.ci_permutation == pytest.approx(pair.ci, abs=0.01)
    object.__setattr__(pair, "ci_permutation", (-1.0, 1.0))
    assert verdict(table).warnings == [
        "The interval by permutation holds 0, though the t-test claims a difference: sgan and rasgan (lr 1e-4)."
    ]


def test_long_lists_are_cut_short() -> None:
    rows = {f"x{index:03d}": [float(index), index + 0.1 * (index % 3), index + 0.2] for index in range(1, 41)}
    text = verdict(setting(**rows)).sentences[0]
    assert " more" in text
    assert len(text) < 2500


# --- in each format ---------------------------------------------------------------------------------------------------

WRITERS: dict[str, Callable[[list[Table]], str]] = {
    "markdown": writers.markdown, "html": lambda tables: answers(tables) + side_tables(tables[0]),
    "json": writers.json_text, "latex": latex, "csv": writers.csv_text,
}  # fmt: skip


@pytest.mark.parametrize("form", ["markdown", "html", "latex", "json"])
def test_every_format_opens_with_the_answer(form: str) -> None:
    table = swept()
    text = html.unescape(WRITERS[form]([table])).replace(r"\textless{}", "<").replace(r"\%", "%")
    text = text.replace("$-$", "−").replace(r"$\pm$", "±").replace("'{}'", "''")
    found = verdict(table)
    for sentence in (*found.sentences, *found.warnings):
        assert sentence in text
    if form != "json":
        assert text.index(found.sentences[0]) < text.index(" ± ")
    if form in ("markdown", "html"):
        for word in ("best optim.lr", "next below", "2.13 worse at 0.0001", "diverged at 100", "mean rank ± SD"):
            assert word in text


def test_json_has_the_tests() -> None:
    table = swept()
    (told,) = json.loads(writers.json_text([table]))
    assert told["verdict"] == verdict(table).sentences
    pair = told["columns"][0]["pairs"][0]
    assert set(pair) >= {"pair", "p", "p_holm", "ci", "ci_permutation", "paired", "n", "mdd", "mdd_alone", "difference"}
    assert (pair["pair"], pair["paired"], pair["n"]) == (["sgan", "rasgan"], True, [3, 3])
    (tuned,) = told["tuned"]
    assert [(row["row"], row["value"]) for row in tuned["rows"]] == [("rasgan", 1e-4), ("sgan", 1e-3), ("lsgan", 1e-3)]
    assert tuned["rows"][0]["above"] == {"value": 0.001, "mean": pytest.approx(45.5667, abs=1e-4),
                                         "fall": pytest.approx(9.7333, abs=1e-4), "states": []}  # fmt: skip
    assert [row["row"] for row in told["ranking"]["rows"]] == ["sgan", "lsgan"]


def test_csv_has_values_by_seed_and_the_tests_against_the_leader() -> None:
    rows = list(csv.DictReader(io.StringIO(writers.csv_text([GOLDEN["paired"][0]]))))
    sgan, rasgan, _ = rows
    assert [float(value) for value in sgan["values"].split()] == SGAN
    assert sgan["value_seeds"] == "1 2 3 4 5 6"
    expected = scipy.stats.ttest_rel(SGAN, RASGAN)
    low, high = expected.confidence_interval(0.95)
    told = [float(sgan[key]) for key in ("minus_leader", "ci_low", "ci_high", "p")]
    assert told == pytest.approx([np.mean(SGAN) - np.mean(RASGAN), low, high, expected.pvalue])
    assert (sgan["paired"], sgan["significant"], rasgan["p"], rasgan["significant"]) == ("True", "True", "", "")
    assert float(sgan["permutation_low"]) == pytest.approx(min(a - b for a, b in zip(SGAN, RASGAN, strict=True)))
