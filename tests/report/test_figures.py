"""Figures: what they show, the files that they are written to, and that these need nothing besides."""

import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from rgan_bench.report.figures import MOST_PANELS, span
from rgan_bench.report.figures.files import COLUMN, drawn
from rgan_bench.report.figures.questions import all_figures, file_name, setting, short
from rgan_bench.report.page.chart import even_ticks, log_ticks, share
from rgan_bench.report.reading import find_runs
from rgan_bench.report.tables import make_tables
from tests.report.conftest import HOSTILE, Make, rewrite


@pytest.fixture
def rates(make: Make) -> None:
    for loss, base in (("sgan", 40.0), ("rasgan", 30.0)):
        for index, lr in enumerate(("1e-4", "3e-4", "1e-3")):
            for seed in (1, 2):
                make("data=demo", f"loss={loss}", f"optim.lr={lr}", f"seed={seed}", value=base + index + seed)


def figures_of(place: str = "outputs", kind: str = "auto") -> dict:
    return {figure.name: figure for figure in all_figures(make_tables(find_runs([Path(place)]), kind))}


def test_a_sweep_is_drawn_against_its_key(rates: None) -> None:
    figure = figures_of()["sweep_fid_against_optim.lr"]
    assert (figure.x.label, figure.x.log, list(figure.x.ticks.values())) == ("optim.lr", True, ["1e-4", "3e-4", "1e-3"])
    (panel,) = figure.panels
    sgan, rasgan = sorted(panel.lines, key=lambda line: line.name, reverse=True)
    assert [(mean.x, mean.y, round(mean.sd, 3)) for mean in sgan.means] == [
        (1e-4, 41.5, 0.707), (3e-4, 42.5, 0.707), (1e-3, 43.5, 0.707),
    ]  # fmt: skip
    assert [(dot.y, dot.run.seed) for dot in rasgan.dots] == [
        (v, s) for i in range(3) for v, s in ((31 + i, 1), (32 + i, 2))
    ]
    assert sgan.seeds == [[(1e-4, 41.0), (3e-4, 42.0), (1e-3, 43.0)], [(1e-4, 42.0), (3e-4, 43.0), (1e-3, 44.0)]]


def test_several_keys_give_a_panel_each(make: Make) -> None:
    for lr in ("1e-4", "2e-4"):
        for norm in ("true", "false"):
            make("data=demo", f"optim.lr={lr}", f"arch.spectral_norm={norm}", value=3.0)
    figure = figures_of()["sweep_fid_against_optim.lr"]
    assert sorted(panel.title for panel in figure.panels) == ["arch.spectral_norm=false", "arch.spectral_norm=true"]
    assert not figure.x.log  # 1e-4 to 2e-4 is no range for one


def test_keys_that_only_vary_together_or_are_no_numbers_give_none(make: Make) -> None:
    for norm in ("both", "none"):
        make("data=demo", f"arch.batch_norm={norm}", value=3.0)
    assert list(figures_of()) == ["sweep_fid_by_loss", "sweep_fid_against_iteration"]
    for lr, pac in (("1e-4", 1), ("1e-3", 2)):
        make("data=demo", f"optim.lr={lr}", f"arch.pac={pac}", value=3.0, root="other")
    assert "sweep_fid_by_loss" in figures_of("other")


def test_scores_develop_with_what_was_spent_too(make: Make) -> None:
    """With steps of the discriminator where they do not merely go with iterations, with seconds where all are known."""
    for loss, n_d in (("wgangp", 5), ("rsgan_gp", 1)):
        for seed in (1, 2):
            folder = make("data=demo", f"loss={loss}", f"optim.n_d={n_d}", f"seed={seed}", value=3.0 + seed)
            spent = [{"iteration": at, "training_seconds": at * n_d * seed / 1e3} for at in (0, 100_000)]
            rewrite(folder, scored_at=spent)
    found = figures_of()
    places = {
        name.removeprefix("sweep_fid_against_"): {
            line.name: [mean.x for mean in line.means] for panel in figure.panels for line in panel.lines
        }
        for name, figure in found.items()
    }
    assert places["discriminator_steps"] == {"wgangp": [0, 500_000], "rsgan_gp": [0, 100_000]}
    assert places["seconds_of_training"] == {"wgangp": [0, 750], "rsgan_gp": [0, 150]}
    assert "images_seen" not in places
    rewrite(folder, scored_at=[])
    assert "sweep_fid_against_seconds_of_training" not in figures_of()


def test_the_paper_s_tables_are_drawn_loss_by_loss(table1: None) -> None:
    figure = figures_of()["table1_fid_by_loss"]
    assert list(figure.x.ticks.values()) == ["rasgan", "rasgan_gp", "wgangp", "sgan", "lsgan"] or (
        list(figure.x.ticks.values())[-1] == "lsgan"
    )
    by_name = {line.name: line for line in figure.panels[0].lines}
    assert by_name["rasgan"].printed.y == 31.98
    assert "2 runs have no value and cannot be drawn" in figure.caption
    assert "the paper's number" in figure.caption


def test_a_figure_is_bounded_and_says_so(make: Make) -> None:
    for loss in ("sgan", "rasgan"):
        for number in range(MOST_PANELS + 3):
            make("data=demo", f"loss={loss}", f"optim.n_d={number + 1}", value=3.0)
    figure = figures_of()["sweep_fid_against_iteration"]
    assert len(figure.panels) == MOST_PANELS
    assert figure.caption.endswith(f"The first {MOST_PANELS} of {MOST_PANELS + 3} settings.")


def test_panels_of_many_keys_have_titles_that_can_be_read(make: Make) -> None:
    """Several lines, which neither meet those of a neighbour nor leave the figure."""
    for loss in ("sgan", "rasgan"):
        for norm in ("both", "none"):
            for activation in ("default", "tanh"):
                for betas in ("[0.5,0.9]", "[0.9,0.9]"):
                    keys = (f"arch.batch_norm={norm}", f"arch.activation={activation}", f"optim.betas={betas}")
                    make("data=demo", f"loss={loss}", *keys, value=3.0)
    for figure in figures_of().values():
        with drawn(figure) as made:
            made.canvas.draw()
            titles = [axes.title for axes in made.axes if axes.axison]
            assert "arch.batch_norm=both, arch.activation=tanh, optim.betas=[0.9,0.9]" in [
                title.get_text().replace("\n", " ") for title in titles
            ]
            boxes = [title.get_window_extent() for title in titles]
            assert all(made.bbox.x0 <= box.x0 and box.x1 <= made.bbox.x1 for box in boxes)
            assert not any(one.overlaps(two) for one, two in itertools.combinations(boxes, 2))


# --- files ------------------------------------------------------------------------------------------------------------


def test_figures_are_files_for_a_paper(rates: None, rgan_table: Callable) -> None:
    status, out, err = rgan_table("outputs", "--figures", "made/figures")
    assert status == 0
    assert out.startswith("### fid")
    assert err == "rgan-table: 2 figures as PDF, SVG and PNG: made/figures\n"
    names = ["sweep_fid_against_iteration", "sweep_fid_against_optim.lr"]
    folder = Path("made/figures")
    assert sorted(path.name for path in folder.iterdir()) == [f"{n}.{s}" for n in names for s in ("pdf", "png", "svg")]
    for name in names:
        content = (folder / f"{name}.pdf").read_bytes()
        text = content + b"".join(inflated(part) for part in re.findall(rb"stream\r?\n(.*?)endstream", content, re.S))
        assert b"/FontFile2" in text  # TrueType, inside
        assert b"/Type3" not in text
        width = float(re.search(rb"/MediaBox \[ ?0 0 ([\d.]+)", text)[1])
        assert width / 72 * 25.4 == pytest.approx(84, abs=1)
        svg = (folder / f"{name}.svg").read_text()
        assert "<text" not in svg  # outlines
        assert not re.search(r'href="(?!#)', svg)
        picture = Image.open(folder / f"{name}.png")
        assert picture.width == pytest.approx(COLUMN * 300, abs=2)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    rgan_table("outputs", "--figures", folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def inflated(part: bytes) -> bytes:
    try:
        return zlib.decompress(part)
    except zlib.error:
        return b""


def test_files_that_are_not_ours_stay(rates: None, rgan_table: Callable) -> None:
    folder = Path("figures")
    folder.mkdir()
    (folder / "mine.pdf").write_text("mine")
    (folder / "sweep_fid_against_optim.lr.svg").write_text("of before")
    assert rgan_table("outputs", "--figures", folder)[0] == 0
    assert (folder / "mine.pdf").read_text() == "mine"
    assert (folder / "sweep_fid_against_optim.lr.svg").read_text() != "of before"  # as --out does


def test_figures_that_cannot_be_written_are_one_line(rates: None, rgan_table: Callable) -> None:
    Path("file").touch()
    status, out, err = rgan_table("outputs", "--figures", "file")
    assert (status, out) == (2, "")
    assert err.startswith("rgan-table: error: --figures file: cannot be written")
    assert err.count("\n") == 1


def test_hostile_names_are_drawn(rates: None, rgan_table: Callable) -> None:
    for number in range(6):
        rewrite(f"outputs/run_{number:03d}", config__loss__name=HOSTILE + "文$x$" + "long" * 40)
    status, _, err = rgan_table("outputs", "--figures", "figures")
    assert (status, "Warning" in err) == (0, False)
    assert all(re.fullmatch(r"[\w.=-]+", path.name) for path in Path("figures").iterdir())


def test_a_bare_tabular(table1: None, rgan_table: Callable) -> None:
    _, document, _ = rgan_table("outputs", "--format", "latex")
    _, bare, _ = rgan_table("outputs", "--format", "tabular")
    assert bare.startswith("% fid at 100,000 iterations\n\\begin{tabular}{l")
    assert bare.endswith("\\end{tabular}\n")
    assert "document" not in bare
    for line in bare.splitlines()[1:-1]:
        assert line in document


# --- watching ---------------------------------------------------------------------------------------------------------


def test_watch_needs_a_file(rates: None, rgan_table: Callable) -> None:
    status, _, err = rgan_table("outputs", "--watch")
    assert (status, err) == (2, "rgan-table: error: --watch renews a file: name it with --out FILE\n")


def test_watch_renews_what_is_written_until_it_is_stopped(make: Make) -> None:
    Path("later").mkdir()
    command = [sys.executable, "-c", "from rgan_bench.cli.start import table; table()"]
    command += ["later", "--watch", "0.2", "--format", "json", "--out", "t.json"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ) as watching:
        try:
            assert "no result.json in there" in watching.stderr.readline()  # runs may come
            make("data=demo", "loss=sgan", value=40.0, root="later")
            wait_for(lambda: len(means("t.json")) == 1)
            make("data=demo", "loss=rasgan", value=30.0, root="later")
            wait_for(lambda: means("t.json") == [40.0, 30.0])
            watching.send_signal(signal.SIGINT)
            assert watching.wait(timeout=20) == 130
            assert "Traceback" not in watching.stderr.read()
        finally:
            watching.kill()


def means(path: str) -> list[float]:
    if not Path(path).exists():
        return []
    (table,) = json.loads(Path(path).read_text())
    return [cell["mean"] for cell in table["columns"][0]["cells"].values() if cell["mean"] is not None]


def wait_for(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.05)


# --- axes -------------------------------------------------------------------------------------------------------------


def test_values_as_people_write_them() -> None:
    assert [short(v) for v in (1e-4, 3e-4, 0.0025, 0.05, 1, 64, 1e5, 2e-5)] == [
        "1e-4", "3e-4", "2.5e-3", "0.05", "1", "64", "1e5", "2e-5",
    ]  # fmt: skip
    assert setting("optim.lr=0.0001, arch.width=64, optim.betas=[0.5, 0.9]") == (
        "optim.lr=1e-4, arch.width=64, optim.betas=[0.5, 0.9]"
    )
    assert file_name("sweep", "../x y/ü$") == "sweep_.._x_y"


@pytest.mark.parametrize("values", [[0.0, 0.0], [1e30, -1e30], [5e-324, 1e-300], [-3.0], [7.0, 7.0], [1.0, 9.9]])
def test_axes_hold_any_numbers(values: list[float]) -> None:
    axis = span("", values, log=None)
    assert all(0 <= share(axis, value) <= 1 for value in values)
    found = log_ticks(axis, 5) if axis.log else even_ticks(axis, 5)
    assert 1 <= len(found) <= 12
    assert axis.range[0] < axis.range[1]


def test_far_apart_values_have_a_logarithmic_axis() -> None:
    assert span("", [1.0, 11.0], log=None).log
    assert not span("", [0.0, 11.0], log=None).log
    assert list(log_ticks(span("", [1.0, 300.0], log=None), 6).values()) == ["1", "10", "100"]
