"""Verdicts in words."""

from statistics import fmean

from rgan_bench.report.budget import Searched
from rgan_bench.report.cells import Column, Table
from rgan_bench.report.formats import number
from rgan_bench.report.judgement import ColumnVerdict
from rgan_bench.report.ranking import Ranking
from rgan_bench.report.statistics import LEVEL, PairTest
from rgan_bench.report.tuning import Neighbour, Tuned
from rgan_bench.scoring.protocol import HIGHER_IS_BETTER

FEW = 5  # seeds; below it the spread is hardly known
MOST = 12  # names in a list


# --- one setting ------------------------------------------------------------------------------------------------------


def column_sentence(table: Table, found: ColumnVerdict) -> str:
    text = " ".join([answer(table, found), *rest(table, found)])
    return text if found.column.title == table.score else f"{found.column.title}: {text}"


def answer(table: Table, found: ColumnVerdict) -> str:
    column, end = found.column, "highest" if found.column.higher else "lowest"
    if found.leader is None:
        alone = [row for row in found.untested if column.cells[row].values]
        return (
            f"{name(table, alone[0])} alone can be judged, with {shown(table, column, alone[0])}."
            if alone
            else f"no {kind(table)} is called the best."
        )
    # Means of what is left of other cells may be better, and say little.
    among = " of those with all their seeds" if any(column.cells[row].values for row in found.missing) else ""
    what = table.score if table.has_settings else f"{column.title} of {table.score}"
    text = f"{name(table, found.leader)} has the {end} {what}{among}, {shown(table, column, found.leader)}."
    if found.seeds[1] == 1:
        return f"{text} With one seed nothing can be said about noise."
    if found.seeds[0] < found.seeds[1]:
        text += f" Not all have equally many seeds ({found.seeds[0]} to {found.seeds[1]})."
    if found.equal:
        text += f" Not significantly worse: {listed(table, found, found.equal)}."
    if found.worse:
        text += f" Significantly worse: {listed(table, found, found.worse)}."
    return text


def rest(table: Table, found: ColumnVerdict) -> list[str]:
    """What else a reader must know of a setting."""
    said = []
    if found.leader and found.seeds[1] > 1:
        flat = [row for row in found.untested if row in found.tests]
        equal = [name(table, row) for row in flat if found.worse_by(row) == 0]
        worse = [f"{name(table, row)} by {amount(table, found, row)}" for row in flat if found.worse_by(row) != 0]
        few = [name(table, row) for row in found.untested if row not in found.tests]
        said += [f"Equal to it in every seed: {joined(equal)}."] * bool(equal)
        said += [f"Worse, but without any spread that a test could go by: {joined(worse)}."] * bool(worse)
        said += [f"With one seed in common or at all, no test is possible: {joined(few)}."] * bool(few)
    said += [missing_sentence(table, found, row) for row in found.missing[:MOST]]
    if found.mdd is not None and found.mdd_alone is not None:
        found_in = f"a difference of {number(found.mdd, table.score)} would be found in 80 % of such tables"
        alone = f" ({number(found.mdd_alone, table.score)} if it were the only comparison)"
        said.append(f"With so many seeds and this spread, {found_in}{alone * (found.mdd_alone < found.mdd)}.")
    return said


def missing_sentence(table: Table, found: ColumnVerdict, row: str) -> str:
    cell = found.column.cells[row]
    states = joined(list(dict.fromkeys(cell.states)), "; ")
    if cell.mean is None:
        seeds = f" from any of {count(len(cell.seeds))}" if len(cell.seeds) > 1 else ""
        return f"{name(table, row)} has no value{seeds} ({states})."
    others = "others have a mean of" if len(cell.values) > 1 else "other has"
    text = f"{name(table, row)} has no value from {len(cell.states)} of {count(len(cell.seeds))} ({states}); "
    text += f"the {others} {number(cell.mean, table.score)}"
    if row in found.tests and found.tests[row].significant:
        text += f", significantly {'worse' if found.worse_by(row) > 0 else 'better'}"
    return f"{text}."


def name(table: Table, row: str) -> str:
    return row if table.down == "loss" else f"{table.down}={row}"


def kind(table: Table) -> str:
    return "loss" if table.down == "loss" else table.down


def count(seeds: int) -> str:
    return f"{seeds} seed{'s' * (seeds != 1)}"


def shown(table: Table, column: Column, row: str) -> str:
    cell = column.cells[row]
    assert cell.mean is not None
    return f"{number(cell.mean, table.score)} ({count(len(cell.values))})"


def amount(table: Table, found: ColumnVerdict, row: str) -> str:
    return signed(found.worse_by(row), table.score)


def listed_amount(table: Table, found: ColumnVerdict, row: str) -> str:
    interval = found.interval(row)
    assert interval is not None
    low, high = (signed(end, table.score) for end in interval)
    return f"{amount(table, found, row)} (95 % CI {low} to {high})"


def listed(table: Table, found: ColumnVerdict, rows: list[str]) -> str:
    in_order = sorted(rows, key=found.worse_by)
    return joined([f"{name(table, row)} by {listed_amount(table, found, row)}" for row in in_order])


def joined(texts: list[str], between: str = ", ") -> str:
    """The first of them, and how many more there are."""
    more = [f"{len(texts) - MOST:,} more"] if len(texts) > MOST else []
    return between.join([*texts[:MOST], *more])


def signed(value: float, score: str) -> str:
    text = number(abs(value), score)
    return f"−{text}" if value < 0 and text.strip("0.") else text


# --- several settings -------------------------------------------------------------------------------------------------


def tuning_sentence(table: Table, tuned: Tuned) -> str:
    parts = []
    for row in tuned.rows:
        falls = [neighbour_text(table, each) for each in (row.below, row.above) if each is not None]
        parts.append(f"{name(table, row.row)} {row.value:g} ({', '.join(falls)})")
    edge = [name(table, row.row) for row in tuned.rows if row.below is None or row.above is None]
    text = f"Best {tuned.key} of each, and how its neighbours do: {joined(parts, '; ')}."
    if edge:
        text += f" At an end of what was tried, so that better values may lie beyond: {joined(edge)}."
    return f"{text} The seeds that are compared have also chosen the values, so this comparison is a little optimistic."


def neighbour_text(table: Table, neighbour: Neighbour) -> str:
    if neighbour.fall is None:
        return f"at {neighbour.value:g} {joined(list(dict.fromkeys(neighbour.cell.states)), '; ')}"
    return f"at {neighbour.value:g} worse by {signed(neighbour.fall, table.score)}"


def search_sentence(table: Table, searched: Searched) -> str:
    """Which row is to be expected to be the best after so many trials."""
    higher = table.protocol.get("metric") in HIGHER_IS_BETTER
    leaders = []
    for index, trials in enumerate(searched.budgets):
        at = {row.row: row.expected[index] for row in searched.rows if row.expected}
        first = (max if higher else min)(at, key=lambda row: at[row].value)
        text = f"of {trials} {name(table, first)}, {number(at[first].value, table.score)}"
        if (interval := at[first].interval) is not None:
            low, high = (number(end, table.score) for end in interval)
            text += f" (95 % CI {low} to {high})"
        leaders.append(text)
    where = f"{searched.title}: " * bool(searched.title)
    if not leaders:
        return f"{where}No trial has a score."
    return (
        f"{where}{'Highest' if higher else 'Lowest'} {table.score} to be expected of the best of so many trials of "
        f"{' and '.join(searched.keys)}: {'; '.join(leaders)}. That supposes values drawn at random, and not chosen "
        "after the scores of earlier trials."
    )


def search_warnings(table: Table) -> list[str]:
    found = []
    for searched in table.searched:
        where = f"{searched.title}: " * bool(searched.title)
        diverged = [
            f"{name(table, row.row)} {row.diverged} of {len(row.scores)}" for row in searched.rows if row.diverged
        ]
        if diverged and searched.worst is not None:
            worst = f"{number(searched.worst, table.score)}, the worst score of any run here at any time"
            found.append(f"{where}Trials diverged, and count as {worst}: {joined(diverged)}.")
        left = [f"{name(table, row.row)} {row.unfinished}" for row in searched.rows if row.unfinished]
        found += [f"{where}Trials have no score yet, and are left out: {joined(left)}."] * bool(left)
        counts = {name(table, row.row): len(row.scores) for row in searched.rows}
        if len(set(counts.values())) > 1:
            each = joined([f"{row} {count}" for row, count in counts.items()])
            equal = f"they compare at equal budget up to {max(searched.budgets, default=0)}"
            found.append(f"{where}Not all have equally many trials ({each}); {equal}, and the best of all do not.")
    return found


def ranking_sentences(table: Table, ranking: Ranking) -> list[str]:
    settings = f"{len(ranking.settings)} settings"
    ranks = joined([f"{name(table, row.row)} {row.rank:.1f} ± {row.sd:.1f}" for row in ranking.rows])
    text = f"Mean rank over {settings} (± SD between them): {ranks}."
    if len(ranking.rows) < 2:
        text = f"There is no ranking over {settings}."
    if ranking.left_out:
        text += f" Not ranked: {joined([f'{name(table, row)}, {why}' for row, why in ranking.left_out.items()], '; ')}."
    if ranking.critical_difference is not None and ranking.p is not None:
        apart = joined([name(table, row) for row in ranking.apart]) or "none"
        blocks = "seeds (their ranks averaged over the settings)" if ranking.blocks == "seeds" else "settings"
        text += (
            f" Over {ranking.count} {blocks}, Friedman's test that all rank alike has p = {ranking.p:.2g}; "
            f"by Nemenyi's critical difference of {ranking.critical_difference:.2f}, "
            f"{name(table, ranking.first)} differs from {apart}."
        )
    found = [text]
    if table.name in ("table2", "sweep") and ranking.rows:
        moves = [
            f"{name(table, row.row)} by {number(row.range, table.score)} "
            f"({number(row.low, table.score)} to {number(row.high, table.score)})"
            for row in sorted(ranking.rows, key=lambda row: row.range)
        ]
        found.append(f"Stability, how far the mean moves over {settings}: {joined(moves)}.")
    return found


# --- how it was tested ------------------------------------------------------------------------------------------------


def design_sentences(pairs: list[PairTest]) -> list[str]:
    if not pairs:
        return []
    paired = [pair for pair in pairs if pair.paired]
    related = [pair.correlation for pair in paired if pair.correlation is not None]
    means = signed_to(fmean(related), 2) if related else ""
    correlated = f"; on average a seed's scores correlate with r = {means} between two of them" if related else ""
    if len(paired) == len(pairs):
        which = f"seeds are shared, so the tests are paired (t-test of the differences within seeds{correlated})"
    elif paired:
        which = f"{len(paired)} of them share their seeds and are paired (t-test{correlated}), the others not (Welch)"
    else:
        which = "seeds are not shared, so the tests are not paired (Welch's t-test)"
    text = (
        f"Tested: {len(pairs):,} pair{'s' * (len(pairs) != 1)}; {which}. Significant is p < {LEVEL:g} after Holm's "
        "correction over the whole table; each 95 % interval holds by itself, so one may lie clear of 0 all the same."
    )
    if all(pair.ci_permutation is None for pair in pairs):
        text += " For intervals by permutation, which suppose no normal distribution, there are too few seeds."
    return [text]


def signed_to(value: float, digits: int) -> str:
    return f"{value:.{digits}f}".replace("-", "−")


def warnings_of(table: Table, columns: list[ColumnVerdict]) -> list[str]:
    found = []
    if table.own:
        what = kind(table)
        found.append(
            f"A difference may come from what goes with the {what} as well as from it: {joined(table.own_keys)}."
        )
    most = max((column.seeds[1] for column in columns), default=0)
    fewest = min((column.seeds[0] for column in columns), default=0)
    if most == 1:
        found.append("One seed each: nothing can be said about noise, and another seed may well turn the order round.")
    elif 0 < fewest < FEW:
        found.append(
            f"Fewer than {FEW} seeds ({fewest} at least): the spread is hardly known, and only large differences can "
            "be seen."
        )
    if any(column.missing for column in columns):
        found.append(
            "Seeds are missing or diverged; what is left of such a cell is no fair sample, and it is never called the "
            "best."
        )
    if any(pair.p is None for column in columns for pair in column.column.pairs):
        found.append("Some pairs have no spread between seeds: no test is possible there.")
    doubtful = [
        f"{name(table, one)} and {name(table, two)} ({column.column.title})"
        for column in columns
        for pair in column.column.pairs
        if pair.significant and pair.ci_permutation and pair.ci_permutation[0] <= 0 <= pair.ci_permutation[1]
        for one, two in [pair.pair]
    ]
    if doubtful:
        found.append(f"The interval by permutation holds 0, though the t-test claims a difference: {joined(doubtful)}.")
    return found
