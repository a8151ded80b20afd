"""The answer to "which is better, and is the difference real?": sentences from a table's tests. docs/statistics.md."""

from dataclasses import dataclass, field, replace

from rgan_bench.report.cells import Column, Table
from rgan_bench.report.judgement import ColumnVerdict as ColumnVerdict
from rgan_bench.report.judgement import judge
from rgan_bench.report.ranking import Ranking, rank_rows
from rgan_bench.report.sentences import (
    column_sentence,
    design_sentences,
    ranking_sentences,
    search_sentence,
    search_warnings,
    tuning_sentence,
    warnings_of,
)
from rgan_bench.report.tuning import Tuned, tuned_rows


@dataclass(frozen=True)
class Verdict:
    """
    Attributes:
        sentences: the answer, in the order in which it should be read.
        warnings: what a reader must know before believing it.
        columns: one a setting with a value.
        ranking: over the settings; None: there are too few.
        tuned: each loss at its own best value, for each swept number.
        tuned_columns: what can be said of `tuned`, in the same order.
    """

    sentences: list[str]
    warnings: list[str]
    columns: list[ColumnVerdict]
    ranking: Ranking | None = None
    tuned: list[Tuned] = field(default_factory=list)
    tuned_columns: list[ColumnVerdict] = field(default_factory=list)


def verdict(table: Table) -> Verdict:
    columns = [judged(table, column) for column in table.columns if any(cell.seeds for cell in column.cells.values())]
    ranking, tuned = rank_rows(table), tuned_rows(table)
    tuned_columns = [judged(table, each.column) for each in tuned]
    sentences = [sentence for column in columns for sentence in column.sentences]
    for each, column in zip(tuned, tuned_columns, strict=True):
        sentences += [*column.sentences, tuning_sentence(table, each)]
    sentences += [search_sentence(table, each) for each in table.searched]
    sentences += ranking_sentences(table, ranking) if ranking else []
    pairs = [pair for column in table.columns for pair in column.pairs]
    sentences += design_sentences(pairs)
    return Verdict(
        sentences, [*warnings_of(table, columns), *search_warnings(table)], columns, ranking, tuned, tuned_columns
    )


def judged(table: Table, column: Column) -> ColumnVerdict:
    found = judge(table, column)
    return replace(found, sentences=[column_sentence(table, found)])
