import json
import os
import resource
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pytest

from rgan_bench.config import identity as identity_module
from rgan_bench.config.identity import COUNTED, NEUTRAL, WITHOUT_EFFECT, identity_of, run_name
from rgan_bench.config.schema import Config
from rgan_bench.config.validate import known_keys
from rgan_bench.errors import UserError
from rgan_bench.files import write_atomically, write_text_atomically
from rgan_bench.run.folder import RunFolder
from rgan_bench.scoring.protocol import Protocol, ScoreHistory, is_fid
from tests.conftest import GOLDEN

Compose = Callable[..., Config]


SAME_WEIGHTS = [
    "train.iterations=7",
    "train.log_every=3",
    "train.sample_every=null",
    "train.checkpoint_every=3",
    "fid.every=3",
    "fid.features=[pixels]",
    "fid.num_samples=10",
    "fid.batch_norm=running",
    "fid.cache_dir=x",
    "device=cpu",
    "output_root=elsewhere",
    "data.root=elsewhere",
    "loss.penalty_weight=3",
]
OTHER_WEIGHTS = [
    "loss.comparison=pair",
    "loss.function=hinge",
    "loss.generator=saturating",
    "loss.penalty=gp",
    "arch.width=32",
    "arch.latent_dim=64",
    "arch.spectral_norm=false",
    "arch.batch_norm=none",
    "arch.activation=tanh",
    "optim.lr=1e-4",
    "optim.betas=[0.9,0.9]",
    "optim.n_d=2",
    "train.batch_size=64",
]


NAMES = [line.split(maxsplit=1) for line in (GOLDEN / "run_names.txt").read_text().splitlines()]


def the_hash(config: Config) -> str:
    return run_name(config).split("_")[-2]


def test_the_name_says_what_the_run_is(compose_config: Compose) -> None:
    parts = run_name(compose_config("seed=7", "data=demo", "loss=rasgan_gp"))
    assert parts.startswith("demo_cnn32_rasgan_gp_")
    assert parts.endswith("_seed7")
    assert len(parts.split("_")[-2]) == 8


def test_folders_keep_their_names_for_ever(compose_config: Compose) -> None:
    for name, *overrides in NAMES[1:]:  # the first line says what the file is
        assert run_name(compose_config(*" ".join(overrides).split())) == name, overrides
    assert len(NAMES) > 40


def test_every_key_is_counted_neutral_or_without_effect() -> None:
    """A new key must say which it is; else it would rename every run, or train two different runs in one folder."""
    counted = {f"{group}.{key}" for group, keys in COUNTED.items() for key in keys} | {"train.batch_size"}
    for key in known_keys():
        if key in ("loss", "arch", "data", "optim", "experiment"):  # groups
            continue
        kinds = [key in counted, key in NEUTRAL, any(fnmatch(key, pattern) for pattern in WITHOUT_EFFECT)]
        assert sum(kinds) == 1, f"{key}: belongs into one of COUNTED, NEUTRAL, WITHOUT_EFFECT"
    assert counted <= set(known_keys())  # those of before are there for ever


def test_a_younger_key_counts_only_away_from_its_neutral_value(
    compose_config: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = asdict(compose_config())
    monkeypatch.setattr(
        identity_module, "NEUTRAL", {"loss.estimator": ("plain", "0.2.0"), "ema.half_life": (0, "0.2.0")}
    )

    def identity(**changes: object) -> dict:
        return identity_of({**old, **changes}, {})

    assert identity(loss={**old["loss"], "estimator": "plain"}, ema={"half_life": 0}) == identity()
    assert identity(ema={"half_life": 5}) == {**identity(), "ema.half_life": 5}
    assert identity(loss={**old["loss"], "estimator": "mvue"})["loss.estimator"] == "mvue"


@pytest.mark.parametrize("override", SAME_WEIGHTS)
def test_settings_that_change_no_weights_change_no_hash(override: str, compose_config: Compose) -> None:
    assert run_name(compose_config(override)) == run_name(compose_config())


@pytest.mark.parametrize("override", OTHER_WEIGHTS)
def test_settings_that_change_weights_change_the_hash(override: str, compose_config: Compose) -> None:
    assert the_hash(compose_config(override)) != the_hash(compose_config())


def test_penalty_weight_counts_with_a_penalty(compose_config: Compose) -> None:
    assert the_hash(compose_config("loss=wgangp")) != the_hash(compose_config("loss=wgangp", "loss.penalty_weight=1"))


def test_the_seed_stands_beside_the_hash(compose_config: Compose) -> None:
    one, two = (compose_config(f"seed={seed}") for seed in (1, 2))
    assert the_hash(one) == the_hash(two)
    assert run_name(one) != run_name(two)


def test_folders_of_images_are_told_apart(compose_config: Compose, tmp_path: Path) -> None:
    def named(root: object, *more: str) -> str:
        return run_name(compose_config("data=folder", f"data.root={root}", *more))

    assert named(tmp_path / "a") != named(tmp_path / "b")
    assert named(tmp_path / "a") == named(os.path.relpath(tmp_path / "a")) == named("a", "data.on_corrupt=skip")
    assert the_hash(compose_config("data=demo", "data.data_seed=1")) != the_hash(compose_config("data=demo"))


# --- files ------------------------------------------------------------------------------------------------------------


def test_metrics_after_the_checkpoint_are_dropped(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.trim_metrics(3)
    assert not folder.metrics.exists()
    for iteration in (1, 2, 3, 4, 5):
        folder.append_metrics({"iteration": iteration})
    with folder.metrics.open("a") as file:
        file.write('{"iteration": 6, "loss')  # the machine went down
    folder.trim_metrics(3)
    folder.append_metrics({"iteration": 4})
    assert [json.loads(line)["iteration"] for line in folder.metrics.read_text().splitlines()] == [1, 2, 3, 4]


def test_a_line_of_metrics_is_whole_or_not_there(tmp_path: Path) -> None:
    """On a full disk half a line was left, and the next one glued to it."""
    folder = RunFolder(tmp_path)
    folder.append_metrics({"iteration": 1})
    size = folder.metrics.stat().st_size
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 7, limit[1]))
    try:
        with pytest.raises(OSError, match=r"No space|too large"):
            folder.append_metrics({"iteration": 2})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, before)
    folder.append_metrics({"iteration": 3})
    assert folder.metrics.read_text() == '{"iteration": 1}\n{"iteration": 3}\n'


def test_grids_are_in_the_order_of_their_iterations(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.samples.mkdir()
    for name in ("iter_900000", "iter_1000000", "iter_000009", "iter_000009_copy", "iter_x"):
        (folder.samples / f"{name}.png").touch()
    assert [path.stem for path in folder.grids()] == ["iter_000009", "iter_900000", "iter_1000000"]


def test_unreadable_results_are_as_good_as_none(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert folder.read_result() is None
    for content in ("", "{", "[1]"):
        folder.result.write_text(content)
        assert folder.read_result() is None
    folder.write_result({"status": "finished"})
    assert folder.read_result() == {"status": "finished"}


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    message = rf"output_root={tmp_path}/file: cannot write the run folder r .*output_root=PATH"
    with pytest.raises(UserError, match=message):
        RunFolder(tmp_path / "file" / "r").create()


def test_several_processes_may_make_one_folder_at_once(tmp_path: Path) -> None:
    """Six sweeps that began together raced on the file that shows whether the folder can be written."""
    with ThreadPoolExecutor(6) as pool:
        for made in [pool.submit(RunFolder(tmp_path / "run").create) for _ in range(300)]:
            made.result()
    assert list((tmp_path / "run" / "checkpoints").iterdir()) == []


def test_a_write_that_fails_leaves_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text_atomically(path, "old")

    def half(file: object) -> None:
        file.write(b"ne")
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        write_atomically(path, half)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


# --- protocols --------------------------------------------------------------------------------------------------------


def protocol(**changes: object) -> Protocol:
    settings = {"features": "pixels", "weights": "none", "num_samples": 10, "num_real": 20, "batch_norm": "batch"}
    return Protocol(**(settings | {"batch_size": 5, "data": "abc"} | changes))


def test_whatever_decides_a_score_is_in_its_fingerprint() -> None:
    assert protocol().fingerprint == protocol().fingerprint
    changes = [
        {"features": "inception"},
        {"weights": "x"},
        {"num_samples": 11},
        {"num_real": 21},
        {"batch_norm": "running"},
        {"batch_size": 6},
        {"data": "abd"},
        {"metric": "kernel"},
        {"generator": "ema"},
    ]
    assert len({protocol(**change).fingerprint for change in [{}, *changes]}) == len(changes) + 1


def test_of_the_trained_generator_a_protocol_is_as_it_was_before_there_was_another() -> None:
    """Fingerprints stand in everybody's files."""
    raw, averaged = protocol(), protocol(generator="ema")
    assert raw.fingerprint == "f757a2bbbe66"
    assert "generator" not in raw.as_dict()
    assert averaged.as_dict() == {
        **raw.as_dict(), "generator": "ema", "fingerprint": averaged.fingerprint,
    }  # fmt: skip
    for each in (raw, averaged):
        assert ScoreHistory.from_dict(json.loads(json.dumps(ScoreHistory(each).as_dict()))).protocol == each
    names = [
        protocol(features=f, metric=m, generator="ema").score_name
        for f in ("inception", "pixels")
        for m in ("frechet", "kernel")
    ]
    assert names == ["fid_ema", "kid_ema", "fd_pixels_ema", "kd_pixels_ema"]
    assert [is_fid(name) for name in ("fid", *names)] == [True, True, False, False, False]


def test_only_inception_features_give_an_fid() -> None:
    extractors = ("inception", "efficientnet-lite0", "pixels")
    names = [protocol(features=f, metric=m).score_name for f in extractors for m in ("frechet", "kernel")]
    others = ["fd_efficientnet-lite0", "kd_efficientnet-lite0", "fd_pixels", "kd_pixels"]
    assert names == ["fid", "kid", *others]


def test_rank_deficiency_is_a_matter_of_counts() -> None:
    def deficient(num_samples: int, num_real: int, **changes: object) -> bool:
        return protocol(features="inception", num_samples=num_samples, num_real=num_real, **changes).rank_deficient

    assert deficient(2000, 2011)  # the paper's CAT 256
    assert deficient(50_000, 2048)  # n samples leave n − 1 dimensions
    assert not deficient(2049, 2049)
    assert not deficient(2000, 2011, metric="kernel")


def test_table3_reads_nine_scores_of_a_run() -> None:
    history = ScoreHistory(protocol())
    values = [99.0, 98.0, 5.0, 7.0, 6.0, 9.0, 3.0, 4.0, 8.0, 2.0, 1.0]
    for index, value in enumerate(values):
        if index == 2:
            assert history.table3() is None
        history.add(10_000 * index, value)
        if index == 3:
            assert history.table3() == {
                "min": 5.0, "max": 7.0, "mean": 6.0, "sd": pytest.approx(2**0.5), "count": 2, "complete": False,
            }  # fmt: skip
    history.add(110_000, 0.0)
    read = np.array(values[2:])
    wanted = {"min": 1.0, "max": 9.0, "mean": read.mean(), "sd": read.std(ddof=1), "count": 9, "complete": True}
    assert history.table3() == pytest.approx(wanted)


def test_a_history_in_short() -> None:
    history = ScoreHistory(protocol())
    assert history.drawn(0) == 0
    for iteration, value in ((0, 9.0), (10, 4.0), (20, 5.0)):
        history.add(iteration, value)
    assert (history.drawn(20), history.drawn(21)) == (1, 0)
    assert history.goes_beyond(19)
    assert not history.goes_beyond(20)
    assert history.summary() == {
        "final": {"iteration": 20, "value": 5.0},
        "best": {"iteration": 10, "value": 4.0},
        "history": [[0, 9.0], [10, 4.0], [20, 5.0]],
        "table3": None,
    }
    assert ScoreHistory.from_dict(json.loads(json.dumps(history.as_dict()))) == history


def test_a_folder_is_made_while_its_holder_clears_leftovers_away(tmp_path: Path) -> None:
    """Who makes it does not hold it yet."""
    folder = RunFolder(tmp_path / "run")
    folder.create()
    made = threading.Event()

    def clear() -> None:
        while not made.is_set():
            for name in (".*.tmp", ".writable"):
                for path in folder.checkpoints.glob(name):
                    path.unlink(missing_ok=True)

    with ThreadPoolExecutor() as pool:
        clearing = pool.submit(clear)
        try:
            for _ in range(300):
                folder.create()
        finally:
            made.set()
        clearing.result()
