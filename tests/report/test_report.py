"""Tables against golden files made by hand, statistics against SciPy called directly, and what must not be mixed."""

import base64
import copy
import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from rgan_bench.config.schema import Config
from rgan_bench.report.latex import latex_escape
from rgan_bench.report.paper import paper
from rgan_bench.report.protocols import choose_protocol
from rgan_bench.report.reading import find_runs
from rgan_bench.report.tables import make_tables
from rgan_bench.report.writers import plain
from rgan_bench.scoring.protocol import Protocol
from tests.conftest import GOLDEN
from tests.report.conftest import HOSTILE, WEIGHTS, Make, change, first_cells, rewrite


def golden(name: str) -> str:
    return (GOLDEN / name).read_text()


@pytest.mark.parametrize("form", ["markdown", "csv", "latex"])
def test_table1_as_written_by_hand(form: str, table1: None, rgan_table: Callable) -> None:
    status, out, _ = rgan_table("outputs", "--format", form)
    assert status == 0
    assert out == golden(f"table1.{form}")


def test_table3_as_written_by_hand(make: Make, rgan_table: Callable) -> None:
    make("experiment=cat256", "loss=rasgan", value=60.0, table3=[30.0, 100.0, 55.0, 20.0])
    make("experiment=cat256", "loss=sgan", "arch.spectral_norm=true", value=60.0, table3=[50.0, 95.0, 60.0, 12.5])
    make("experiment=cat256", "loss=ralsgan", status="interrupted", iteration=30_000)
    status, out, _ = rgan_table("outputs", "--table", "table3")
    assert status == 0
    assert out == golden("table3.markdown")


def test_table2_says_which_learning_rate_it_takes(make: Make, rgan_table: Callable) -> None:
    make("experiment=table2_tanh", "loss=hinge", value=50.0)
    _, out, _ = rgan_table("outputs", "--format", "json")
    (table,) = json.loads(out)
    assert table["table"] == "table2"
    assert "outside the lr column the learning rate is 1e-4" in table["notes"][1]
    by_title = {column["title"]: column["cells"] for column in table["columns"]}
    assert by_title["tanh everywhere"]["hinge"] | {"runs": 0} == {
        "mean": 50.0, "sd": None, "values": [50.0], "seeds": [1], "diverged": 0, "states": [], "incomplete": False,
        "paper": 58.51, "difference": pytest.approx(-8.51), "best": False, "runs": 0,
    }  # fmt: skip
    assert by_title["lr 1e-3"]["hinge"]["mean"] is None
    assert by_title["lr 1e-3"]["hinge"]["paper"] == 43.28


def test_the_paper_s_numbers_come_with_their_provenance(table1: None, rgan_table: Callable) -> None:
    for form in ("markdown", "latex", "html", "json"):
        _, out, _ = rgan_table("outputs", "--format", form)
        assert "arXiv 1807.00734 v3, one run (seed 1) a cell, transcribed by hand" in out
        assert "confirmed against a second public source" in out
    assert paper()["table1"]["cells"]["rasgan"]["stable"] == 31.98


# --- what must not be mixed -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overrides", "protocol", "reason"),
    [
        ([], {"num_samples": 10_000}, "num_samples 10000, not 50000"),
        ([], {"batch_norm": "running"}, "batch_norm running, not batch"),
        ([], {"weights": "other"}, f"weights other, not {WEIGHTS}"),
        ([], {"data": "other"}, "data other, not cifar10"),
        (["train.iterations=5000"], {}, "iterations 5000, not 100000"),
        (["arch.width=32"], {}, "width 32, not 64"),
        ([], {"features": "pixels"}, "has no fid"),
    ],
)
def test_other_protocols_are_left_out_and_named(
    overrides: list[str], protocol: dict, reason: str, make: Make, rgan_table: Callable
) -> None:
    make("experiment=table1_stable", "loss=sgan", value=40.0)
    make("experiment=table1_stable", "loss=rasgan", value=30.0)
    stranger = make("experiment=table1_stable", "loss=lsgan", *overrides, value=1.0, **protocol)
    _, out, _ = rgan_table("outputs", "--table", "table1", "--format", "json")
    table, *_ = json.loads(out)  # the other has the score of the stranger, if it has one of its own
    assert table["columns"][0]["cells"]["lsgan"]["mean"] is None
    assert table["columns"][0]["cells"]["sgan"]["mean"] == 40.0
    assert f"left out: {stranger.name} ({reason})" in table["notes"]


@pytest.mark.parametrize(
    ("overrides", "protocol"),
    [
        ([], {"features": "pixels"}),
        (["data=demo"], {}),
        (["train.iterations=5000"], {}),
        (["arch.width=32"], {}),
        (["fid.num_samples=10000"], {}),
        ([], {"batch_norm": "running"}),
        ([], {"num_real": 10_000}),
        ([], {"weights": "0123456789abcdef"}),  # some other file given by fid.weights
    ],
)
def test_nothing_but_the_paper_s_protocol_stands_beside_the_paper(
    overrides: list[str], protocol: dict, make: Make, rgan_table: Callable
) -> None:
    make("experiment=table1_stable", "loss=sgan", *overrides, value=40.0, **protocol)
    _, out, _ = rgan_table("outputs")
    assert "40.64" not in out  # SGAN's number in the paper
    assert "| loss      | lr 2e-4" in out
    assert "the paper's numbers are not shown" in out
    if protocol.get("features") == "pixels":
        assert out.startswith("### fd_pixels at ")


def test_runs_outside_a_table_are_named(make: Make, rgan_table: Callable) -> None:
    make("experiment=table1_stable", "loss=sgan", value=40.0)
    stranger = make("experiment=table1_stable", "loss=sgan", "optim.lr=5e-5", value=1.0)
    _, out, _ = rgan_table("outputs", "--table", "table1")
    assert f"left out: {stranger.name} (its settings are in no cell of this table)" in out


def test_the_first_code_s_losses_have_rows_beside_the_cells_that_may_come_from_them(
    make: Make, rgan_table: Callable
) -> None:
    for loss in ("rasgan_v1", "ralsgan_v1", "rasgan"):
        make("experiment=table1_stable", f"loss={loss}", value=40.0)
    make("experiment=cat64", "loss=ralsgan_v1", value=20.0, table3=[1.0, 2.0, 1.5, 0.5])
    make("experiment=table2_tanh", "loss=rasgan", value=50.0)
    tables = {table["table"]: table for table in json.loads(rgan_table("outputs", "--format", "json")[1])}
    said = "first code, whose second term takes mean(f) - r where the paper has f - mean(r): our losses rasgan_v1 and"
    assert [any(said in note for note in table["notes"]) for table in tables.values()] == [True, False, True]
    for name, rows in (("table1", ("rasgan_v1", "ralsgan_v1")), ("table3_cat64", ("ralsgan_v1",))):
        found = tables[name]["columns"][0]["cells"]
        for row in rows:
            assert found[row]["mean"] is not None
            assert found[row]["paper"] is None
    shutil.rmtree("outputs")
    make("experiment=table1_stable", "loss=sgan", "arch.width=2", value=40.0)
    assert said not in rgan_table("outputs")[1]  # where none of the paper's numbers is shown


def test_a_name_of_ones_own_with_several_meanings_has_a_row_for_each(make: Make, rgan_table: Callable) -> None:
    for seed, comparison in ((1, "pair"), (2, "average")):
        make("experiment=table1_stable", "loss=ralsgan", f"loss.comparison={comparison}", "loss.name=mine",
             f"seed={seed}", value=40.0)  # fmt: skip
    found = first_cells(rgan_table("outputs", "--format", "json")[1])
    assert [row for row, cell in found.items() if cell["mean"]] == [
        f"mine with comparison={comparison}, function=least_squares, generator=non_saturating, penalty=none"
        for comparison in ("average", "pair")
    ]


def test_a_combination_of_ones_own_has_a_row(make: Make, rgan_table: Callable) -> None:
    make("experiment=table1_stable", "loss=ralsgan", "loss.comparison=pair", "loss.name=rlsgan", value=40.0)
    _, out, _ = rgan_table("outputs")
    assert re.search(r"\| rlsgan +\| 40\.00", out)


def test_spectral_sgan_is_a_row_of_dcgan_alone(make: Make) -> None:
    """Table 3 names it so; other networks have spectral norm by default."""
    for settings in (("arch=snresnet32",), ("experiment=cat64", "arch.spectral_norm=true")):
        make("loss=sgan", *settings, value=30.0)
    assert sorted(run.loss for run in find_runs([Path("outputs")])) == ["sgan", "spectral_sgan"]


def test_a_departure_from_a_named_loss_is_not_that_loss(make: Make, rgan_table: Callable) -> None:
    make("experiment=table1_stable", "loss=rasgan", value=31.0)
    make("experiment=table1_stable", "loss=rasgan", "loss.comparison=pair", value=20.0)
    make("experiment=table1_stable", "loss=rsgan_gp", "loss.penalty_weight=1", value=21.0)
    make(
        "experiment=table1_stable", "loss=sgan", "loss.penalty_weight=1", value=41.0
    )  # without a penalty: no departure
    cells = json.loads(rgan_table("outputs", "--format", "json")[1])[0]["columns"][0]["cells"]
    assert {row: cell["mean"] for row, cell in cells.items() if cell["mean"]} == {
        "sgan": 41.0, "rasgan": 31.0, "rasgan with comparison=pair": 20.0, "rsgan_gp with penalty_weight=1.0": 21.0,
    }  # fmt: skip
    assert cells["rasgan with comparison=pair"]["paper"] is None
    assert cells["rsgan_gp"]["paper"] == 25.6


@pytest.mark.parametrize(
    "override",
    ["optim.lr=1e-3", "optim.n_d=5", "optim.betas=[0.5,0.9]", "arch.batch_norm=none", "arch.activation=tanh",
     "arch.spectral_norm=true", "arch.pac=2", "arch.latent_dim=64", "train.batch_size=16"],
)  # fmt: skip
@pytest.mark.parametrize("experiment", ["cat64", "table1_stable", "table2_tanh"])
def test_other_training_is_no_seed_of_a_cell(
    experiment: str, override: str, make: Make, compose_config: Callable[..., Config]
) -> None:
    if compose_config(f"experiment={experiment}") == compose_config(f"experiment={experiment}", override):
        pytest.skip(f"{override} is what experiment={experiment} has anyway")
    make(f"experiment={experiment}", "loss=rasgan", value=20.0, table3=[1.0, 2.0, 1.5, 0.5])
    stranger = make(f"experiment={experiment}", "loss=rasgan", override, value=1.0, table3=[9.0, 9.0, 9.0, 9.0])
    (table,) = make_tables(find_runs([Path("outputs")]), "table3" if experiment == "cat64" else experiment[:6])
    assert stranger not in [run.folder for run in table.runs]
    assert f"left out: {stranger.name} (its settings are in no cell of this table)" in table.notes
    assert {len(column.cells["rasgan"].values) for column in table.columns} <= {0, 1}


# --- the best of a column ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("score", [28.0, None])
def test_a_missing_seed_is_neither_best_nor_hidden(score: float | None, make: Make, rgan_table: Callable) -> None:
    """Seed 1 diverged, and `values: [6.479]` stood beside `seeds: [1, 2]`, bold."""
    make("experiment=table1_stable", "loss=lsgan", "seed=1", status="diverged", iteration=1200)
    make("experiment=table1_stable", "loss=lsgan", "seed=2", value=28.5)
    make("experiment=table1_stable", "loss=lsgan", "seed=3", value=29.5)
    for seed, value in ((1, 31.0), (2, 33.0)):
        make("experiment=table1_stable", "loss=rasgan", f"seed={seed}", value=value)
    make("experiment=table1_stable", "loss=sgan", "seed=1", value=score, status="finished" if score else "interrupted")
    column = json.loads(rgan_table("outputs", "--format", "json")[1])[0]["columns"][0]
    lsgan, rasgan = column["cells"]["lsgan"], column["cells"]["rasgan"]
    assert (lsgan["values"], lsgan["seeds"], lsgan["incomplete"]) == ([28.5, 29.5], [2, 3], True)
    assert [list(run.values())[:3] for run in lsgan["runs"]] == [
        [1, None, "diverged at 1,200"], [2, 28.5, None], [3, 29.5, None],
    ]  # fmt: skip
    assert not lsgan["best"]
    assert (rasgan["best"], column["cells"]["sgan"]["best"]) == ((False, True) if score else (True, False))
    assert column["leader"] == ("sgan" if score else "rasgan")
    assert column["pairs"] == []  # seeds are shared, and only one of them has both values
    out = rgan_table("outputs")[1]
    assert ("lsgan has a lower mean than rasgan, but only from 2 of its 3 seeds" in out) == (score is None)
    assert "lsgan has no value from 1 of 3 seeds (diverged at 1,200)" in rgan_table("outputs", "--format", "html")[1]


def test_where_seeds_are_missing_everywhere_no_cell_is_best(make: Make, rgan_table: Callable) -> None:
    for loss in ("sgan", "rasgan"):
        make("experiment=table1_stable", f"loss={loss}", "seed=1", value=30.0)
        make("experiment=table1_stable", f"loss={loss}", "seed=2", status="failed", iteration=5)
    _, out, _ = rgan_table("outputs")
    assert "**" not in out
    assert "n_d 1: no best is marked, since seeds are missing everywhere" in out


# --- auto -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("swept", ["optim.lr=1e-4,2e-4,1e-3", "arch.width=16,32,64", "optim.lr=2e-4,5e-4"])
def test_a_sweep_through_a_cell_of_the_paper_is_shown_whole(swept: str, make: Make, rgan_table: Callable) -> None:
    """Half of the runs of a sweep over learning rates were left out, because the paper's rate was among them."""
    key, values = swept.split("=")
    for loss in ("sgan", "rasgan"):
        for value in values.split(","):
            make("data=demo", f"loss={loss}", f"{key}={value}", value=1.0)
    (table,) = json.loads(rgan_table("outputs", "--format", "json")[1])
    assert table["table"] == "sweep"
    assert [column["title"] for column in table["columns"]] == [f"{key}={float(v):g}" for v in values.split(",")]
    assert all(cell["mean"] == 1.0 for column in table["columns"] for cell in column["cells"].values())
    assert "some of these runs are also cells of the paper's table1; --table shows them there" in table["notes"]


def test_the_paper_s_table_and_some_others_are_both_shown(make: Make, rgan_table: Callable) -> None:
    for experiment in ("table1_stable", "table1_wgangp"):
        for loss in ("sgan", "rasgan", "lsgan"):
            make(f"experiment={experiment}", f"loss={loss}", value=40.0)
    slow = make("experiment=table1_stable", "loss=sgan", "optim.lr=5e-5", value=1.0)
    small = make("experiment=table1_stable", "loss=rasgan", "arch.width=32", value=2.0)
    few = make("experiment=table1_stable", "loss=hinge", value=3.0, num_samples=10)
    unscored = make("experiment=table1_stable", "loss=hinge", "optim.lr=5e-5", status="failed", iteration=0)
    rewrite(unscored, scores={}, protocol={})
    paper_s, rest = json.loads(rgan_table("outputs", "--format", "json")[1])
    assert [paper_s["table"], rest["table"]] == ["table1", "sweep"]
    assert paper_s["columns"][0]["cells"]["sgan"]["paper"] == 40.64
    shown = [run["folder"] for column in rest["columns"] for cell in column["cells"].values() for run in cell["runs"]]
    assert sorted(shown) == [str(slow), str(small)]
    assert rest["notes"] == [
        "these runs are not in the paper's tables above",
        f"left out: {few.name} (num_samples 10, not 50000)",
        f"left out: {unscored.name} (has no fid)",
    ]
    for folder in (slow, small, few):
        shutil.rmtree(folder)
    (paper_s,) = json.loads(rgan_table("outputs", "--format", "json")[1])
    assert f"left out: {unscored.name} (has no score)" in paper_s["notes"]


# --- copies -----------------------------------------------------------------------------------------------------------


def test_copies_of_a_run_are_no_further_seeds(make: Make, rgan_table: Callable) -> None:
    for loss, values in (("sgan", (40.0, 44.0)), ("rasgan", (37.0, 41.0))):
        for seed, value in enumerate(values):
            make("data=demo", f"loss={loss}", f"seed={seed}", value=value)
    before = json.loads(rgan_table("outputs", "--format", "json")[1])[0]["columns"]
    for copied in ("a", "b"):
        shutil.copytree("outputs", f"copies/{copied}")
    shutil.copytree("outputs/run_000", "copies/c")
    table = json.loads(rgan_table("outputs", "copies", "--format", "json")[1])[0]
    assert table["columns"] == before
    assert "counted once: copies/a/run_002 is a copy of outputs/run_002" in table["notes"]
    assert "counted once: c is a copy of outputs/run_000" in table["notes"]
    assert sum("counted once" in note for note in table["notes"]) == 9


def test_of_unequal_copies_the_one_furthest_along_is_kept(make: Make, rgan_table: Callable) -> None:
    run = make("data=demo", "loss=sgan", value=40.0)
    early = shutil.copytree(run, "outputs/early")
    rewrite(early, status="interrupted", iteration=50_000, scores__fid__final={"iteration": 0, "value": 400.0})
    later = shutil.copytree(early, "outputs/later")
    rewrite(later, iteration=60_000)
    other = shutil.copytree(run, "outputs/strange")
    rewrite(other, scores__fid__final__value=39.0, scores__fid__history__1=[100_000, 39.0])
    renamed = shutil.copytree(run, "outputs/vanilla")
    rewrite(renamed, config__loss__name="vanilla", config__output_root="elsewhere", config__train__log_every=7)
    out = rgan_table("outputs", "--table", "sweep", "--format", "json")[1]
    assert [(cell["mean"], cell["seeds"]) for cell in first_cells(out).values()] == [(40.0, [1])]
    assert json.loads(out)[0]["notes"][-4:] == [
        "left out: early (training and seed of run_000, interrupted at 50,000; that one: finished at 100,000)",
        "left out: later (training and seed of run_000, interrupted at 60,000; that one: finished at 100,000)",
        "left out: strange (training and seed of run_000, with other scores; the first found is taken)",
        "counted once: vanilla is a copy of run_000, under the name vanilla",
    ]
    for folder in (run, other, renamed):
        shutil.rmtree(folder)
    out = rgan_table("outputs", "--table", "sweep", "--format", "json")[1]
    assert first_cells(out)["sgan"]["states"] == ["unfinished at 60,000"]


@pytest.mark.parametrize(
    "other", ["seed=2", "loss=rasgan", "arch.pac=2", "optim.n_d=2", "train.batch_size=16", "data.data_seed=1"]
)
def test_other_training_is_no_copy(other: str, make: Make) -> None:
    make("data=demo", "loss=sgan", value=40.0)
    make("data=demo", "loss=sgan", other, value=40.0)
    (table,) = make_tables(find_runs([Path("outputs")]), "sweep")
    assert len(table.runs) == 2


def test_copies_do_not_outvote_a_protocol(make: Make) -> None:
    for seed in (1, 2):
        make("data=demo", f"seed={seed}", value=40.0)
    run = make("data=demo", "seed=3", value=40.0, num_samples=10)
    for index in range(3):
        shutil.copytree(run, f"outputs/copy_{index}")
    assert choose_protocol(find_runs([Path("outputs")])).protocol["num_samples"] == 50_000


def first_grid(markdown: str) -> list[list[str]]:
    """The texts of the first table in a markdown file."""
    lines = markdown[markdown.index("\n|") + 1 :].split("\n\n")[0].splitlines()
    return [[text.strip() for text in line.strip("|").split("|")] for line in lines]


# --- sweeps -----------------------------------------------------------------------------------------------------------


def test_any_sweep_has_the_swept_keys_as_rows_and_columns(make: Make, rgan_table: Callable) -> None:
    for loss in ("sgan", "rasgan"):
        for lr in (1e-4, 3e-4):
            make("data=demo", f"loss={loss}", f"optim.lr={lr}", value=10 * lr * 1e4 + len(loss), features="pixels")
    status, out, _ = rgan_table("outputs", "--table", "sweep")
    assert status == 0
    lines = first_grid(out)
    assert lines[0] == ["loss", "optim.lr=0.0001", "optim.lr=0.0003"]
    assert lines[2:] == [["sgan", "**14**", "**34**"], ["rasgan", "16", "36"]]


def test_a_sweep_over_widths_keeps_them_all(make: Make, rgan_table: Callable) -> None:
    for width in (8, 16, 32):
        make("data=demo", f"arch.width={width}", value=float(width))
    (table,) = make_tables(find_runs([Path("outputs")]), "sweep")
    assert table.rows == ["8", "16", "32"]
    assert [column.title for column in table.columns] == ["fid"]
    assert first_grid(rgan_table("outputs", "--table", "sweep")[1])[0] == ["arch.width", "fid"]
    page = rgan_table("outputs", "--table", "sweep", "--format", "html")[1]
    assert '<th scope="col">arch.width</th>' in page and '<th scope="col">loss</th>' not in page


def test_one_loss_name_with_several_choices_is_told_apart(make: Make) -> None:
    for comparison in ("pair", "average"):
        make("data=demo", "loss=rasgan", f"loss.comparison={comparison}", value=1.0)
    (table,) = make_tables(find_runs([Path("outputs")]), "sweep")
    assert table.rows == ["average", "pair"] or table.rows == ["pair", "average"]


def test_columns_and_rows_stand_in_the_order_of_their_values(make: Make, rgan_table: Callable) -> None:
    for loss in ("rasgan_v1", "hinge", "rasgan", "sgan", "ralsgan"):
        for lr in ("1e-3", "1e-4", "2e-4"):
            for norm in ("true", "false"):
                make("data=demo", f"loss={loss}", f"optim.lr={lr}", f"arch.spectral_norm={norm}", value=1.0)
    _, out, _ = rgan_table("outputs", "--table", "sweep")
    lines = first_grid(out)
    assert [line[0] for line in lines[2:]] == ["sgan", "rasgan", "ralsgan", "hinge", "rasgan_v1"]
    assert lines[0][1:] == [
        f"arch.spectral_norm={norm}, optim.lr={lr}" for norm in ("false", "true") for lr in (0.0001, 0.0002, 0.001)
    ]


def test_rows_of_numbers_and_lists_are_sorted_as_such(make: Make) -> None:
    for width in (8, 128, 16):
        make("data=demo", f"arch.width={width}", value=1.0)
    assert make_tables(find_runs([Path("outputs")]), "sweep")[0].rows == ["8", "16", "128"]
    shutil.rmtree("outputs")
    for betas in ("[0.9,0.999]", "[0.0,0.9]", "[0.5,0.9]"):
        make("data=demo", f"optim.betas={betas}", value=1.0)
    assert make_tables(find_runs([Path("outputs")]), "sweep")[0].rows == ["[0.0,0.9]", "[0.5,0.9]", "[0.9,0.999]"]


def test_settings_that_go_with_the_loss_make_no_columns_and_are_told(make: Make, rgan_table: Callable) -> None:
    """Each loss at its own learning rate: all pairs are tested, under a warning."""
    for loss, lr, value in (("sgan", "1e-4", 40.0), ("rasgan", "3e-4", 30.0), ("hinge", "3e-4", 35.0)):
        for seed in (1, 2, 3):
            make("data=demo", f"loss={loss}", f"optim.lr={lr}", f"seed={seed}", value=value + seed**2 * (lr == "1e-4"))
    (table,) = make_tables(find_runs([Path("outputs")]), "sweep")
    assert len(table.columns[0].pairs) == 3
    out = rgan_table("outputs", "--table", "sweep")[1]
    assert (
        "by loss, each with its optim.lr\n\n- Warning: A difference may come from what goes with the loss as well"
        in out
    )
    assert [line[:2] for line in first_grid(out)[2:]] == [["sgan", "0.0001"], ["rasgan", "0.0003"], ["hinge", "0.0003"]]
    assert r"rasgan & 0.0003 & \textbf{30.00" in rgan_table("outputs", "--table", "sweep", "--format", "tabular")[1]
    told = json.loads(rgan_table("outputs", "--table", "sweep", "--format", "json")[1])[0]["row_settings"]
    assert told == {"sgan": {"optim.lr": 1e-4}, "rasgan": {"optim.lr": 3e-4}, "hinge": {"optim.lr": 3e-4}}
    assert rgan_table("outputs", "--table", "sweep", "--format", "csv")[1].endswith(",optim.lr=0.0003\n")
    page = rgan_table("outputs", "--table", "sweep", "--format", "html")[1]
    assert '<th scope="col">optim.lr</th>' in page and '<td class="own" data-v="0.0001">1e-4</td>' in page
    make("data=demo", "loss=sgan", "optim.lr=3e-4", value=50.0)  # at two now: a column each
    (table,) = make_tables(find_runs([Path("outputs")]), "sweep")
    assert [column.title for column in table.columns] == ["optim.lr=0.0001", "optim.lr=0.0003"] and not table.own


def test_where_one_key_at_a_time_was_changed_columns_name_that_one(make: Make) -> None:
    changes = ("optim.lr=1e-4", "optim.lr=1e-3", "arch.batch_norm=none", "optim.betas=[0.9,0.9]")
    for loss in ("sgan", "rasgan"):
        for changed in changes:
            make("data=demo", f"loss={loss}", changed, value=3.0)
    (table,) = make_tables(find_runs([Path("outputs")]), "sweep")
    titles = {column.title: column.settings for column in table.columns}
    usual = {"arch.batch_norm": "generator", "optim.lr": 0.0002, "optim.betas": [0.5, 0.999]}
    assert titles == {
        "optim.lr=0.0001": usual | {"optim.lr": 1e-4},
        "optim.lr=0.001": usual | {"optim.lr": 1e-3},
        "arch.batch_norm=none": usual | {"arch.batch_norm": "none"},
        "optim.betas=[0.9,0.9]": usual | {"optim.betas": [0.9, 0.9]},
    }
    make("data=demo", "loss=sgan", value=3.0)
    (table,) = make_tables(find_runs([Path("outputs")]), "sweep")
    assert {column.title for column in table.columns} == {*titles, "base"}
    assert table.notes[0].endswith("arch.batch_norm=generator, optim.lr=0.0002, optim.betas=[0.5,0.999]")


def test_where_the_images_lie_is_no_swept_key(make: Make) -> None:
    """The same images, by their fingerprint, on two machines."""
    for seed, root in ((1, "/here"), (2, "/there")):
        make("data=folder", f"data.root={root}", f"seed={seed}", value=1.0)
    (table,) = make_tables(find_runs([Path("outputs")]), "sweep")
    assert [(column.title, list(column.cells)) for column in table.columns] == [("fid", ["rasgan"])]
    assert table.columns[0].cells["rasgan"].sd == 0.0


OTHER_TRAINING = {
    "the average": ("ema.half_life=1000",),
    "another average": ("ema.half_life=1000", "schedule.half_life.to=50", "schedule.half_life.end=9"),
    "a schedule": ("schedule.lr.to=1e-5", "schedule.lr.end=9"),
    "its shape": ("schedule.beta2.to=0.5", "schedule.beta2.end=9", "schedule.beta2.shape=linear"),
    "the generator's rate": ("optim.lr_generator=1e-3",),
    "the discriminator's rate": ("optim.lr_discriminator=1e-3",),
    "mirrored images": ("data.flip=true",),
    "another precision": ("precision=bfloat16",),
    "the paper's precision": ("precision=float32",),
}


@pytest.mark.parametrize("overrides", OTHER_TRAINING.values(), ids=OTHER_TRAINING)
def test_trainings_that_differ_in_a_younger_key_are_told_apart(overrides: tuple[str, ...], make: Make) -> None:
    make("experiment=table1_stable", "loss=rasgan", value=40.0)
    make("experiment=table1_stable", "loss=rasgan", *overrides, "seed=2", value=30.0)
    (table,) = make_tables(find_runs([Path("outputs")]), "sweep")
    cells = [cell for column in table.columns for cell in column.cells.values()]
    assert sorted(cell.values for cell in cells if cell.seeds) == [[30.0], [40.0]]
    (key, value), *_ = (override.split("=") for override in overrides)
    assert f", by {key}" in table.title
    kinds = {"1e-3": "0.001", "1e-5": "1e-05", "1000": "1000.0"}
    assert any(row.startswith(kinds.get(value, value)) for row in table.rows)
    (table,) = make_tables(find_runs([Path("outputs")]), "table1")
    found = {row: cell.values for row, cell in table.columns[0].cells.items() if cell.values}
    if overrides[0] not in ("ema.half_life=1000", "precision=float32"):  # what the paper has no cell for
        assert found == {"rasgan": [40.0]}
        assert any("its settings are in no cell of this table" in note for note in table.notes)
        return
    one, two = found
    assert (one, found) == ("rasgan", {"rasgan": [40.0], two: [30.0]})
    assert two.startswith(f"rasgan with {key}={kinds.get(value, value)}")
    assert ("schedule.half_life.to=50.0" in two) == (len(overrides) > 1)
    assert (table.columns[0].cells["rasgan"].paper, table.columns[0].cells[two].paper) == (31.98, None)


def test_several_penalties_and_other_parts_are_other_losses(make: Make) -> None:
    for seed, weights in ((1, [10.0, 1.0]), (2, [10.0, 2.0])):
        folder = make("experiment=table1_stable", "loss=rsgan_gp", f"seed={seed}", value=40.0)
        content = json.loads((folder / "result.json").read_text())
        content["config"]["loss"] |= {"penalty": ["gp", "maxgp"], "penalty_weight": weights}
        (folder / "result.json").write_text(json.dumps(content))
    make("experiment=table1_stable", "loss=rsgan_gp", value=40.0)
    make("experiment=table1_stable", "loss=rsgan_gp", "loss.penalty_norm=l1", value=40.0)
    rows = [
        "rsgan_gp",
        "rsgan_gp with penalty=[gp,maxgp]",
        "rsgan_gp with penalty=[gp,maxgp], penalty_weight=[10.0,2.0]",
        "rsgan_gp with penalty_norm=l1",
    ]
    assert sorted(run.row for run in find_runs([Path("outputs")])) == rows
    (table,) = make_tables(find_runs([Path("outputs")]), "table1")
    assert [row for row in table.rows if table.columns[0].cells[row].values] == rows
    (table,) = make_tables(find_runs([Path("outputs")]), "sweep")
    assert [len(cell.values) for column in table.columns for cell in column.cells.values() if cell.seeds] == [1] * 4


# --- averaged generators ----------------------------------------------------------------------------------------------


def with_average(folder: Path, value: float, **protocol: object) -> Path:
    """Its result.json as if the averaged generator had been scored too."""
    content = json.loads((folder / "result.json").read_text())
    ((name, summary),) = content["scores"].items()
    settings = {key: v for key, v in content["protocol"][name].items() if key not in ("rank_deficient", "fingerprint")}
    scored = Protocol(**settings | {"generator": "ema"} | protocol)
    end = summary["history"][-1][0]
    entry = {"iteration": end, "value": value}
    history = [*summary["history"][:-1], [end, value]]
    content["scores"][scored.score_name] = {**summary, "final": entry, "best": entry, "history": history}
    content["protocol"][scored.score_name] = scored.as_dict()
    (folder / "result.json").write_text(json.dumps(content))
    return folder


AVERAGED = ("experiment=table1_stable", "ema.half_life=1000")


@pytest.fixture
def averaged(make: Make) -> None:
    """Two losses whose averages are the better ones, and one without an average."""
    for loss, raw, value in (("sgan", 40.0, 31.0), ("rasgan", 33.0, 32.0)):
        with_average(make(*AVERAGED, f"loss={loss}", value=raw), value)
    make("experiment=table1_stable", "loss=lsgan", value=29.0)


@pytest.mark.parametrize("kind", ["auto", "sweep"])
def test_averaged_generators_have_a_table_of_their_own(kind: str, averaged: None, rgan_table: Callable) -> None:
    status, out, _ = rgan_table("outputs", "--table", kind, "--format", "json")
    assert status == 0
    raw, ema = json.loads(out)
    assert (raw["score"], ema["score"]) == ("fid", "fid_ema")
    assert "generator" not in raw["protocol"]
    assert ema["protocol"]["generator"] == "ema"
    values = [
        {row: c["values"] for col in t["columns"] for row, c in col["cells"].items() if c["values"]} for t in (raw, ema)
    ]
    assert values == [{"sgan": [40.0], "rasgan": [33.0], "lsgan": [29.0]}, {"sgan": [31.0], "rasgan": [32.0]}]
    assert ema["notes"][0] == "scores of averaged generators (ema.half_life); those that were trained are above"
    assert raw["beside_paper"] == (kind == "auto")
    assert not ema["beside_paper"]
    assert not any("left out" in note for table in (raw, ema) for note in table["notes"])


def test_the_paper_s_tables_are_of_generators_that_are_trained(averaged: None, rgan_table: Callable) -> None:
    (table,) = json.loads(rgan_table("outputs", "--table", "table1", "--format", "json")[1])
    cells = table["columns"][0]["cells"]
    assert (cells["sgan"]["mean"], cells["sgan"]["paper"], cells["rasgan"]["mean"]) == (40.0, 40.64, 33.0)


@pytest.mark.parametrize("form", ["markdown", "csv", "latex", "html"])
def test_in_every_format_the_average_is_named(
    form: str, averaged: None, make: Make, rgan_table: Callable, capsys: pytest.CaptureFixture
) -> None:
    for place, colour in (("samples", "red"), ("samples_ema", "blue")):
        path = Path("outputs") / "run_000" / place / "iter_100000.png"
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8), colour).save(path)
    _, out, _ = rgan_table("outputs", "--format", form)
    if form == "html":
        out = out[out.index('<section id="table-0"') :]  # all tables are named before the first
    assert out.index("40.0") < out.index("fid\\_ema" if form == "latex" else "fid_ema")
    assert out.rindex("31.0") > out.index("fid\\_ema" if form == "latex" else "fid_ema")
    if form == "markdown":
        assert "31.00" in out  # an FID, with two decimals
    if form == "html":
        codes = [base64.b64decode(code) for code in re.findall(r"data:image/png;base64,([^\"]+)", out)]
        red, blue = (255, 0, 0), (0, 0, 255)  # beside the others', and over time
        assert [Image.open(io.BytesIO(code)).getpixel((0, 0)) for code in codes] == [red, blue] * 2
    status, _, err = rgan_table("outputs", "--format", form, "--out", "out")
    assert (status, err) == (0, "rgan-table: 2 tables of 3 runs: out\n")


def test_an_average_is_never_taken_for_what_it_averages(make: Make) -> None:
    """Whatever the file calls the score, and even where nothing else was scored."""
    make("data=demo", "loss=sgan", value=40.0)
    folder = make("data=demo", "loss=rasgan", "ema.half_life=1000", value=5.0)
    content = json.loads((folder / "result.json").read_text())
    content["protocol"]["fid"]["generator"] = "ema"
    (folder / "result.json").write_text(json.dumps(content))
    raw, ema = make_tables(find_runs([Path("outputs")]), "sweep")
    assert [cell.values for column in raw.columns for cell in column.cells.values()] == [[40.0]]
    assert f"left out: {folder.name} (has no fid)" in raw.notes
    assert [cell.values for column in ema.columns for cell in column.cells.values()] == [[5.0]]


def test_parts_of_a_penalty_are_rows_of_their_own(make: Make) -> None:
    for points in ("null", "[fake]"):
        make("loss=wgangp", f"loss.penalty_points={points}", value=3.0)
    (table,) = make_tables(find_runs([Path("outputs")]), "sweep")
    assert table.rows == ["null", "[fake]"]


def test_averages_under_other_protocols_are_left_out_and_named(make: Make) -> None:
    for seed in (1, 2):
        with_average(make("data=demo", "ema.half_life=1000", f"seed={seed}", value=40.0), 30.0)
    stranger = with_average(make("data=demo", "ema.half_life=1000", "seed=3", value=40.0), 1.0, num_samples=10)
    unscored = make("data=demo", "ema.half_life=1000", "seed=4", value=40.0)
    content = json.loads(Path("outputs/run_000/result.json").read_text())
    content["diversity"] = {"iteration": 100_000, "pixel_sd": 0.001, "real_pixel_sd": 0.2}
    Path("outputs/run_000/result.json").write_text(json.dumps(content))
    raw, ema = make_tables(find_runs([Path("outputs")]), "sweep")
    told = [[note for note in table.notes if "run_000: collapsed" in note] for table in (raw, ema)]
    assert list(map(len, told)) == [1, 0]  # how much the average's images vary is not measured
    assert raw.columns[0].cells["rasgan"].values == [40.0] * 4
    assert ema.columns[0].cells["rasgan"].values == [30.0] * 2
    for run, reason in ((stranger, "num_samples 10, not 50000"), (unscored, "has no fid_ema")):
        assert f"left out: {run.name} ({reason})" in ema.notes


def other_protocol(folder: Path, score: str, value: float, iteration: int = 100_000, **protocol: object) -> None:
    """A score that the run had under another protocol, before it went on under its present one."""
    content = json.loads((folder / "result.json").read_text())
    present = content["protocol"][next(iter(content["protocol"]))]
    entry = {"iteration": iteration, "value": value}
    content["scores_under_other_protocols"] = [
        {
            "score": score, "protocol": present | protocol, "final": entry, "best": entry,
            "history": [[iteration, value]], "table3": None,
        }
    ]  # fmt: skip
    (folder / "result.json").write_text(json.dumps(content))


def test_a_score_under_an_earlier_protocol_is_used_where_it_is_the_common_one(make: Make, rgan_table: Callable) -> None:
    for seed in (1, 2):
        make("data=demo", "loss=sgan", f"seed={seed}", value=40.0 + seed)
    rescored = make("data=demo", "loss=rasgan", value=99.0, num_samples=10)
    other_protocol(rescored, "fid", 30.0, num_samples=50_000)
    renamed = make("data=demo", "loss=rasgan", "seed=2", value=98.0, features="pixels")
    other_protocol(renamed, "fid", 31.0, features="inception")
    stopped_short = make("data=demo", "loss=rasgan", "seed=3", value=97.0, num_samples=10)
    other_protocol(stopped_short, "fid", 32.0, iteration=50_000, num_samples=50_000)
    for form in ("csv", "html"):
        assert rgan_table("outputs", "--format", form)[0] == 0
    out = rgan_table("outputs", "--format", "json")[1]
    assert first_cells(out)["rasgan"]["values"] == [30.0, 31.0]
    assert first_cells(out)["sgan"]["values"] == [41.0, 42.0]
    assert f"left out: {stopped_short.name} (num_samples 10, not 50000)" in json.loads(out)[0]["notes"]


def test_the_protocol_that_most_runs_have_or_had_is_taken(make: Make) -> None:
    """Two were scored anew: under their earlier protocol all three can be compared."""
    for seed in (1, 2):
        folder = make("data=demo", f"seed={seed}", value=99.0, num_samples=10)
        other_protocol(folder, "fid", 40.0, num_samples=50_000)
    make("data=demo", "seed=3", value=41.0)
    assert [run.final("fid") for run in choose_protocol(find_runs([Path("outputs")])).runs] == [40.0, 40.0, 41.0]


def test_at_a_tie_the_protocol_found_first_is_taken(make: Make) -> None:
    """Every time, whatever the interpreter's hashes are."""
    for seed in range(8):
        make("data=demo", f"seed={seed}", value=1.0, num_samples=1000 + (7 * seed) % 8)
    assert choose_protocol(find_runs([Path("outputs")])).protocol["num_samples"] == 1000


def test_the_fid_goes_first_then_what_most_runs_have(make: Make) -> None:
    for seed in range(3):
        make("data=demo", f"seed={seed}", value=1.0, features="pixels")
    make("data=demo", value=2.0, features="efficientnet-lite0")
    assert choose_protocol(find_runs([Path("outputs")])).score == "fd_pixels"
    make("data=demo", value=3.0)
    assert choose_protocol(find_runs([Path("outputs")])).score == "fid"


# --- several scores ---------------------------------------------------------------------------------------------------


def also_scored(folder: Path, value: float, **protocol: object) -> Path:
    """Its result.json as if the generator had been scored by another metric too."""
    content = json.loads((folder / "result.json").read_text())
    name = next(iter(content["scores"]))
    settings = {key: v for key, v in content["protocol"][name].items() if key not in ("rank_deficient", "fingerprint")}
    scored = Protocol(**settings | protocol)
    end = content["scores"][name]["history"][-1][0]
    entry = {"iteration": end, "value": value}
    content["scores"][scored.score_name] = {"final": entry, "best": entry, "history": [[end, value]], "table3": None}
    content["protocol"][scored.score_name] = scored.as_dict()
    (folder / "result.json").write_text(json.dumps(content))
    return folder


@pytest.fixture
def two_scores(make: Make) -> None:
    """A loss with the better FID, one with the better KID, and one without a KID."""
    for loss, fid, kid in (("sgan", 40.0, 0.002), ("rasgan", 33.0, 0.004)):
        also_scored(make("experiment=table1_stable", f"loss={loss}", value=fid), kid, metric="kernel")
    make("experiment=table1_stable", "loss=lsgan", value=29.0)


@pytest.mark.parametrize("kind", ["auto", "table1", "sweep"])
def test_each_score_has_a_table_the_main_one_first(kind: str, two_scores: None, rgan_table: Callable) -> None:
    fid, kid = json.loads(rgan_table("outputs", "--table", kind, "--format", "json")[1])
    assert (fid["score"], kid["score"]) == ("fid", "kid")
    leaders = [column["leader"] for table in (fid, kid) for column in table["columns"][:1]]
    assert leaders == ["lsgan", "sgan"]
    assert "sgan has the lowest kid, 0.002 (1 seed)" in " ".join(kid["verdict"])
    assert not any("left out" in note for note in kid["notes"])
    assert (fid["beside_paper"], kid["beside_paper"]) == (kind != "sweep", False)


def test_scores_can_be_chosen(two_scores: None, rgan_table: Callable) -> None:
    def names(chosen: str) -> list[str]:
        return [table["score"] for table in json.loads(rgan_table("outputs", "--score", chosen, "--format", "json")[1])]

    assert names("kid") == ["kid"]
    assert names("kid,fid,kid") == ["kid", "fid"]
    (kid,) = json.loads(rgan_table("outputs", "--score", "kid", "--format", "json")[1])
    assert "left out: run_002 (has no kid)" in kid["notes"]  # where it stands first, as the FID does else
    assert rgan_table("outputs", "--score", "fid,fd")[::2] == (
        2, "rgan-table: error: --score fd: none of the 3 runs has it; they have fid, kid\n",
    )  # fmt: skip


def test_scores_of_averages_are_chosen_by_their_names(averaged: None, rgan_table: Callable) -> None:
    (table,) = json.loads(rgan_table("outputs", "--score", "fid_ema", "--format", "json")[1])
    assert (table["score"], table["columns"][0]["leader"]) == ("fid_ema", "sgan")


def with_draws(folder: Path, values: list[float]) -> None:
    content = json.loads((folder / "result.json").read_text())
    final = content["scores"]["fid"]["final"]
    assert final["value"] == values[0]
    final |= {"mean": sum(values) / len(values), "sd": 0.5, "draws": len(values)}
    (folder / "result.json").write_text(json.dumps(content))


def test_of_several_draws_the_mean_is_taken_where_all_have_as_many(make: Make, rgan_table: Callable) -> None:
    folders = [make("data=demo", f"loss={loss}", value=value) for loss, value in (("sgan", 40.0), ("rasgan", 30.0))]
    with_draws(folders[0], [40.0, 43.0])
    table = json.loads(rgan_table("outputs", "--format", "json")[1])[0]
    assert [cell["mean"] for cell in table["columns"][0]["cells"].values() if cell["seeds"]] == [40.0, 30.0]
    assert "runs have 1 or 2 draws of fakes: the first of each is taken" in table["notes"]
    with_draws(folders[1], [30.0, 31.0])
    table = json.loads(rgan_table("outputs", "--format", "json")[1])[0]
    assert [cell["mean"] for cell in table["columns"][0]["cells"].values() if cell["seeds"]] == [41.5, 30.5]
    assert "each value is the mean of 2 draws of fakes from one generator" in table["notes"]


def test_a_score_that_was_never_of_the_end_has_no_table(make: Make, rgan_table: Callable) -> None:
    """Nothing but a score under an earlier protocol, half way: there was nothing to choose a protocol from."""
    run = make("data=demo", "loss=sgan", value=97.0, features="pixels")
    other_protocol(run, "fid", 32.0, iteration=50_000, features="inception")
    assert [table["score"] for table in json.loads(rgan_table("outputs", "--format", "json")[1])] == ["fd_pixels"]


# --- the page ---------------------------------------------------------------------------------------------------------


def test_divergence_collapse_and_failed_scores_are_told(make: Make, rgan_table: Callable) -> None:
    well = make("experiment=table1_stable", "loss=sgan", value=40.0)
    collapsed = make("experiment=table1_stable", "loss=rasgan", value=90.0)
    diverged = make("experiment=table1_stable", "loss=lsgan", status="diverged", iteration=100_000)
    for folder, pixel_sd in ((well, 0.2), (collapsed, 0.02)):
        content = json.loads((folder / "result.json").read_text())
        content["diversity"] = {"iteration": 100_000, "pixel_sd": pixel_sd, "real_pixel_sd": 0.25}
        (folder / "result.json").write_text(json.dumps(content))
    content = json.loads((diverged / "result.json").read_text())
    content["diverged"] = {"iteration": 1200, "not_finite": ["loss/generator", "weights/generator"]}
    content["failed_scores"] = [{"iteration": 100_000, "reason": "not finite: loss/generator"}]
    (diverged / "result.json").write_text(json.dumps(content))
    for kind in ("auto", "sweep"):
        status, text, _ = rgan_table("outputs", "--table", kind)
        assert status == 0
        assert "diverged at 1,200" in text  # where it did, though it went on
        notes = [line for line in text.splitlines() if "run_00" in line]
        assert [line.split("run_")[1] for line in notes] == [
            f"{collapsed.name[4:]}: collapsed: the images of its grid at 100,000 hardly vary (pixel SD 0.02, "
            "real images 0.25)",
            f"{diverged.name[4:]}: diverged at 1,200 (loss/generator, weights/generator not finite)",
            f"{diverged.name[4:]}: not scored at 100,000 (not finite: loss/generator)",
        ]


def test_a_last_score_that_failed_is_told_in_the_cell(make: Make, rgan_table: Callable) -> None:
    run = make("experiment=table1_stable", "loss=sgan", status="finished")
    rewrite(run, failed_scores=[{"iteration": 100_000, "reason": "out of memory"}])
    unscored = make("experiment=table1_stable", "loss=rasgan", status="finished")
    rewrite(unscored, failed_scores=[{"iteration": 0, "reason": "out of memory"}], scores={}, protocol={})
    make("experiment=table1_stable", "loss=lsgan", status="finished")
    table3 = make("experiment=cat64", "loss=rasgan", value=20.0)
    rewrite(table3, failed_scores=[{"iteration": 40_000, "reason": "no space"}, {"iteration": 3, "reason": "x"}])
    _, out, _ = rgan_table("outputs")
    assert re.search(r"\| sgan +\| not scored at 100,000 ", out)
    assert re.search(r"\| lsgan +\| incomplete at 100,000 ", out)
    assert re.search(r"\| rasgan +\| not scored at 40,000 +\| 15.38", out)
    assert f"left out: {unscored.name} (has no fid; not scored at 0: out of memory)" in out


@pytest.mark.parametrize("form", ["markdown", "csv", "latex", "html", "json"])
def test_a_biased_distance_is_marked_wherever_it_is_shown(form: str, make: Make, rgan_table: Callable) -> None:
    """100 fakes with 192 features: docs/scores.md promises the mark, and rgan-table had none."""
    make("data=demo", "loss=sgan", "fid.num_samples=100", value=5.0, features="pixels")
    make("experiment=cat256", "loss=sgan", value=60.0, table3=[50.0, 95.0, 60.0, 12.5])
    make("data=demo", "loss=sgan", value=5.0, num_real=50_000)
    for index, kind, name in ((0, "sweep", "fd_pixels"), (1, "sweep", "fid"), (1, "table3", "fid")):
        _, out, _ = rgan_table(f"outputs/run_00{index}", "--table", kind, "--format", form)
        if form == "csv":
            assert {row["rank_deficient"] for row in csv.DictReader(io.StringIO(out))} == {"True"}
            continue
        name = name.replace("_", "\\_") if form == "latex" else name
        assert f"{name} (rank-deficient) " in out
        assert f"{name} is rank-deficient: fewer images than features" in out
        if form == "json":
            assert json.loads(out)[0]["rank_deficient"] is True
        if form == "html":
            assert f"{name} (rank-deficient) ↓</text>" in out  # the curve's axis
    assert "rank-deficient" not in rgan_table("outputs/run_002", "--format", form)[1]


def test_latex_compiles(table1: None, make: Make, rgan_table: Callable) -> None:
    if shutil.which("pdflatex") is None:
        pytest.skip("no pdflatex here")
    make("experiment=cat64", "loss=rasgan", value=20.0, table3=[1.0, 2.0, 1.5, 0.5])
    rgan_table("outputs", "--format", "latex", "--out", "tables.tex")
    for betas in ("[0.9,0.999]", "[0.0,0.9]"):
        make("data=demo", f"optim.betas={betas}", value=1.0, root="sweep")
    rgan_table("sweep", "--table", "sweep", "--format", "latex", "--out", "sweep.tex")
    letters = "".join(map(chr, range(0x20, 0x250)))  # a folder may have any name
    rewrite(make("data=demo", value=1.0, root="letters"), config__loss__name=HOSTILE + letters)
    rgan_table("letters", "--table", "table1", "--format", "latex", "--out", "letters.tex")
    for name in ("tables.tex", "sweep.tex", "letters.tex"):
        command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", name]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout[-2000:]
        assert "Overfull" not in done.stdout or name != "tables.tex"


# --- files that are no results ----------------------------------------------------------------------------------------


MALFORMED = [
    ("status", "…", "status is missing"),
    ("status", 3, "status is 3, not a text"),
    ("iteration", -1, "iteration is -1, not a whole number from 0 to 1,000,000,000,000,000"),
    ("iteration", True, "iteration is true, not a whole"),
    ("iteration", 10**40, "iteration is 1000000000000000000000000000000000000000…, not a whole"),
    ("iteration", "9", 'iteration is "9", not a whole'),
    ("scores", "…", "scores is missing"),
    ("scores", [], "scores is a list, not an object"),
    ("scores.other", {}, "protocol.other is missing"),
    ("scores.fid", None, "scores.fid is null, not an object"),
    ("scores.fid.final", "…", "scores.fid.final is missing"),
    ("scores.fid.final.value", "low", 'scores.fid.final.value is "low", not a number'),
    ("scores.fid.final.value", False, "scores.fid.final.value is false, not a number"),
    ("scores.fid.final.value", 10**400, "scores.fid.final.value is 1000"),
    ("scores.fid.final.value", 1e300, "scores.fid.final.value is 1e+300, not a number within ±1e+30"),
    ("scores.fid.final.iteration", 1.5, "scores.fid.final.iteration is 1.5, not a whole"),
    (
        "scores.fid.final",
        {"iteration": 9, "value": 1, "mean": 1, "draws": [1]},
        "scores.fid.final.draws is a list, not a",
    ),
    ("scores.fid.history", None, "scores.fid.history is null, not a list"),
    ("scores.fid.history.0", 3, "scores.fid.history.0 is 3, not a list"),
    ("scores.fid.history.0", [1, 2, 3], "scores.fid.history.0 is a list, not a pair of iteration and value"),
    ("scores.fid.history.0", [0, "x"], 'scores.fid.history.0.1 is "x", not a number'),
    ("scores.fid.table3", {"min": 1}, "scores.fid.table3.complete is missing"),
    ("scores.fid.table3", {"complete": True, "min": 1, "max": 1, "mean": None}, "scores.fid.table3.mean is null"),
    ("protocol", "…", "protocol is missing"),
    ("protocol.fid", 7, "protocol.fid is 7, not an object"),
    ("protocol.fid.metric", "…", "protocol.fid.metric is missing"),
    ("protocol.fid.metric", "mean", 'protocol.fid.metric is "mean", not one of frechet, kernel, precision, '),
    ("protocol.fid.num_real", "many", 'protocol.fid.num_real is "many"'),
    ("protocol.fid.rank_deficient", None, "protocol.fid.rank_deficient is null, not true or false"),
    ("protocol.fid.generator", "both", 'protocol.fid.generator is "both", not raw or ema'),
    ("protocol.fid.generator", None, "protocol.fid.generator is null, not a text"),
    ("config.loss.penalty", [3], "config.loss.penalty.0 is 3, not a text"),
    ("config.loss.penalty", None, "config.loss.penalty is null, not a text"),
    ("config.loss.penalty_weight", [1, "x"], 'config.loss.penalty_weight.1 is "x", not a number'),
    ("config.ema", None, "config.ema is null, not an object"),
    ("config.loss.penalty_points", [["real"]], "config.loss.penalty_points.0 is a list, not a single value"),
    ("config.ema.half_life", [1], "config.ema.half_life is a list, not a single value"),
    ("config.schedule.lr", "down", 'config.schedule.lr is "down", not an object'),
    ("protocol.fid.more", {"deep": 1}, "protocol.fid.more is an object, not a single value"),
    ("config", "…", "config is missing"),
    ("config", [[[[[[]]]]]], "config.0.0.0.0 is a list, not a single value"),
    ("config.loss.name", "…", "config.loss.name is missing"),
    ("config.loss.name", ["sgan"], "config.loss.name is a list, not a text"),
    ("config.loss", "sgan", 'config.loss is "sgan", not an object'),
    ("config.arch.width", 64.0, "config.arch.width is 64.0, not a whole"),
    ("config.arch.spectral_norm", 1, "config.arch.spectral_norm is 1, not true or false"),
    ("config.data", {"name": "folder", "image_size": 32}, "config.data.root is missing"),
    ("config.optim.betas", 0.5, "config.optim.betas is 0.5, not a list"),
    ("config.optim.betas", [0.5], "config.optim.betas is a list, not two numbers"),
    ("config.optim.lr", None, "config.optim.lr is null, not a number"),
    ("config.train.iterations", "…", "config.train.iterations is missing"),
    ("config.seed", None, "config.seed is null"),
    ("config.seed", [1], "config.seed is a list"),
    ("diverged", True, "diverged is true, not an object"),
    ("diverged", {"iteration": 3, "not_finite": "weights"}, 'diverged.not_finite is "weights", not a list'),
    ("diversity", {"iteration": 3}, "diversity.pixel_sd is missing"),
    ("failed_scores", {"iteration": 3}, "failed_scores is an object, not a list"),
    ("failed_scores", [[3, "x"]], "failed_scores.0 is a list, not an object"),
    ("scores_under_other_protocols", [{}], "scores_under_other_protocols.0.score is missing"),
    ("command", 5, "command is 5, not a text"),
    ("versions", {"torch": []}, "versions.torch is a list, not a single value"),
    ("data", {"fingerprint": 5}, "data.fingerprint is 5, not a text"),
]


@pytest.mark.parametrize(("place", "value", "reason"), MALFORMED)
def test_a_malformed_result_is_named_and_the_others_go_on(
    place: str, value: object, reason: str, make: Make, rgan_table: Callable
) -> None:
    make("experiment=table1_stable", "loss=sgan", value=40.0)
    bad = make("experiment=table1_stable", "loss=rasgan", value=30.0)
    content = json.loads((bad / "result.json").read_text())
    change(place, value)(content)
    (bad / "result.json").write_text(json.dumps(content))
    for form in ("json", "html"):
        status, out, err = rgan_table("outputs", "--format", form)
        assert status == 0
        assert err.startswith(f"rgan-table: left out: {bad}/result.json: not a result of rgan-train ({reason}")
        assert err.count("\n") == 1
        assert "40.0" in out
        assert "30.00" not in out
    status, out, err = rgan_table(bad)
    assert (status, out) == (2, "")
    assert err.startswith(f"rgan-table: error: {bad}/result.json: not a result of rgan-train ({reason}")
    assert err.count("\n") == 1


def lay(path: Path, content: bytes) -> None:
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("lay_down", "reason"),
    [
        (partial(lay, content=b""), "not JSON: Expecting value: line 1 column 1 (char 0)"),
        (partial(lay, content=b'{"status": "fin'), "not JSON: Unterminated string"),
        (partial(lay, content=b"[]"), "the content is a list, not an object"),
        (partial(lay, content=b"null"), "the content is null, not an object"),
        (partial(lay, content=b"[" * 100_000), "nested too deeply"),
        (partial(lay, content=b'{"status": ' + b"9" * 5000 + b"}"), "not JSON: Exceeds the limit"),
        (partial(lay, content=b'{"status": NaN}'), "not JSON: NaN stands for a number"),
        (partial(lay, content=b'{"status": "ended", "iteration": -Infinity}'), "not JSON: -Infinity stands for"),
        (
            partial(lay, content=b'{"scores": {}, "protocol": {}, "status": "", "iteration":1e999}'),
            "iteration is Infinity, not a whole",
        ),
        (partial(lay, content=b'{"status": "\xff"}'), "not UTF-8: invalid start byte at byte 12"),
        (lambda path: path.mkdir(), "no file"),
        (lambda path: path.symlink_to("nowhere"), "a link to nothing"),
        (lambda path: path.symlink_to(path), "a link to nothing"),
        (lambda path: os.mkfifo(path), "no file"),
        (lambda path: os.truncate(path, 10**9) if path.touch() is None else None, "larger than 100,000,000 bytes"),
    ],
)
def test_what_is_no_result_at_all_is_named_too(
    lay_down: Callable[[Path], None], reason: str, make: Make, rgan_table: Callable
) -> None:
    make("experiment=table1_stable", "loss=sgan", value=40.0)
    (Path("outputs") / "bad").mkdir()
    lay_down(Path("outputs") / "bad" / "result.json")
    status, out, err = rgan_table("outputs")
    assert status == 0
    assert "| sgan      | 40.00" in out
    assert err.startswith(f"rgan-table: left out: outputs/bad/result.json: not a result of rgan-train ({reason}")
    assert err.count("\n") == 1


def test_a_file_that_may_not_be_read_is_named(
    make: Make, rgan_table: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = (make("experiment=table1_stable", f"loss={loss}", value=40.0) for loss in ("sgan", "rasgan"))
    real = Path.open

    def refuse(path: Path, *arguments: object) -> object:  # tests may run as root, who may read everything
        if path == bad / "result.json":
            raise PermissionError(13, "Permission denied")
        return real(path, *arguments)

    monkeypatch.setattr(Path, "open", refuse)
    status, out, err = rgan_table("outputs")
    assert (status, "| sgan      | 40.00" in out) == (0, True)
    assert err == (
        f"rgan-table: left out: {bad}/result.json: not a result of rgan-train (cannot be read: Permission denied)\n"
    )
    assert good != bad


def test_where_every_file_is_malformed_one_line_says_so(make: Make, rgan_table: Callable) -> None:
    folders = [make("experiment=table1_stable", value=40.0) for _ in range(3)]
    for folder in folders:
        (folder / "result.json").write_text("{}")
    status, out, err = rgan_table("outputs")
    assert (status, out) == (2, "")
    assert err == (
        "rgan-table: error: outputs/run_000/result.json: not a result of rgan-train (scores is missing); "
        "nor is any other of 3\n"
    )


def test_names_that_would_break_a_line_are_written_out(make: Make, rgan_table: Callable) -> None:
    folder = make("experiment=table1_stable", "loss=sgan", value=40.0)
    other = make("experiment=table1_stable", "loss=rasgan", "train.iterations=5", value=30.0)
    make("experiment=table1_stable", "loss=rasgan", value=31.0)
    content = json.loads((folder / "result.json").read_text())
    content["config"]["loss"]["name"] = "two\nlines \ud800\x1b[31m"
    (folder / "result.json").write_text(json.dumps(content))
    other.rename(other.with_name("a\nb\udcff"))
    for form in ("markdown", "csv", "latex", "html", "json"):
        status, out, _ = rgan_table("outputs", "--table", "table1", "--format", form)
        assert status == 0
        assert out.encode()
        assert "\x1b" not in out
        assert "lines" in out
    assert r"two\nlines \ud800\x1b[31m" in json.loads(out)[0]["columns"][0]["cells"]
    assert r"left out: a\nb\udcff (iterations 5, not 100000)" in json.loads(out)[0]["notes"]


def test_runs_of_one_folder_name_are_told_apart(make: Make, rgan_table: Callable) -> None:
    for value, iterations in ((40.0, 9), (39.0, 9), (38.0, 5)):
        folder = make("experiment=table1_stable", f"seed={value:.0f}", f"train.iterations={iterations}", value=value)
        folder.rename(Path("outputs") / "run")
        (Path("outputs") / f"{value:.0f}").mkdir()
        (Path("outputs") / "run").rename(Path("outputs") / f"{value:.0f}" / "run")
    _, out, _ = rgan_table("outputs", "--table", "table1")
    assert "- left out: outputs/38/run (iterations 5, not 9)" in out


# --- hostile texts ----------------------------------------------------------------------------------------------------


MARKUP = r"""(?<!\\)<(script(?! id="own">)|img src=x)"""  # but for the page's own


def places(content: object, way: str = "") -> list[str]:
    """Of every value and key-holding object in a result, dotted."""
    inner = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    return [place for key, value in inner for place in (f"{way}{key}", *places(value, f"{way}{key}."))]


def complete_result(folder: Path) -> dict:
    """With something in every optional field."""
    other_protocol(folder, "fid", 30.0)
    content = json.loads((folder / "result.json").read_text())
    content |= {
        "diverged": {"iteration": 3, "not_finite": ["weights/generator"]},
        "diversity": {"iteration": 9, "pixel_sd": 0.01, "real_pixel_sd": 0.25},
        "failed_scores": [{"iteration": 3, "reason": "out of memory"}],
        "data": {"name": "demo", "source": "x", "fingerprint": "demo"},
    }
    return content


@pytest.mark.parametrize("form", ["html", "markdown"])
def test_no_field_of_a_result_becomes_markup(form: str, make: Make, rgan_table: Callable) -> None:
    folder = make("data=demo", "loss=sgan", value=40.0)
    make("data=demo", "loss=sgan", "optim.lr=1e-3", "seed=2", value=41.0)
    content = complete_result(folder)
    (folder / "result.json").write_text(json.dumps(content))
    assert rgan_table("outputs", "--format", form)[0] == 0
    refused = 0
    for place in places(content):
        changed = copy.deepcopy(content)
        change(place, HOSTILE)(changed)
        (folder / "result.json").write_text(json.dumps(changed))
        status, out, err = rgan_table("outputs", "--table", "sweep", "--format", form)
        assert status == 0, (place, err)
        assert not re.search(MARKUP, out), place
        assert "Traceback" not in err
        refused += "left out" in err
    assert 20 < refused < len(places(content)) - 20  # numbers are refused, texts are shown
    for key in ("scores", "protocol", "config", "versions"):
        changed = copy.deepcopy(content)
        changed[key] = {HOSTILE + name: value for name, value in changed[key].items()}
        (folder / "result.json").write_text(json.dumps(changed))
        status, out, _ = rgan_table("outputs", "--table", "sweep", "--format", form)
        assert status == 0
        assert not re.search(MARKUP, out), key


def test_a_hostile_name_goes_through_every_format(make: Make, rgan_table: Callable) -> None:
    for seed in (1, 2):
        for value, name in ((40.0, HOSTILE), (41.0, "=cmd|' /C calc'!A0"), (42.0, "[0.5, 1]"), (43.0, "文\u202e")):
            folder = make("data=demo", "loss=sgan", f"seed={seed}", f"loss.name=x{value:.0f}", value=value + seed)
            rewrite(folder, config__loss__name=name, config__optim__n_d=int(value))
            rewrite(folder, scores__fid__history=[[0, 1.0], [5, 30.0]])
    for form in ("markdown", "csv", "latex", "html", "json"):
        status, out, _ = rgan_table("outputs", "--table", "sweep", "--format", form)
        assert status == 0
        assert "\u202e" not in out
        assert "input" in out
    names = list(first_cells(out))
    assert len(names) == 4
    out = rgan_table("outputs", "--table", "sweep", "--format", "csv")[1]
    assert "'=cmd|' /C calc'!A0" in {row["row"] for row in csv.DictReader(io.StringIO(out))}
    out = rgan_table("outputs", "--table", "sweep")[1]
    assert "&lt;script" in out and not re.search("<[a-zA-Z/!?]", out)
    assert "p < 0.05" in out
    table = out.splitlines()
    bars = {len(re.findall(r"(?<!\\)\|", line)) for line in table if line.startswith("|")}
    assert len(bars) == 1


def test_csv_texts_are_no_formulas_and_numbers_stay_numbers() -> None:
    for text in ("=1+1", "+x", "-x", "@sum(a)", "\tx", "\rx", "＝1"):
        assert plain(text) == "'" + text
    for text in ("-1", "+1e-4", "sgan", "0.5", "", "(=)", "a=b"):
        assert plain(text) == text


SAFE = r"\\[a-zA-Z]+\{\}|\\[&%_#${}]|\$\\(pm|times|cdot|to)\$|\$-\$|\{\\ttfamily\\char34\}|\{[\[\]*`]\}|\{\}"
SAFE += r"|\\[`'^~\"=.a-zA-Z]\{[a-zA-Z]\}"


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        (r"$\input", r"\$\textbackslash{}input"),
        (r"\\", r"\textbackslash{}\textbackslash{}"),
        (r"\{x}_^~", r"\textbackslash{}\{x\}\_\textasciicircum{}\textasciitilde{}"),
        ("[0.5, 0.999]*", "{[}0.5, 0.999{]}{*}"),
        ("a\nb\tc\x00", "a b cU+0000"),
        ("--x ''y", "-{}-x '{}'y"),
        ("Müller ±1 文", r"M\"{u}ller $\pm$1 U+6587"),
        ("50 % & <b>", r"50 \% \& \textless{}b\textgreater{}"),
    ],
)
def test_latex_escapes(text: str, escaped: str) -> None:
    assert latex_escape(text) == escaped


def test_latex_escapes_leave_nothing_special_of_any_character() -> None:
    for code in range(0x11000):
        escaped = latex_escape(chr(code))
        assert re.fullmatch(r"[A-Za-z0-9 .,;:()/+=@?!'-]+", re.sub(SAFE, "x", escaped)), (code, escaped)


# --- where it goes ----------------------------------------------------------------------------------------------------


@pytest.fixture
def in_shell(make: Make) -> Callable[..., tuple[int, str, str]]:
    """rgan-table in a process of its own, under a line of shell: (exit status, stdout, stderr)."""
    make("experiment=table1_stable", "loss=sgan", value=40.0)
    for seed in (1, 2):
        make("experiment=table1_stable", "loss=rasgan", f"seed={seed}", value=30.0 + seed)

    def run(line: str, encoding: str = "utf-8", **environment: str) -> tuple[int, str, str]:
        command = f"'{sys.executable}' -c 'from rgan_bench.cli.table import main; main()'"
        done = subprocess.run(
            line.replace("rgan-table", command), shell=True, executable="/bin/bash", timeout=60, capture_output=True,
            env=os.environ | environment,
        )  # fmt: skip
        return done.returncode, done.stdout.decode(encoding), done.stderr.decode(encoding)

    return run


@pytest.mark.parametrize("form", ["markdown", "csv", "latex", "html", "json"])
@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_without_unicode_gets_the_table_too(encoding: str, form: str, in_shell: Callable) -> None:
    rewrite("outputs/run_000", config__loss__name="größer 𝛼")
    status, out, err = in_shell(f"rgan-table --format {form}", encoding, PYTHONIOENCODING=encoding)
    assert (status, err) == (0, "")
    assert "40.64" in out
    if form == "json":
        assert first_cells(out)["größer 𝛼"]["mean"] == 40.0
    elif form == "html":
        assert out.isascii()
        assert "31.50 &#177; 0.71" in out
        assert "gr&#246;&#223;er &#120572;" in out
    elif form == "latex":
        assert r"gr\"{o}U+00DFer U+1D6FC & 40.00" in out
        assert r"31.50 $\pm$ 0.71 (2 seeds)" in out
    else:
        assert ("größer" if encoding == "latin-1" else r"gr\xf6\xdfer") + r" \U0001d6fc" in out
    if form == "markdown":
        assert f"31.50 {'±' if encoding == 'latin-1' else '+-'} 0.71 (2 seeds)" in out


def test_a_locale_without_unicode(in_shell: Callable) -> None:
    status, out, _ = in_shell("rgan-table", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert status == 0
    assert "| rasgan    | **31.50 +- 0.71 (2 seeds)**" in out
    assert "-0.64" in out
    assert "31.98 " in out


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("rgan-table > /dev/full", "stdout: cannot be written to ([Errno 28] No space left on device)"),
        ("rgan-table --format html > /dev/full", "stdout: cannot be written to ([Errno 28] No space left on device)"),
        ("rgan-table --out /dev/stdout > /dev/full", "--out /dev/stdout: cannot be written ([Errno 28] No space left"),
        ("rgan-table >&-", "stdout: cannot be written to (it is closed)"),
    ],
)
def test_a_stdout_that_takes_nothing_is_one_line(line: str, message: str, in_shell: Callable) -> None:
    status, out, err = in_shell(line)
    assert (status, out) == (2, "")
    assert err.startswith(f"rgan-table: error: {message}")
    assert err.count("\n") == 1


@pytest.mark.parametrize("closed", ["2>&-", "2> /dev/full"])
def test_nobody_need_listen_on_stderr(closed: str, in_shell: Callable) -> None:
    Path("outputs/bad").mkdir()
    Path("outputs/bad/result.json").touch()
    status, out, _ = in_shell(f"rgan-table --format json {closed}")
    assert status == 0
    assert json.loads(out)[0]["columns"][0]["cells"]["sgan"]["mean"] == 40.0
    assert in_shell(f"rgan-table --out t.md {closed}")[0] == 0


def test_a_reader_that_goes_away_is_nothing_wrong(in_shell: Callable) -> None:
    for line in ("rgan-table --format html", "rgan-table --format html --out /dev/stdout"):
        status, _, err = in_shell(f"set -o pipefail; {line} | (exec <&-; sleep 3)")
        assert (status, err) == (141, "")


@pytest.mark.parametrize("out", ["/dev/stdout", "/proc/self/fd/1", "/dev/fd/1"])
def test_out_may_be_stdout(out: str, in_shell: Callable) -> None:
    assert "40.64" in in_shell(f"rgan-table --out {out}")[1]
    in_shell(f"(echo before; rgan-table --out {out}; echo after) > both.md")
    lines = Path("both.md").read_text().splitlines()
    assert (lines[0], lines[-1]) == ("before", "after")
    assert any("40.64" in line for line in lines)


def test_out_through_links_pipes_and_devices(in_shell: Callable, rgan_table: Callable) -> None:
    """A device became a regular file: --out /dev/null, as root, took the machine's null device away."""
    Path("target.md").write_text("old")
    Path("link.md").symlink_to("target.md")
    Path("new.md").symlink_to("folder/made.md")
    Path("folder").mkdir()
    for link, target in (("link.md", "target.md"), ("new.md", "folder/made.md")):
        assert rgan_table("outputs", "--out", link)[0] == 0
        assert Path(link).is_symlink()
        assert "40.64" in Path(target).read_text()
    os.mkfifo("pipe")
    _, out, err = in_shell("cat pipe & rgan-table --out pipe; wait")
    assert "40.64" in out
    assert err == "rgan-table: 1 table of 3 runs: pipe\n"
    assert Path("pipe").is_fifo()
    ours, theirs = os.openpty()  # a device that nothing could put a file in the place of
    name = os.ttyname(theirs)
    assert rgan_table("outputs", "--format", "csv", "--out", name)[0] == 0
    assert b"table,score,row" in os.read(ours, 1000)
    assert Path(name).is_char_device()


@pytest.mark.parametrize(
    ("out", "reason"),
    [("outputs", "Is a directory"), ("nowhere/t.md", "No such file or directory"), ("a\nb/t.md", "No such file"),
     ("loop", "Too many levels of symbolic links"), ("x" * 300, "File name too long"), ("t.md", "No space left")],
)  # fmt: skip
def test_an_out_that_cannot_be_written_is_one_line(
    out: str, reason: str, make: Make, rgan_table: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    make("experiment=table1_stable", value=1.0)
    Path("loop").symlink_to("loop")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    if reason == "No space left":
        Path(out).write_text("old")
        monkeypatch.setattr(os, "fsync", full)
    status, _, err = rgan_table("outputs", "--out", out)
    assert status == 2
    assert err.startswith("rgan-table: error: --out ")
    assert reason in err
    assert err.count("\n") == 1
    assert Path("loop").is_symlink()
    if reason == "No space left":
        assert Path(out).read_text() == "old"


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], r"nowhere: there is no such folder"),
        (["empty"], r"empty: no result\.json in there"),
        (["broken"], r"broken/result\.json: not a result of rgan-train"),
        (
            ["outputs", "--table", "table3"],
            r"--table table3: none of the 1 runs belongs there; --table sweep takes any",
        ),
        (["outputs", "--out", "nowhere/t.md"], r"--out nowhere/t\.md: cannot be written"),
    ],
)
def test_refusals(arguments: list[str], message: str, make: Make, rgan_table: Callable) -> None:
    make("experiment=table1_stable", value=1.0)
    Path("empty").mkdir()
    Path("broken").mkdir()
    (Path("broken") / "result.json").write_text('{"status": "finished"}')
    status, out, err = rgan_table(*arguments)
    assert status == 2
    assert out == ""
    assert re.match(rf"rgan-table: error: {message}", err)
    assert err.count("\n") == 1


def test_csv_has_numbers_in_full(make: Make, rgan_table: Callable) -> None:
    make("experiment=table1_stable", "loss=sgan", value=40.123456789)
    _, out, _ = rgan_table("outputs", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert len(rows) == 20
    assert rows[0]["mean"] == "40.123456789"
    assert rows[0]["difference"] == str(40.123456789 - 40.64)
