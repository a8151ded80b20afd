"""rgan-runs show, rerun and clean: one run in full, its command, what may go."""

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from rgan_bench.catalogue import find
from rgan_bench.catalogue.cleaning import Policy, plan
from rgan_bench.catalogue.command import command_of, quoted
from rgan_bench.catalogue.plot import plot
from rgan_bench.locks import held
from tests.report.conftest import Make, rewrite

Command = Callable[..., tuple[int, str, str]]
Finished = Callable[..., Path]


# --- show -------------------------------------------------------------------------------------------------------------


def test_a_run_in_full_and_what_sets_it_apart_from_another(finished: Finished, rgan_runs: Command) -> None:
    one, two = finished("loss=sgan"), finished("loss=rasgan", value=5.0)
    status, out, _ = rgan_runs("show", "_sgan_", two)
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert status == 0 and "status finished" in lines and "iteration 60 of 60" in lines
    assert any(line.startswith("loss=sgan arch=cnn32 data=demo") and "optim.lr=" in line for line in lines)
    assert "fd_pixels 7 60 7 60 —" in lines and "fd_pixels 7 at 60 5 at 60 −2" in lines
    assert "loss.comparison none average" in lines and not any(line.startswith("optim.betas") for line in lines)
    assert {"loss/generator", "logits/real"} <= {word for line in lines for word in line.split()}
    rewrite(two, protocol__fd_pixels__num_samples=5000)
    assert "other protocol: not comparable" in rgan_runs("show", one, two)[1]
    assert "comparison: none" in rgan_runs("show", one, "--config")[1]
    ambiguous = "demo: 2 runs below outputs are called so: demo_cnn32_"
    for name, told in (("demo", ambiguous), ("x", "x: no run below outputs has this in its name; they are demo_")):
        status, out, err = rgan_runs("show", name)
        assert (status, out) == (2, "") and f"error: {told}" in err and err.count("\n") == 1


def test_a_curve_goes_where_its_points_are() -> None:
    diagonal = ["10 +  *", "   | * ", " 0 +*  ", "   +---", "    090"]
    assert plot([(0, 0), (90, 10)], 3, 3, ascii_only=True) == diagonal
    assert plot([(0, 0), (45, 10), (90, 0)], 6, 2)[:2] == ["10 ┤ ⢀⠔⠱⡀ ", " 0 ┤⡠⠊  ⠈⢆"]
    assert plot([(5, 3.0)], 3, 2)[0] == "3 ┤⠁  "
    assert plot([(90, 10), (0, 0)], 3, 3, ascii_only=True) == diagonal  # a file can say anything


# --- rerun ------------------------------------------------------------------------------------------------------------


def test_the_command_lands_in_the_very_folder(
    finished: Finished, rgan_runs: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = finished("loss=sgan", "loss.penalty=[r1,lecam]", "arch.width=8", "seed=3", "train.keep=5")
    status, out, err = rgan_runs("rerun", "seed3")
    assert (status, err) == (0, "") and out.startswith("rgan-train experiment=table1_stable data=demo")
    rewrite(run, command=None)  # made from Python
    status, out, err = rgan_runs("rerun", "seed3")
    assert (
        (status, err) == (0, "")
        and "experiment" not in out
        and "train.keep=5" in out
        and "'loss.penalty=[r1,lecam]'" in out
    )
    status, out, err = rgan_runs("rerun", run, "train.iterations=90", "loss=hinge")
    assert out.split().count("loss=hinge") == 1 and "loss=sgan" not in out and "train.iterations=60" not in out
    assert "this would train in outputs/demo_cnn32_hinge_" in err and err.endswith(f"not in {run}\n")
    status, out, err = rgan_runs("rerun", run, "train.itertions=90")
    assert (status, out) == (2, "") and "did you mean train.iterations?" in err
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    command = command_of(find("../outputs")[0])
    assert command.overrides[-1] == "output_root=../outputs" and not command.notes


def test_a_command_from_a_file_runs_nothing(finished: Finished, rgan_runs: Command) -> None:
    run = finished()
    Path("evil.py").write_text("raise SystemExit('was imported')")
    rewrite(run, command="rgan-train plugins=[evil.py] 'loss=a; rm -rf /'")
    status, out, err = rgan_runs("rerun", run)
    assert (status, out) == (0, "rgan-train 'plugins=[evil.py]' 'loss=a; rm -rf /'\n") and "it was not tried" in err
    rewrite(run, command="rm -rf / ; rgan-train")
    assert rgan_runs("rerun", run)[1].startswith("rgan-train loss=rasgan arch=cnn32 data=demo")


TEXTS = st.text("aé1.e-$n{}[]'\\\", :=/")


@given(st.recursive(st.none() | st.booleans() | st.integers() | TEXTS, st.lists, max_leaves=4))
def test_values_are_quoted_as_hydra_reads_them(value: object) -> None:
    read = OverridesParser.create().parse_override(f"key={quoted(value)}").value()
    assert OmegaConf.to_container(OmegaConf.create({"key": read}), resolve=True) == {"key": value}


# --- clean ------------------------------------------------------------------------------------------------------------


def left(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_what_can_be_made_again_of_finished_runs_goes_and_nothing_else(finished: Finished, rgan_runs: Command) -> None:
    run = finished()
    (run / "checkpoints" / "last.pt.damaged").touch()
    (run / "samples" / ".iter_000060.png.12-ab.tmp").touch()
    (run / "checkpoints" / "mine.pt").touch()
    before = left(run)
    status, out, err = rgan_runs("clean")
    assert status == 0 and left(run) == before and "3 × periodic checkpoint, previous.pt, 2 × leftover" in out
    assert "--yes" in err
    rgan_runs("clean", "--yes", "--keep", 1)
    gone = {"previous.pt", "iter_000020.pt", "iter_000040.pt", "last.pt.damaged"}
    gone = {f"checkpoints/{name}" for name in gone} | {"samples/.iter_000060.png.12-ab.tmp"}
    assert left(run) == before - gone
    rgan_runs("clean", "--yes", "--samples")
    gone |= {"checkpoints/iter_000060.pt", "samples/iter_000000.png", "samples/iter_000030.png"}
    assert left(run) == before - gone
    assert rgan_runs("clean", "--yes", "--samples", "--runs", "--sweeps") == (0, "", "rgan-runs: nothing to remove\n")


def test_a_file_of_two_names_takes_its_room_once_and_frees_none_with_one_of_them(finished: Finished) -> None:
    run = finished()
    checkpoints = run / "checkpoints"
    (alone,) = find()
    size = (checkpoints / "iter_000060.pt").stat().st_size
    (checkpoints / "iter_000060.pt").unlink()
    (checkpoints / "iter_000060.pt").hardlink_to(checkpoints / "last.pt")
    (linked,) = find()
    assert linked.bytes == alone.bytes - size
    planned = plan(linked, Policy())
    assert planned is not None
    assert planned.bytes == sum((checkpoints / f"{name}.pt").stat().st_size for name in (
        "previous", "iter_000020", "iter_000040"
    ))  # fmt: skip


@pytest.mark.parametrize(
    "why", ["unfinished", "diverged", "cut off", "no last", "damaged", "running", "link", "filter"]
)
def test_what_may_be_needed_stays(finished: Finished, rgan_runs: Command, why: str) -> None:
    run, arguments = finished(), ["clean", "--yes", "--samples", "--runs"]
    with contextlib.ExitStack() as stack:
        if why in ("unfinished", "diverged"):
            rewrite(run, status={"unfinished": "interrupted"}.get(why, why))
        elif why == "cut off":
            (run / "checkpoints" / "last.pt").write_bytes((run / "checkpoints" / "last.pt").read_bytes()[:-30])
        elif why == "no last":
            (run / "checkpoints" / "last.pt").unlink()
        elif why == "damaged":
            (run / "result.json").write_text("{")
        elif why == "running":
            stack.enter_context(held(run / ".lock"))
        elif why == "link":
            for name in ("checkpoints", "samples"):
                shutil.move(run / name, name)
                (run / name).symlink_to(Path(name).absolute())
        else:
            finished("seed=2")
            arguments += ["seed=2"]
        before = left(run) | left(Path.cwd())
        before = {name for name in before if "_seed2" not in name}
        status, _, _ = rgan_runs(*arguments)
        assert status == 0 and {name for name in left(run) | left(Path.cwd()) if "_seed2" not in name} == before


def test_runs_that_never_began_and_sweeps_that_ended_go_only_if_asked(make: Make, rgan_runs: Command) -> None:
    early, diverged, others, scored = (make("loss=sgan", status="killed") for _ in range(4))
    rewrite(early, status="running")
    rewrite(diverged, status="diverged")
    rewrite(scored, scores__fid__final={"iteration": 10, "value": 1.0})
    for run in (early, diverged, others, scored):
        (run / "checkpoints").mkdir()
    (others / "notes.txt").touch()
    sweep, busy = Path("outputs/multirun/1"), Path("outputs/multirun/2")
    for folder in (sweep, busy):
        folder.mkdir(parents=True)
        (folder / "cells.json").write_text("{}")
    with held(busy / ".lock"):
        assert "nothing to remove" in rgan_runs("clean", "--yes")[2]
        status, out, err = rgan_runs("clean", "--yes", "--runs", "--sweeps")
    assert status == 2 and f"{busy}: not cleaned up (held by process" in err
    assert not early.exists() and not sweep.exists() and diverged.exists() and others.exists() and scored.exists()
    assert str(early) in out and busy.exists()
