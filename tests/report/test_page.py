"""The page: that it holds everything, fetches nothing, can be used by everyone, and stays small."""

import base64
import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from html import escape
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from PIL import Image

from rgan_bench.report.cells import Column, Table, make_cell
from rgan_bench.report.figures.palette import BACKGROUNDS, COLOURS, looks
from rgan_bench.report.metrics import read_curves
from rgan_bench.report.page import asset, page
from rgan_bench.report.page.numbers import decimals, fixed, signed
from rgan_bench.report.paper import paper
from rgan_bench.report.reading import find_runs
from rgan_bench.report.tables import make_tables
from tests.report.conftest import HOSTILE, Make, rewrite

VOID = {"meta", "img", "br", "input", "path", "use", "circle", "polyline", "polygon"}


class Tree(HTMLParser):
    """Every element with its attributes and its ancestors; what is not closed in order is an error."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict, tuple[str, ...]]] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.found.append((tag, dict(attrs), tuple(self.open)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list) -> None:
        self.found.append((tag, dict(attrs), tuple(self.open)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def all(self, *tags: str) -> list[tuple[str, dict, tuple[str, ...]]]:
        return [each for each in self.found if each[0] in tags]


@pytest.fixture
def sweep(make: Make) -> None:
    """Three losses, two learning rates, two seeds; curves and grids of one run."""
    for loss, base in (("sgan", 40.0), ("rasgan", 30.0), ("wgangp", 35.0)):
        for lr in ("1e-4", "1e-3"):
            for seed in (1, 2):
                make("data=demo", f"loss={loss}", f"optim.lr={lr}", f"seed={seed}", value=base + seed + 50 * float(lr))
    first = Path("outputs/run_000")
    for iteration in range(0, 9000, 1000):
        Image.new("RGB", (8, 8), (iteration // 40, 0, 0)).save(first / "samples" / f"iter_{iteration:06d}.png")
    lines = [
        {"iteration": at, "loss/generator": at / 10, "loss/discriminator": 1.0, "logits/real": -at, "other": 3}
        for at in range(1, 1000)
    ]
    (first / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_the_page_holds_everything_and_fetches_nothing(table1: None, rgan_table: Callable) -> None:
    picture = Path("outputs") / "run_000" / "samples" / "iter_100000.png"
    Image.new("RGB", (8, 8), "red").save(picture)
    status, _, err = rgan_table("outputs", "--format", "html", "--out", "page.html")
    assert status == 0
    assert "page.html" in err
    text = Path("page.html").read_text()
    assert "31.98" in text
    assert '32.0 ± 2.0 <small class="n">(n = 3)</small>' in text
    assert "diverged at 1,200" in text
    assert (
        text.count('<svg class="chart"') == 6
    )  # two settings: which is best, how it developed, by iterations and by steps
    assert "data:image/png;base64," in text
    assert "rgan-train experiment=table1_stable loss=sgan" in text
    assert "a &lt;GPU&gt;" in text
    assert "prefers-color-scheme: dark" in text
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", text)
    assert not re.search(r"@import|url\((?!#)|fetch\(|XMLHttp|eval\(|innerHTML", text)


def test_the_answer_comes_first(sweep: None, rgan_table: Callable) -> None:
    _, out, _ = rgan_table("outputs", "--format", "html")
    assert out.index("rasgan has the lowest fid") < out.index("<table")
    main = out[out.index("<main>") :]
    assert main.removeprefix("<main>\n").startswith('<section id="answer"')


def test_rows_stand_in_the_order_of_their_values(sweep: None, rgan_table: Callable) -> None:
    _, out, _ = rgan_table("outputs", "--format", "html")
    table = out[out.index('<table class="scores') : out.index("</table>")]
    assert re.findall(r"</svg>(\w+)</th>", table) == ["rasgan", "wgangp", "sgan"]
    assert '<th scope="colgroup" colspan="2">optim.lr</th>' in table
    assert '<th scope="col">1e-4</th><th scope="col">1e-3</th>' in table
    assert "fid (rank-deficient) ↓</strong> (lower is better), mean ± SD, n = 2 seeds" in table


def test_where_higher_is_better_the_page_says_so(make: Make) -> None:
    for value, loss in ((3.0, "sgan"), (8.0, "rasgan")):
        make("data=demo", f"loss={loss}", value=value)
    runs = find_runs([Path("outputs")])
    rows = {run.loss: make_cell([run], lambda run: run.final("fid")) for run in runs}
    table = Table(
        "sweep", "modes", "fid", list(rows), [Column("fid", rows)], False, {"metric": "modes", "rank_deficient": False}
    )
    text = page([table])
    assert "↑</strong> (higher is better)" in text
    assert text.index("</svg>rasgan</th>") < text.index("</svg>sgan</th>")


def test_what_was_not_run_is_folded_away(table1: None, rgan_table: Callable) -> None:
    _, out, _ = rgan_table("outputs", "--format", "html")
    table = out[out.index('<table class="scores') : out.index("</table>")]
    assert "rahinge" not in table
    fold = out[out.index("<summary>5 losses without a run") :]
    assert "rahinge" in fold[: fold.index("</details>")]
    printed = paper()["table1"]["cells"]["rahinge"]["stable"]
    assert f"<td>{printed:.2f}</td>" in fold[: fold.index("</details>")]


@pytest.mark.parametrize("experiment", ["sweep", "table1"])
def test_everyone_can_use_the_page(experiment: str, request: pytest.FixtureRequest, rgan_table: Callable) -> None:
    request.getfixturevalue(experiment)
    _, out, _ = rgan_table("outputs", "--format", "html")
    tree = Tree(out)
    assert tree.all("html")[0][1]["lang"] == "en"
    assert [len(tree.all(tag)) for tag in ("header", "nav", "main", "h1")] == [1, 1, 1, 1]
    levels = [int(tag[1]) for tag, _, _ in tree.all("h1", "h2", "h3", "h4")]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    ids = [attributes["id"] for _, attributes, _ in tree.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes, _ in tree.all("a", "use"):
        assert attributes["href"][1:] in ids
    for _, attributes, _ in tree.all("section"):
        assert attributes["aria-labelledby"] in ids
    assert all(attributes["alt"] for _, attributes, _ in tree.all("img"))
    assert all(attributes.get("scope") for _, attributes, _ in tree.all("th"))
    assert len(tree.all("caption")) == len(tree.all("table"))
    for _, attributes, _ in tree.all("svg"):
        assert attributes.get("aria-hidden") == "true" or (attributes["role"] == "img" and attributes["aria-label"])
    for tag, attributes, _ in tree.all("div"):
        if "wide" in attributes.get("class", ""):  # what scrolls can be reached with the keyboard, and has a name
            assert (attributes["tabindex"], attributes["role"]) == ("0", "region"), tag
            assert attributes["aria-label"]
    (entry,) = tree.all("input")
    assert "label" in entry[2]
    assert not any(name.startswith("on") for _, attributes, _ in tree.found for name in attributes)


def luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, two: str) -> float:
    """As WCAG 2 defines it."""
    high, low = sorted((luminance(one), luminance(two)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def scheme(index: int) -> dict[str, str]:
    """The variables of the style in the light (0) or the dark (1)."""
    style = re.findall(r":root {(.*?)}", asset("style.css"), re.S)[index]
    return dict(re.findall(r"--(\w+): (#\w+)", style)) | {"paper": BACKGROUNDS[index]}


@pytest.mark.parametrize("index", [0, 1], ids=["light", "dark"])
def test_contrast_is_enough_in_both_schemes(index: int) -> None:
    found = scheme(index)
    for text, behind in (
        *((text, "paper") for text in ("ink", "soft", "link", "warn")),
        *(("ink", behind) for behind in ("good", "bad", "panel")),
        *(("link", "panel"), ("warn", "panel")),
    ):
        assert contrast(found[text], found[behind]) >= 4.5, (text, behind)
    for name, pair in COLOURS.items():
        assert contrast(pair[index], found["paper"]) >= 3, name


def test_a_loss_has_its_colour_whatever_else_is_there(make: Make) -> None:
    make("data=demo", "loss=rasgan", value=1.0)
    alone = looks(make_tables(find_runs([Path("outputs")]), "sweep"))
    for loss in ("sgan", "rsgan", "hinge", "wgangp", "rcsgan", "rhinge_mvue"):
        make("data=demo", f"loss={loss}", value=1.0)
    several = looks(make_tables(find_runs([Path("outputs")]), "sweep"))
    assert several["rasgan"] == alone["rasgan"]
    assert len({(look.slot, look.dashed) for look in several.values()}) == len(several)


def test_a_click_on_a_run_shows_all_of_it(sweep: None, rgan_table: Callable) -> None:
    _, out, _ = rgan_table("outputs", "--format", "html")
    place = re.search(r'data-run="(run-\d+)"[^>]*><title>sgan, seed 1: 41.01', out)[1]  # the dot in the figure
    section = re.search(rf'<section class="run" id="{place}".*?</section>', out, re.S)[0]
    assert f'<a href="#{place}">sgan</a>' in out  # in the list
    assert '<th scope="row">optim.lr</th><td>1e-4</td><td>1e-3 (6)</td>' in section
    assert section.count('<svg class="chart"') == 2  # losses and logits; nobody logged gradient norms
    assert re.findall(r'alt="samples at iteration ([\d,]+)"', section) == ["0", "2,000", "4,000", "6,000", "8,000"]
    assert "rgan-train data=demo loss=sgan" in section


def test_curves_of_a_file_that_may_hold_anything(tmp_path: Path) -> None:
    assert read_curves(tmp_path) == {}
    (tmp_path / "metrics.jsonl").mkdir()
    assert read_curves(tmp_path) == {}
    (tmp_path / "metrics.jsonl").rmdir()
    lines = [b'{"iteration": 1, "loss/generator": 2.0, "images_per_second": 3}', b"[1]", b"3", b"\xff", b"[" * 10_000]
    lines += [b'{"iteration": true, "loss/generator": 7}', b'{"iteration": 2, "loss/generator": NaN}']
    lines += [b'{"iteration": 3, "loss/generator": null, "logits/real": "x", "loss/penalty": 0}', b'{"iteration": 4,']
    (tmp_path / "metrics.jsonl").write_bytes(b"\n".join(lines))
    assert read_curves(tmp_path) == {"loss/generator": [(1, 2.0)]}
    long = b"".join(b'{"iteration": %d, "loss/generator": %d}\n' % (at, at) for at in range(1, 10_001))
    (tmp_path / "metrics.jsonl").write_bytes(long)
    (curve,) = read_curves(tmp_path).values()
    assert 100 < len(curve) < 130
    assert (curve[0], curve[-1]) == ((1, 1.0), (10_000, 10_000.0))


def test_hostile_names_are_no_markup(sweep: None, rgan_table: Callable) -> None:
    folder = Path("outputs/run_000")
    for number in range(4):
        rewrite(f"outputs/run_00{number}", config__loss__name=HOSTILE + "</style>", command=HOSTILE, status="finished")
    curves = {"iteration": 1, "loss/" + HOSTILE: 1.0}
    (folder / "metrics.jsonl").write_text("".join(json.dumps(curves | {"iteration": at}) + "\n" for at in (1, 2)))
    hostile = folder.rename(folder.with_name('"><script>x'))
    _, out, _ = rgan_table("outputs", "--format", "html")
    tree = Tree(out)
    assert len(tree.all("script")) == 1
    assert len(tree.all("style")) == 1
    assert escape(hostile.name) in out
    assert not any("onerror" in attributes for _, attributes, _ in tree.found)
    assert escape(HOSTILE.split("\n")[0]) in out


def test_the_newest_grid_that_can_be_read_is_shown(make: Make, rgan_table: Callable) -> None:
    samples = make("experiment=table1_stable", "loss=sgan", value=40.0) / "samples"
    for name, colour in (("iter_999999.png", "red"), ("iter_1000000.png", "lime"), ("iter_000009_copy.png", "blue")):
        Image.new("RGB", (8, 8), colour).save(samples / name)
    whole = (samples / "iter_1000000.png").read_bytes()
    (samples / "iter_2000000.png").write_bytes(whole[:-20])  # half written, by a copy that broke off
    (samples / "iter_3000000.png").mkdir()
    Image.new("RGB", (8, 8)).save(samples / "iter_4000000.png", "JPEG")
    status, out, _ = rgan_table("outputs", "--format", "html")
    assert status == 0
    side_by_side = out[: out.index('<section class="run"')]
    assert side_by_side.count("data:image/png;base64,") == 1
    assert base64.b64encode(whole).decode() in side_by_side
    assert "iteration 1,000,000</figcaption>" in side_by_side
    assert re.findall(r'alt="samples at iteration ([\d,]+)"', out) == ["999,999", "1,000,000"]


def test_samples_side_by_side_are_of_one_seed(make: Make, rgan_table: Callable) -> None:
    for loss, seeds in (("sgan", (1, 2, 3)), ("rasgan", (2, 3))):
        for seed in seeds:
            folder = make("data=demo", f"loss={loss}", f"seed={seed}", value=40.0)
            Image.new("RGB", (8, 8), "red").save(folder / "samples" / "iter_000001.png")
    _, out, _ = rgan_table("outputs", "--format", "html")
    assert re.findall(r'alt="samples of (\w+, seed \d)"', out) == ["sgan, seed 2", "rasgan, seed 2"]


def test_large_pictures_are_made_smaller_and_bounded(make: Make, rgan_table: Callable) -> None:
    import numpy as np

    noise = np.random.default_rng(0).integers(0, 256, (1200, 1200, 3), dtype=np.uint8)
    folder = make("data=demo", "loss=sgan", value=40.0)
    Image.fromarray(noise).save(folder / "samples" / "iter_000001.png", compress_level=0)
    Image.new("RGB", (7000, 7000)).save(folder / "samples" / "iter_000002.png")  # small as a file, not unpacked
    _, out, _ = rgan_table("outputs", "--format", "html")
    assert "data:image/jpeg;base64," in out
    assert len(out) < 1_000_000


def test_two_thousand_runs_make_a_page_of_bounded_size(make: Make, rgan_table: Callable) -> None:
    first = make("data=demo", "loss=sgan", value=40.0)
    Image.effect_noise((256, 256), 90).convert("RGB").save(first / "samples" / "iter_000001.png")
    content = json.loads((first / "result.json").read_text())
    for number in range(1, 2000):
        loss, lr, seed = number % 4, number // 4 % 20, number // 80
        content["config"]["loss"]["name"] = ("sgan", "rsgan", "rasgan", "rcsgan")[loss]
        content["config"]["loss"]["comparison"] = ("none", "pair", "average", "centered")[loss]
        content["config"]["optim"]["lr"] = 1e-5 * 2 ** (lr / 2)
        content["config"]["seed"] = seed
        content["scores"]["fid"]["history"][1][1] = content["scores"]["fid"]["final"]["value"] = 40 + number % 7
        folder = Path(f"outputs/run_{number:04d}")
        (folder / "samples").mkdir(parents=True)
        (folder / "result.json").write_text(json.dumps(content))
        (folder / "samples" / "iter_000001.png").hardlink_to(first / "samples" / "iter_000001.png")
    start = time.perf_counter()
    status, out, _ = rgan_table("outputs", "--format", "html")
    assert status == 0
    assert time.perf_counter() - start < 30  # 6 s on two cores
    assert len(out) < 25_000_000
    assert "Curves and samples over time are shown for the first 150 of 2,000 runs" in out
    assert "The first 12 of 21 settings." in out
    assert out.count('<section class="run"') == 2000


@pytest.mark.parametrize(
    ("values", "digits"),
    [([[30.0, 32.0, 34.0]], 1), ([[1.001, 1.002]], 5), ([[100.0, 300.0]], 0), ([[40.0]], 2), ([[7.0, 7.0]], 2)],
)
def test_digits_follow_from_the_standard_error(values: list[list[float]], digits: int, make: Make) -> None:
    for loss, own in zip(("sgan", "rasgan"), values, strict=False):
        for seed, value in enumerate(own):
            make("data=demo", f"loss={loss}", f"seed={seed}", value=value)
    (table,) = make_tables(find_runs([Path("outputs")]), "sweep")
    assert decimals(table) == digits


def test_numbers_as_texts() -> None:
    assert [fixed(-1.25, 1), fixed(1e30, 2), signed(0.004, 2), signed(-0.5, 1)] == ["−1.2", "1e+30", "0.00", "−0.5"]


def test_the_page_is_the_same_each_time(table1: None, rgan_table: Callable) -> None:
    assert rgan_table("outputs", "--format", "html")[1] == rgan_table("outputs", "--format", "html")[1]


@pytest.mark.parametrize("width", [1280, 400])
def test_the_page_fits_the_window(width: int, table1: None, rgan_table: Callable) -> None:
    """In a real browser: nothing but the tables, which scroll by themselves, is wider than the page; sorting and the
    filter work, and a click on a dot opens its run."""
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("no chromium here")
    rgan_table("outputs", "--format", "html", "--out", "page.html")
    # Headless windows are at least 500 px wide, so the page stands in a frame of the wanted width.
    source = escape(Path("page.html").read_text(), quote=True)
    measure = """
      const d = this.contentDocument, p = d.documentElement, said = [p.scrollWidth, p.clientWidth];
      const names = () => [...d.querySelectorAll('table.scores tbody th')].map((th) => th.textContent).join();
      const sort = d.querySelector('table.scores thead button');
      sort.click(); said.push(names()); sort.click(); said.push(names());
      const entry = d.getElementById('filter'); entry.value = 'DIVERGED lsgan';
      entry.dispatchEvent(new Event('input')); said.push(d.getElementById('found').textContent);
      out.textContent = said.join(' of ');
    """
    style = f"width:{width}px;height:900px"
    frame = f'<pre id="out"></pre><iframe onload="{escape(measure)}" style="{style}" srcdoc="{source}"></iframe>'
    Path("frame.html").write_text(f"<!doctype html><body>{frame}</body>")
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"]
    command += ["--disable-background-networking", "--disable-quic", f"--user-data-dir={Path.cwd() / 'profile'}"]
    command += [
        "--window-size=1400,1000",
        "--virtual-time-budget=3000",
        "--dump-dom",
        Path("frame.html").resolve().as_uri(),
    ]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120).stdout
    found = re.search(r'<pre id="out">(\d+) of (\d+) of (\S+) of (\S+) of (.*?)</pre>', dom)
    assert found, dom[:500]
    assert int(found[1]) == int(found[2]) > width - 30
    assert found[3] == "lsgan,rasgan,rasgan_gp,sgan,wgangp"
    assert found[4] == "wgangp,sgan,rasgan_gp,rasgan,lsgan"
    assert found[5] == "1 found"
