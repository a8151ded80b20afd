"""docs/keys.md says of the keys what the files and the schema say."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from rgan_bench import register
from rgan_bench.config.validate import config_dir
from scripts import keys


@pytest.fixture(autouse=True)
def without_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that other tests loaded."""
    monkeypatch.setattr(register, "announced", {})


@pytest.fixture
def page_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], str]:
    """The page where config.yaml has something else."""

    def made(old: str, new: str) -> str:
        shutil.copytree(config_dir(), tmp_path / "configs")
        text = (tmp_path / "configs" / "config.yaml").read_text()
        assert text.count(old) == 1
        (tmp_path / "configs" / "config.yaml").write_text(text.replace(old, new))
        monkeypatch.setattr(keys, "config_dir", lambda: tmp_path / "configs")
        return keys.page()

    return made


def test_the_page_is_up_to_date() -> None:
    assert keys.page() == keys.PAGE.read_text(encoding="utf-8"), "python -m scripts.keys writes it"


def test_values_and_comments_are_those_of_the_files(page_with: Callable[[str, str], str]) -> None:
    page = page_with("iterations: 100000 # generator steps", "iterations: 7 # steps, see docs/losses.md")
    assert "| `train.iterations` | 7 | steps, see [losses.md](losses.md). *integer, at least 1* |" in page


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("seed: 1 # decides initialisation and every draw", "seed: 1", "no comment explains seed$"),
        ("stop (exit status 3) | continue", "stop (exit status 3) | go_on", "train.on_divergence .*'go_on'"),
        ("tensorboard | wandb;", "tensorboard | wandb | mlflow;", "logger .*'mlflow'"),
        ("frechet | kid |", "frechet |", "fid.metrics .*there are .*'kid'"),
    ],
)
def test_what_is_not_so_is_refused(page_with: Callable[[str, str], str], old: str, new: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        page_with(old, new)
