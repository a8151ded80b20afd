"""Tests, intervals, power and ranks against SciPy called directly, or as textbooks print them."""

import math
import warnings

import numpy as np
import pytest
import scipy.stats

from rgan_bench.report.ranking import rank_rows
from rgan_bench.report.relabelling import permutation_intervals
from rgan_bench.report.statistics import PairTest, Runs, compare_table, detectable, holm
from rgan_bench.report.tuning import tuned_rows
from tests.report.made import made_cell, made_table

A = [40.0, 41.0, 39.5, 40.5, 42.0, 40.2]
B = [38.0, 40.1, 38.4, 40.6, 39.3, 38.9]
C = [39.0, 40.0, 40.5, 41.5, 39.2, 40.0]


def runs(values: list[float | None], first: int = 1) -> Runs:
    return list(enumerate(values, first))


def compared(a: Runs, b: Runs) -> PairTest:
    ((found,),) = compare_table([{"a": a, "b": b}])
    return found


# --- tests ------------------------------------------------------------------------------------------------------------


def test_shared_seeds_are_paired() -> None:
    found = compared(runs(A), runs(B))
    expected = scipy.stats.ttest_rel(A, B)
    assert (found.paired, found.n, found.df) == (True, (6, 6), 5)
    assert (found.t, found.p, found.p_holm) == pytest.approx((expected.statistic, expected.pvalue, expected.pvalue))
    assert found.ci == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert found.difference == pytest.approx(np.mean(A) - np.mean(B))
    assert found.correlation == pytest.approx(scipy.stats.pearsonr(A, B).statistic)


def test_other_seeds_are_not() -> None:
    found = compared(runs(A), runs(B[:4], first=5))
    expected = scipy.stats.ttest_ind(A, B[:4], equal_var=False)
    assert (found.paired, found.n, found.correlation) == (False, (6, 4), None)
    assert (found.t, found.p, found.df) == pytest.approx((expected.statistic, expected.pvalue, expected.df))
    assert found.ci == pytest.approx(tuple(expected.confidence_interval(0.95)))


def test_student_s_own_example() -> None:
    """Hours of sleep gained under two drugs, by the same ten patients: t = −4.0621, df = 9, p = 0.002833 (Student 1908,
    as R prints `t.compared(extra ~ group, data = sleep, paired = TRUE)`), interval −2.4598858 to −0.7001142."""
    one = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
    two = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
    found = compared(runs(one), runs(two))
    assert (found.t, found.df, found.p) == pytest.approx((-4.0621, 9, 0.002833), abs=5e-5)
    assert found.ci == pytest.approx((-2.4598858, -0.7001142), abs=1e-7)
    # Welch's, of the same numbers: t = −1.8608, df = 17.776, p = 0.07939.
    found = compared(runs(one), runs(two, first=100))
    assert (found.t, found.df, found.p) == pytest.approx((-1.8608, 17.776, 0.07939), abs=5e-4)


@pytest.mark.parametrize(
    ("a", "b", "paired"),
    [
        (runs(A), runs(B), True),
        (runs(A), runs(B[:3]), True),  # every seed of the one is a seed of the other
        (runs(A), list(reversed(runs(B))), True),
        (runs(A), runs(B, first=2), False),
        (runs(A), [(1, 3.0), (1, 4.0), (2, 5.0)], False),  # a seed that is there twice
        (runs([*A[:4], None, None]), runs(B), True),
        (runs([None, None, *A[:4]]), runs(B[:4]), True),  # though only two seeds have both values
    ],
)
def test_the_design_decides_on_pairing(a: Runs, b: Runs, paired: bool) -> None:
    assert compared(a, b).paired == paired
    turned = [[(seed, value and -(value**3)) for seed, value in each] for each in (a, b)]
    assert compared(*turned).paired == paired


def test_missing_values_leave_their_seed_out_of_both() -> None:
    found = compared(runs([*A[:3], None, *A[4:]]), runs(B))
    rest = [0, 1, 2, 4, 5]
    expected = scipy.stats.ttest_rel([A[i] for i in rest], [B[i] for i in rest])
    assert (found.incomplete, found.n, found.p) == (True, (5, 5), pytest.approx(expected.pvalue))
    assert compare_table([{"a": runs([1.0, None]), "b": runs([2.0, 3.0])}]) == [[]]
    assert compare_table([{"a": runs([1.0]), "b": runs([2.0])}, {}]) == [[], []]


def test_holm_is_over_the_whole_table() -> None:
    columns = [{"a": runs(A), "b": runs(B), "c": runs(C)}, {"a": runs(A), "b": runs(C, first=9)}, {"b": runs(B)}]
    found = [pair for pairs in compare_table(columns) for pair in pairs]
    assert [pair.pair for pair in found] == [("a", "b"), ("a", "c"), ("b", "c"), ("a", "b")]
    smallest = min(found, key=lambda pair: pair.p or 1)
    assert smallest.p_holm == pytest.approx(4 * smallest.p)
    assert [pair.p_holm for pair in found] == pytest.approx(holm([pair.p or 0 for pair in found]))
    alone = compare_table([{"a": runs(A), "b": runs(B)}])[0][0]
    assert (alone.p_holm, alone.significant, smallest.significant) == (alone.p, True, smallest.p_holm < 0.05)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.6]) == [1.0, 1.0]
    assert holm([]) == []


@pytest.mark.parametrize("first", [1, 50])
@pytest.mark.parametrize("factor", [1e29, 1e-300, -1.0])
def test_any_scale(first: int, factor: float) -> None:
    plain = compared(runs(A), runs(B, first=first))
    scaled = compared(runs([v * factor for v in A]), runs([v * factor for v in B], first=first))
    sign = math.copysign(1, factor)
    assert (scaled.t, scaled.p, scaled.df) == pytest.approx((sign * plain.t, plain.p, plain.df))
    assert sorted(value / factor for value in scaled.ci) == pytest.approx(plain.ci)
    assert sorted(value / factor for value in scaled.ci_permutation) == pytest.approx(plain.ci_permutation)
    assert scaled.mdd / abs(factor) == pytest.approx(plain.mdd)


def test_without_any_spread_nothing_is_claimed() -> None:
    """Scores that are counts are often equal in every seed: 8 modes twice beside 7 twice is no proof."""
    equal = ([8.0, 8.0], [7.0, 7.0]), ([8.0, 7.0], [7.0, 6.0]), ([0.3, 0.4], [0.1, 0.2]), ([1.0, 1.0], [1.0, 1.0])
    for a, b in equal:
        found = compared(runs(a), runs(b))
        assert not found.significant
        assert {found.t, found.p, found.p_holm, found.ci, found.ci_permutation, found.mdd} == {None}
        assert found.difference == pytest.approx(a[0] - b[0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert compared(runs([7.0, 7.0]), runs([7.0, 8.0, 9.5], first=5)).p is not None
    # They were looked at: they count among the pairs of the table.
    flat = {"c": runs([1.0] * 6, first=90), "d": runs([2.0] * 6, first=80)}
    assert compare_table([{"a": runs(A), "b": runs(B)}, flat])[0][0].mdd == pytest.approx(
        compared(runs(A), runs(B)).mdd_alone * detectable(5, 0.025) / detectable(5, 0.05)
    )


def test_a_pair_seen_from_either_side() -> None:
    one, two = compared(runs(A), runs(B[:4], first=9)), compared(runs(B[:4], first=9), runs(A))
    assert one.seen_from("a").pair == ("b", "a")
    assert one.seen_from("b") is one
    assert one.seen_from("a").difference == -one.difference
    assert one.seen_from("a").ci == pytest.approx(two.ci)
    assert one.seen_from("a").ci_permutation == pytest.approx(two.ci_permutation)
    assert one.seen_from("a").n == two.n


# --- intervals by permutation -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("paired", [True, False])
def test_a_permutation_interval_is_where_scipy_s_test_turns(paired: bool) -> None:
    a, b = [*A, 41.1, 38.8], [*B, 40.0, 39.4]
    found = compared(runs(a), runs(b, first=1 if paired else 50))

    def p(shift: float) -> float:
        samples, kind = ((np.array(a) - b - shift,), "samples") if paired else ((np.array(a) - shift, b), "independent")
        statistic = np.mean if paired else lambda x, y, axis=-1: np.mean(x, axis=axis) - np.mean(y, axis=axis)
        return scipy.stats.permutation_test(
            samples, statistic, permutation_type=kind, n_resamples=np.inf, vectorized=True,
        ).pvalue  # fmt: skip

    low, high = found.ci_permutation
    assert min(p(low + 1e-6), p(high - 1e-6)) > 0.05
    assert max(p(low - 1e-6), p(high + 1e-6)) <= 0.05


def test_permutation_intervals_by_hand() -> None:
    # Six differences: 2 of the 64 relabellings may lie beyond, so the ends are the smallest and the largest.
    assert permutation_intervals(np.array([[3.0, 1, 2, 6, 5, 4]]), None, 0.95).T.tolist() == [[1, 6]]
    assert permutation_intervals(np.array([[3.0, 1, 2, 5, 4]]), None, 0.95) is None
    assert permutation_intervals(np.array([[1.0, 2, 3]]), np.array([[4.0, 5, 6]]), 0.95) is None
    low, high = permutation_intervals(np.array([[1.0, 2, 3, 4]]), np.array([[11.0, 12, 13, 14]]), 0.95)
    assert (low[0], high[0]) == (-13, -7)  # one exchange of 70: 1 and 14, 4 and 11


@pytest.mark.parametrize("n", [13, 30])
def test_drawn_relabellings_are_the_same_each_time_and_near_t(n: int) -> None:
    rng = np.random.default_rng(3)
    a, b = rng.standard_normal((2, n))
    for first in (1, 100):
        found = compared(runs(a.tolist()), runs(b.tolist(), first=first))
        assert found == compared(runs(a.tolist()), runs(b.tolist(), first=first))
        assert found.ci_permutation == pytest.approx(found.ci, abs=0.2 * (found.ci[1] - found.ci[0]))


# --- power ------------------------------------------------------------------------------------------------------------


def test_the_detectable_difference_as_cohen_prints_it() -> None:
    """Cohen 1988, table 2.4.1: two-sided 5 %, power 80 %, two samples of 26 each for d = 0.80, of 64 for d = 0.50."""
    for n, d in ((26, 0.80), (64, 0.50)):
        assert detectable(2 * n - 2, 0.05) * math.sqrt(2 / n) == pytest.approx(d, abs=0.01)


@pytest.mark.parametrize("df", [1, 1.7, 2, 4, 9, 100])
@pytest.mark.parametrize("family", [1, 28, 112, 80_000])
def test_the_detectable_difference_has_the_power(df: float, family: int) -> None:
    """Against the definition: a normal number beyond the critical value times a chi."""
    level = 0.05 / family
    critical = scipy.stats.t.isf(level / 2, df)
    spread = np.sqrt(scipy.stats.chi2.ppf((np.arange(20_000) + 0.5) / 20_000, df) / df)
    power = scipy.stats.norm.cdf(detectable(df, level) - critical * spread).mean()
    assert power == pytest.approx(0.8, abs=3e-4)


def test_a_pair_s_detectable_difference_is_in_the_score_s_unit() -> None:
    found = compared(runs(A), runs(B))
    error = np.std(np.array(A) - B, ddof=1) / math.sqrt(6)
    assert found.mdd == found.mdd_alone == pytest.approx(error * detectable(5, 0.05))


# --- ranks ------------------------------------------------------------------------------------------------------------

# Demšar 2006, table 6: areas under curves of C4.5 and three variants on 14 data sets.
DEMSAR = {
    "C4.5": [0.763, 0.599, 0.954, 0.628, 0.882, 0.936, 0.661, 0.583, 0.775, 1.000, 0.940, 0.619, 0.972, 0.957],
    "C4.5+m": [0.768, 0.591, 0.971, 0.661, 0.888, 0.931, 0.668, 0.583, 0.838, 1.000, 0.962, 0.666, 0.981, 0.978],
    "C4.5+cf": [0.771, 0.590, 0.968, 0.654, 0.886, 0.916, 0.609, 0.563, 0.866, 1.000, 0.965, 0.614, 0.9751, 0.946],
    "C4.5+m+cf": [0.798, 0.569, 0.967, 0.657, 0.898, 0.931, 0.685, 0.625, 0.875, 1.000, 0.962, 0.669, 0.975, 0.970],
}


def test_ranks_as_demsar_prints_them() -> None:
    """Mean ranks 3.143, 2.000, 2.893, 1.964; Friedman's χ² without its correction for ties is 9.28; the critical
    difference of Nemenyi's test for 4 classifiers on 14 data sets at 5 % is 2.569 √(4·5 / (6·14)) = 1.25."""
    columns = {str(index): {row: [values[index]] for row, values in DEMSAR.items()} for index in range(14)}
    found = rank_rows(made_table(columns, "modes"))
    assert {row.row: round(row.rank, 3) for row in found.rows} == {
        "C4.5+m+cf": 1.964, "C4.5+m": 2.0, "C4.5+cf": 2.893, "C4.5": 3.143,
    }  # fmt: skip
    assert (found.blocks, found.count, found.first) == ("settings", 14, "C4.5+m+cf")
    assert found.critical_difference == pytest.approx(2.569 * math.sqrt(20 / 84), abs=1e-3)
    expected = scipy.stats.friedmanchisquare(*DEMSAR.values())
    assert (found.statistic, found.p) == pytest.approx((expected.statistic, expected.pvalue))
    assert found.apart == []


def test_ranks_over_seeds_where_settings_are_few() -> None:
    columns = {title: {"a": A, "b": B, "c": C} for title in ("one", "two")}
    found = rank_rows(made_table(columns))
    assert (found.blocks, found.count) == ("seeds", 6)
    expected = scipy.stats.friedmanchisquare(A, B, C)
    assert (found.statistic, found.p) == pytest.approx((expected.statistic, expected.pvalue))
    assert [(row.row, row.rank, row.sd, row.range) for row in found.rows] == [
        ("b", 1, 0, 0), ("c", 2, 0, 0), ("a", 3, 0, 0),
    ]  # fmt: skip
    columns["two"]["c"] = made_cell("c", C, first=9)  # not the seeds of the others
    assert rank_rows(made_table(columns)).blocks is None


def test_rows_that_lack_something_are_not_ranked() -> None:
    columns = {
        "one": {"a": [1.0], "b": [2.0], "c": [1.5, "diverged at 9"], "d": [0.5]},
        "two": {"a": [5.0], "b": [3.0], "c": [1.5, 1.5]},
    }
    found = rank_rows(made_table(columns))
    assert [(row.row, row.rank, row.ranks, row.low, row.high) for row in found.rows] == [
        ("a", 1.5, [1, 2], 1, 5), ("b", 1.5, [2, 1], 2, 3),
    ]  # fmt: skip
    assert found.left_out == {"c": "diverged at 9 (one)", "d": "no run (two)"}
    assert rank_rows(made_table(columns, name="table3_cat64")) is None
    assert rank_rows(made_table({"one": columns["one"]})) is None


def test_ties_everywhere_are_no_test() -> None:
    columns = {str(index): {row: [8.0] for row in "abc"} for index in range(6)}
    found = rank_rows(made_table(columns, "modes"))
    assert ([row.rank for row in found.rows], found.p) == ([2, 2, 2], None)


# --- each at its own best ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", ["frechet", "modes"])
def test_each_at_its_own_best_value(metric: str) -> None:
    sign = -1 if metric == "modes" else 1
    swept = {
        "0.001": {"a": [5.0, 6.0], "b": [1.0, "diverged at 7"]},
        "0.0001": {"a": [3.0, 3.5], "b": [9.0, 8.0]},
        "0.0002": {"a": [2.0, 2.5], "b": [4.0, 4.5]},
    }
    columns = {
        lr: {row: [v if isinstance(v, str) else sign * v for v in values] for row, values in cells.items()}
        for lr, cells in swept.items()
    }
    (found,) = tuned_rows(made_table(columns, metric, key="optim.lr"))
    a, b = found.rows
    assert (a.row, a.value, a.cell.mean, a.below.value, a.below.fall, a.above.value, a.above.fall, a.missing) == (
        "a", 0.0002, sign * 2.25, 0.0001, 1.0, 0.001, 3.25, [],
    )  # fmt: skip
    assert (b.row, b.value, b.missing) == ("b", 0.0002, [0.001])
    assert (b.above.fall, b.above.cell.states) == (None, ["diverged at 7"])
    assert (found.column.leader, found.column.pairs[0].n) == ("a", (2, 2))
    assert found.column.pairs[0].difference == pytest.approx(sign * -2.0)


def test_only_numbers_are_tuned() -> None:
    columns = {"1": {"a": [1.0], "b": [2.0]}, "2": {"a": [1.0], "b": [2.0]}}
    table = made_table(columns, key="arch.width")
    assert [tuned.key for tuned in tuned_rows(table)] == ["arch.width"]
    for column, value in zip(table.columns, (True, False), strict=True):
        column.settings["arch.spectral_norm"] = value
    assert tuned_rows(table) == []  # what else differs is a setting of its own, with one width
    for column in table.columns:
        column.settings = {"arch.batch_norm": "none"}
    assert tuned_rows(table) == []
