"""rgan-runs: what is listed, in which state, and how it looks."""

import fcntl
import io
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from rgan_bench.catalogue import find
from rgan_bench.catalogue.listing import listing, put
from rgan_bench.errors import UserError
from rgan_bench.locks import held, is_held
from tests.report.conftest import Make, rewrite

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def states(make: Make) -> dict[str, Path]:
    """Status → a run that is listed with it."""
    found = {"finished": make("loss=sgan", value=30.0)}
    found |= {"interrupted": make("loss=sgan", "seed=2", status="interrupted")}
    found |= {"killed": make("loss=rasgan", status="running", value=25.0), "running": make("loss=rasgan", value=20.0)}
    found |= {"damaged": make("loss=rasgan"), "no result": make("loss=rasgan")}
    newest = '{"iteration": 150000, "iterations_per_second": 9}'
    (found["killed"] / "metrics.jsonl").write_text(f'{{"iteration": 10}}\n{newest}\n{{"it')
    (found["damaged"] / "result.json").write_text("{")
    (found["no result"] / "result.json").unlink()
    (found["no result"] / "checkpoints").mkdir()
    (found["no result"] / "checkpoints" / "iter_000700.pt").touch()
    (found["no result"] / ".hydra").mkdir()
    return found


def test_runs_are_listed_in_whatever_state_they_are(states: dict[str, Path], rgan_runs: Command) -> None:
    config = json.loads((states["running"] / "result.json").read_text())["config"]
    (states["no result"] / ".hydra" / "config.yaml").write_text(json.dumps(config | {"plugins": ["never_imported.py"]}))
    with held(states["running"] / ".lock"):
        status, out, err = rgan_runs("--json")
    told = {Path(each["path"]): each for each in json.loads(out)}
    assert status == 0 and {path: each["status"] for path, each in told.items()} == {v: k for k, v in states.items()}
    known = (told[states["killed"]][key] for key in ("iteration", "iterations_per_second"))
    assert tuple(known) == (150_000, 9)  # metrics.jsonl knows more than result.json
    assert (told[states["no result"]]["loss"], told[states["no result"]]["iteration"]) == ("rasgan", 700)
    assert told[states["finished"]]["scores"]["fid"]["best"] == {"iteration": 100_000, "value": 30.0}
    status, out, err = rgan_runs()
    assert status == 0 and len(out.splitlines()) == 7 and "\x1b" not in out and str(states["damaged"]) in out
    assert err.splitlines()[-1].startswith(f"rgan-runs: {states['damaged']}/result.json: not JSON")


def test_filters_and_order(states: dict[str, Path], rgan_runs: Command) -> None:
    for filters, found in (
        ("loss=sgan seed=1,2", ["finished", "interrupted"]),
        ("status=finished,killed optim.lr=2.0e-4 --sort fid", ["running", "killed", "finished"]),
        ("status=finished --sort loss --reverse", ["running", "finished"]),
        ("optim.betas=[0.5,0.999] iteration=150000", ["killed"]),
        ("data.flip=false plugins=[] seed=2", ["interrupted"]),
    ):
        status, out, _ = rgan_runs(*filters.split())
        assert status == 0 and [line.split()[0] for line in out.splitlines()[1:]] == [str(states[s]) for s in found]
    for filters, told in (
        ("loss=wgangp", "loss=wgangp: no run has it; there is rasgan (2), sgan (2)"),
        ("seed=1,3", "seed=3: no run has it; there is 1 (3), 2 (1)"),
        ("loss=rasgan seed=2", "loss=rasgan seed=2: each of them is there, but no run has them all"),
        ("optim.lt=1", "optim.lt: there is no key optim.lt; did you mean optim.lr?; or a column: run, loss, seed"),
        ("optim=stable", "optim=stable: it has no value, but keys of its own: optim.betas"),
        ("seed=1]", "seed=1]: not a filter ("),
        ("--sort fit", "--sort fit: there is no key fit; "),
        ("nowhere", "nowhere: there is no such folder"),
    ):
        status, out, err = rgan_runs(*filters.split())
        assert (status, out) == (2, "") and err.startswith(f"rgan-runs: error: {told}") and err.count("\n") == 1


def test_what_a_file_says_does_not_reach_the_terminal_as_it_is(make: Make, rgan_runs: Command) -> None:
    evil = "\x1b]0;x\x07[red]a\n"
    rewrite(make("loss=sgan", value=1.0), status=evil, config__loss__name=evil, command=evil, versions={evil: evil})
    (Path("outputs") / evil / "checkpoints").mkdir(parents=True)
    (Path("outputs") / evil / ".lock").touch()
    for arguments in ([], ["show", "run_000"], ["show", "run_000", "red"], ["rerun", "run_000"], ["clean", "--runs"]):
        _, out, err = rgan_runs(*arguments)
        assert "\x1b" not in out + err and "\x07" not in out + err
        assert r"\x1b]0;x\x07[red]a\n" in out + err
    html = find()._repr_html_()
    assert "\x1b" not in html and r"\x1b]0;x\x07[red]a\n" in html


def test_a_narrow_terminal_shows_less_and_says_so_and_a_pipe_all(make: Make) -> None:
    for lr in ("1e-4", "2e-4"):
        make("loss=rasgan", f"optim.lr={lr}", "arch.width=32", value=30.0, root="a_place_with_a_name_that_is_long/" * 3)
    runs, shown = find("."), {}
    for width in (50, 70, 200):
        on = Console(file=io.StringIO(), width=width, force_terminal=True, highlight=False)
        table, left_out = listing(runs, on)
        put(on, table)
        shown[width] = [re.sub(r"\x1b\[[\d;]*m", "", line) for line in on.file.getvalue().splitlines()]
        assert max(map(len, shown[width])) <= width and bool(left_out) == (width < 200)
        assert not any("…" in line for line in shown[width])
        head = set(shown[width][0].split())
        assert not set(left_out) & head and {"run", "status", "fid"} <= head
    assert "optim.lr" in shown[70][0] and "age" in shown[200][0]
    assert all(str(run.path) in repr(runs) for run in runs)


def test_scores_under_other_protocols_are_named(make: Make, rgan_runs: Command) -> None:
    make("loss=sgan", value=30.0), make("loss=sgan", "seed=2", value=30.0, num_samples=1000)
    _, _, err = rgan_runs()
    assert "fid: under several protocols, which may not be compared (num_samples 50000 or 1000" in err
    assert "rank-deficient" in err


def test_a_look_at_a_lock_refuses_nobody(tmp_path: Path) -> None:
    lock = tmp_path / ".lock"
    assert is_held(lock) is False and not lock.exists()
    with held(lock):
        assert is_held(lock) is True
    looking = os.open(lock, os.O_RDONLY)
    fcntl.flock(looking, fcntl.LOCK_SH)  # as somebody who looks, for as long as it takes the other to come
    threading.Timer(0.05, os.close, [looking]).start()
    with held(lock):
        assert is_held(lock) is True
    assert is_held(lock) is False


def test_pandas_gets_a_row_a_run_and_score(
    make: Make, states: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pandas")
    rewrite(states["finished"], scores__fid__final={"iteration": 100000, "value": 30, "mean": 31, "sd": 2, "draws": 3})
    runs = find().where("loss=sgan,rasgan").sorted_by("run")
    table = runs.to_pandas()
    assert list(table.columns[:8]) == ["run", "loss", "seed", "status", "iteration", "score", "value", "mean"]
    assert table.loc[0, ["value", "mean", "sd", "best", "best_iteration"]].tolist() == [30, 31, 2, 30, 100_000]
    history = runs.to_pandas(history=True).groupby("run").size()
    assert history.to_dict() == {"run_000": 2, "run_001": 1, "run_002": 2, "run_003": 2}
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UserError, match="pip install pandas"):
        runs.to_pandas()


def test_help_and_lists_import_little(tmp_path: Path) -> None:
    code = "import sys; sys.argv = ['rgan-runs', *sys.argv[1:]]; from rgan_bench.cli.runs import main\n"
    code += (
        "try: main()\nexcept SystemExit: pass\nprint(*{name.split('.')[0] for name in sys.modules}, file=sys.stderr)"
    )
    heavy = {"torch", "pandas", "rich", "hydra", "omegaconf"}
    for arguments, allowed in (["--help"], set()), (["clean", "--help"], set()), (["."], heavy - {"torch", "pandas"}):
        ran = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
        assert not (heavy - allowed) & set(ran.stderr.split()), arguments
