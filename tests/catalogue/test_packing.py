"""rgan-runs pack: results of many runs in one file, which rgan-table reads as it reads folders."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from rgan_bench.catalogue.packing import without_folders
from tests.report.conftest import rewrite

Command = Callable[..., tuple[int, str, str]]
Finished = Callable[..., Path]


def test_a_packed_file_gives_the_tables_of_its_folders(
    finished: Finished, rgan_runs: Command, rgan_table: Command
) -> None:
    for seed in (1, 2, 3):
        finished("loss=sgan", f"seed={seed}", value=7.0 + seed / 10, root="outputs/one")
        finished("loss=rasgan", f"seed={seed}", value=3.0 + seed / 10, root="outputs/two")
    status, out, err = rgan_runs("pack", "outputs", "--out", "results.json")
    assert (status, out, err.strip()) == (0, "", "rgan-runs: 6 runs: results.json")
    for below in ("", "/one", "/two"):
        for how in ((), ("--claims",), ("--format", "json"), ("--format", "html")):
            status, told, _ = rgan_table(f"results.json{below}", *how)
            assert status == 0
            wanted = rgan_table(f"outputs{below}", *how)[1]
            # Claims tell how to go on only where there is a folder to go on in.
            wanted = re.sub(r": rgan-train [^:\n]*experiment=.*", "", wanted) if "--claims" in how else wanted
            if how != ("--format", "html"):  # a page has pictures, which a packed file has not
                assert told.replace("results.json", "outputs") == wanted
    assert rgan_runs("pack", "loss=sgan", "--out", "sgan.json")[0] == 0
    assert all(name.startswith("one/demo_cnn32_sgan_") for name in json.loads(Path("sgan.json").read_text())["runs"])
    status, _, err = rgan_runs("results.json")
    assert status == 2 and err.endswith(
        "results.json: is a file; runs lie in folders (what is packed, rgan-table reads)\n"
    )
    status, _, err = rgan_table("results.json/three")
    assert status == 2 and err.endswith("results.json/three: none of the 6 runs in results.json lies there\n")


def test_no_folder_of_the_machine_gets_into_it() -> None:
    told = {
        "command": "rgan-train data.root=/home/me/photos.zip 'fid.weights=/opt/w/x.pt' device=cuda:0",
        "failure": ["open '/home/me/a/b.zip': no; see https://example.org/a/b and data/c/d.zip"],
        "root": "/home/me/my photos/all.zip",
        "n": 3,
    }
    assert without_folders(told) == {
        "command": "rgan-train data.root=photos.zip 'fid.weights=x.pt' device=cuda:0",
        "failure": ["open 'b.zip': no; see https://example.org/a/b and data/c/d.zip"],
        "root": "all.zip",
        "n": 3,
    }


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "neither a folder nor what rgan-runs pack writes (not JSON"),
        ('{"runs": [1]}', "neither a folder nor what rgan-runs pack writes (runs is a list, not an object)"),
        ('{"runs": {"a": {"status": 3}}}', "p.json/a/result.json: not a result of rgan-train ("),
    ],
)
def test_a_file_that_is_none_is_named(content: str, told: str, tmp_path: Path, rgan_table: Command) -> None:
    Path("p.json").write_text(content)
    status, out, err = rgan_table("p.json")
    assert (status, out) == (2, "") and told in err and len(err.splitlines()) == 1


def test_what_cannot_be_packed_is_named_and_nothing_is_written(finished: Finished, rgan_runs: Command) -> None:
    folder = finished("loss=sgan")
    for out in ("results.txt", "result.json"):
        status, _, err = rgan_runs("pack", "--out", out)
        assert status == 2 and "must end in .json, and not be result.json" in err
    rewrite(folder, status=3)
    status, _, err = rgan_runs("pack", "--out", "results.json")
    assert status == 2 and folder.name in err and "leave it out: status=finished,diverged" in err
    assert not Path("results.json").exists()
