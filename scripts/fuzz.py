"""Hostile input, at random: damaged images, checkpoints and results, nonsense on the command line.

    python scripts/fuzz.py images --count 1000
    python scripts/fuzz.py checkpoints --count 500
    python scripts/fuzz.py commands --count 500
    python scripts/fuzz.py stops --count 100
    python scripts/fuzz.py results --count 500

Images: each must be read or refused with a reason, within 5 seconds and 1 GB of memory. Checkpoints: each must be
refused in one line, or hold what it held before it was damaged; where the damage was done behind the checksums' back,
what is taken must do to go on with, under the run's own hyperparameters. Command lines: each must compose, or be
refused in one line. Stops: see fuzz_stops.py; results: fuzz_results.py. Prints the counts; the exit status is 1 where
anything is not as it must be. It takes a seed, and names what fails, so that it can be looked at.
"""

import argparse
import collections
import contextlib
import copy
import io
import json
import os
import random
import resource
import struct
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scripts.damage import damage
from scripts.fuzz_results import fuzz_results
from scripts.fuzz_stops import fuzz_stops

SECONDS, MEGABYTES = 5.0, 1000.0


# --- images -----------------------------------------------------------------------------------------------------------


def image_files(chance: random.Random) -> list[bytes]:
    """Whole images of many kinds."""
    import numpy as np
    from PIL import Image

    noise = np.frombuffer(chance.randbytes(48 * 40 * 3), np.uint8).reshape(40, 48, 3)
    rgb = Image.fromarray(noise // 4 + 90)
    exif = Image.Exif()
    exif[0x0112] = 6
    frames = [rgb, rgb.rotate(90), rgb.rotate(180)]
    deep = Image.fromarray(noise[..., 0].astype(np.uint16) * 257)
    kinds: list[tuple[Image.Image, str, dict[str, Any]]] = [
        (rgb, "PNG", {}), (rgb.convert("RGBA"), "PNG", {}), (deep, "PNG", {}), (rgb.convert("1"), "PNG", {}),
        (rgb.convert("P"), "PNG", {"transparency": 3}), (rgb, "PNG", {"save_all": True, "append_images": frames}),
        (rgb, "JPEG", {}), (rgb.convert("L"), "JPEG", {}), (rgb.convert("CMYK"), "JPEG", {"exif": exif}),
        (rgb, "JPEG", {"progressive": True, "exif": exif}), (rgb, "WEBP", {}), (rgb, "WEBP", {"lossless": True}),
        (rgb, "WEBP", {"save_all": True, "append_images": frames}), (rgb, "BMP", {}), (rgb.convert("P"), "BMP", {}),
        (rgb, "GIF", {"save_all": True, "append_images": frames}),
    ]  # fmt: skip
    files = []
    for image, kind, options in kinds:
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        files.append(buffer.getvalue())
    return files


def large_header() -> bytes:
    """A PNG of a few bytes that says it has 50,000 × 50,000 pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def fuzz_images(count: int, seed: int) -> dict[str, Any]:
    """In this process: to be called in one of its own, which may die."""
    from rgan_bench.config.schema import LimitsConfig
    from rgan_bench.config.validate import root_defaults
    from rgan_bench.data.decode import decode
    from rgan_bench.data.folder import load_images
    from rgan_bench.errors import UserError

    limits = LimitsConfig(**root_defaults()["limits"])
    chance = random.Random(seed)
    whole = image_files(chance)
    outcomes: collections.Counter[str] = collections.Counter()
    slowest, before = 0.0, peak_megabytes()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for index in range(count):
            content = large_header() if index == 0 else damage(chance.choice(whole), chance, whole)
            extension = chance.choice((".png", ".jpg", ".webp", ".bmp"))
            (folder / f"{index:05d}{extension}").write_bytes(content)
            started = time.perf_counter()
            try:
                assert decode(content, 32, limits.image_pixels).shape == (3, 32, 32)
                outcomes["read"] += 1
            except Exception as error:
                outcomes["refused"] += 1
                outcomes["refused without a reason"] += not (str(error) or type(error).__name__)
            slowest = max(slowest, time.perf_counter() - started)
        (folder / "whole.png").write_bytes(whole[0])
        skipped = load_images(folder, 32, limits, skip_corrupt=True).skipped
        try:
            load_images(folder, 32, limits)
            named = False
        except UserError as error:
            named = "\n" not in str(error) and "0" in str(error)
    memory = peak_megabytes() - before
    wrong = [] if skipped == outcomes["refused"] else [f"the folder skipped {skipped}"]
    wrong += [] if named else ["the folder did not name the first that it refused"]
    wrong += [f"slowest {slowest:.1f} s"] * (slowest > SECONDS) + [f"{memory:.0f} MB"] * (memory > MEGABYTES)
    return {**outcomes, "slowest, s": round(slowest, 3), "memory, MB": round(memory, 1), "wrong": wrong}


def peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


# --- checkpoints ------------------------------------------------------------------------------------------------------


def fuzz_checkpoints(count: int, seed: int) -> dict[str, Any]:
    """In this process: to be called in one of its own, which may die."""
    import torch
    from hydra import compose, initialize_config_dir

    from rgan_bench.config.validate import config_dir, validate
    from rgan_bench.errors import UserError
    from rgan_bench.run.checkpoint import load_checkpoint
    from rgan_bench.run.experiment import Experiment
    from scripts.crash_test import SETTINGS, same

    chance = random.Random(seed)
    outcomes: collections.Counter[str] = collections.Counter()
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as name, initialize_config_dir(str(config_dir()), version_base="1.3"):
        config = validate(compose("config", overrides=[*SETTINGS, f"output_root={name}", "train.iterations=2"]))
        experiment = Experiment(config)
        experiment.folder.create()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            experiment.run()
        store, last = experiment.store, experiment.store.last
        original, content = last.read_bytes(), load_checkpoint(last)
        for path in store.folder.glob("*.pt"):
            path.unlink()
        before = peak_megabytes()
        slowest = 0.0
        for index in range(count):
            behind = index % 2 == 1  # the checksums' back
            if index % 4 == 3:
                torch.save(exchange(copy.deepcopy(content), chance), last)
            else:
                last.write_bytes(repack(original, chance) if behind else damage(original, chance, [original[::-1]]))
            experiment = Experiment(config)
            started = time.perf_counter()
            try:
                with contextlib.redirect_stderr(io.StringIO()):
                    experiment.resume()
                    go_on(experiment)
                if behind:
                    outcomes["loaded, damaged behind the checksums' back"] += 1
                elif same(load_checkpoint(last), content):
                    outcomes["loaded, content unhurt"] += 1
                else:
                    wrong.append(f"file {index}: loaded with other content")
            except UserError as error:
                outcomes["refused"] += 1
                if "\n" in str(error):
                    wrong.append(f"file {index}: more than a line: {error}")
            except Exception as error:
                wrong.append(f"file {index}: {type(error).__name__}: {error}")
            slowest = max(slowest, time.perf_counter() - started)
    memory = peak_megabytes() - before
    wrong += [f"slowest {slowest:.1f} s"] * (slowest > SECONDS) + [f"{memory:.0f} MB"] * (memory > MEGABYTES)
    return {**outcomes, "slowest, s": round(slowest, 3), "memory, MB": round(memory, 1), "wrong": wrong}


def go_on(experiment: Any) -> None:
    """What a run does with what it took from a checkpoint, once: a step of each optimizer, and result.json."""
    import torch

    state = experiment.state
    for network, optimizer in (
        (state.generator, state.generator_optimizer),
        (state.discriminator, state.discriminator_optimizer),
    ):
        (group,) = optimizer.param_groups
        assert (group["lr"], tuple(group["betas"])) == (
            experiment.config.optim.lr,
            tuple(experiment.config.optim.betas),
        )
        assert (group["maximize"], group["amsgrad"], group["weight_decay"]) == (False, False, 0)
        for parameter in network.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
    experiment.record.write("running")


def exchange(content: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """The content with one value, anywhere in it, exchanged for another kind of value, or left out."""
    import torch

    place: Any = content
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = chance.choice(keys)
        if isinstance(place[key], (dict, list)) and place[key] and chance.random() < 0.9:
            place = place[key]
            continue
        if isinstance(place[key], torch.Tensor) and chance.random() < 0.7:
            place[key] = changed(place[key], chance)
            return content
        other = chance.choice(
            (None, -1, 10**30, 10**400, float("nan"), "x", [], {}, [[]], True, torch.zeros(2, 3), "missing")
        )
        if isinstance(other, str) and other == "missing":
            del place[key]
        else:
            place[key] = other
        return content


def changed(tensor: Any, chance: random.Random) -> Any:
    """The tensor lying in another way, of another kind, or with other numbers."""
    import torch

    number = tensor.flatten()[:1].reshape(()) if tensor.numel() else torch.zeros(())
    ways: list[Callable[[], Any]] = [
        lambda: number.expand(tensor.shape),
        lambda: number.expand(2**40),  # says that it is enormous
        lambda: tensor.flatten(),
        lambda: tensor[None],
        lambda: tensor.clone().T.contiguous().T if tensor.ndim == 2 else tensor.clone(),
        lambda: tensor.to_sparse(),
        lambda: tensor.to("meta"),
        lambda: tensor.to(chance.choice((torch.float64, torch.float16, torch.complex64, torch.bool, torch.uint8))),
        lambda: torch.quantize_per_tensor(tensor.float(), 0.1, 0, torch.qint8),
        lambda: tensor.float().clone().requires_grad_(),
        lambda: torch.nn.Parameter(tensor.float()),
        lambda: torch.full_like(tensor.float(), chance.choice((float("nan"), float("inf"), -1.0, 0.5, 3e38))),
    ]
    return chance.choice(ways)()


def repack(original: bytes, chance: random.Random) -> bytes:
    """The archive with its pickle damaged, or a part missing or exchanged, and every checksum right."""
    with zipfile.ZipFile(io.BytesIO(original)) as archive:
        parts = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    (pickled,) = [name for name in parts if name.endswith("data.pkl")]
    kind = chance.choice(("pickle", "pickle", "pickle", "missing", "exchanged"))
    if kind == "pickle":
        parts[pickled] = damage(parts[pickled], chance, list(parts.values()))
    elif kind == "missing":
        del parts[chance.choice(list(parts))]
    else:
        one, two = chance.sample(list(parts), 2)
        parts[one], parts[two] = parts[two], parts[one]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    return buffer.getvalue()


# --- command lines ----------------------------------------------------------------------------------------------------


def fuzz_commands(count: int, seed: int) -> dict[str, Any]:
    """Random override lists through the whole of rgan-train but the run itself."""
    import hypothesis
    from hypothesis import strategies as st

    import rgan_bench.run.experiment  # now, since the first run of the command would
    from rgan_bench.config.validate import group_options, known_keys
    from rgan_bench.sweeps.outcomes import Outcome

    groups = ("loss", "arch", "data", "optim", "experiment", "sweep", "exception", "train", "fid", "limits")
    options = [f"{group}={option}" for group in groups for option in group_options(group)]
    text = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
    number = st.one_of(st.integers(), st.floats())
    value = st.one_of(
        text,
        number.map(str),
        st.sampled_from(
            ["null", "true", "[]", "{}", "[1,2]", "{a:1}", "???", "${seed}", "${nowhere}", "${", "'", '"x"']
        ),
        st.sampled_from(["1,2", "range(3)", "choice(a,b)", "../../x", "/", "''", "1e400", "nan", "\n", "a=b", "$(x)"]),
    )
    key = st.one_of(
        st.sampled_from(known_keys()),
        text,
        st.sampled_from(
            ["hydra.job.name", "hydra.verbose", "hydra/launcher", "data@loss", "loss.x.y", "defaults", "_self_"]
        ),
    )
    prefix = st.sampled_from(["", "", "", "", "+", "++", "~"])
    override = st.one_of(
        st.sampled_from(options),
        st.builds(lambda p, k, v: f"{p}{k}={v}", prefix, key, value),
        st.builds(lambda p, k: f"{p}{k}", prefix, key),
        text,
    )
    override = override.filter(lambda each: not each.lstrip().startswith("-"))  # a flag: for argparse to judge
    wild = st.lists(override, max_size=5)
    plausible = st.one_of(st.integers(0, 100), st.floats(0, 1), st.sampled_from(["null", "both", "cpu", "gp", "x"]))
    sane = st.one_of(st.sampled_from(options), st.builds("{}={}".format, st.sampled_from(known_keys()), plausible))
    overrides = st.one_of(wild, st.lists(sane, max_size=3), st.tuples(sane, override).map(list))
    outcomes: collections.Counter[str] = collections.Counter()
    reached: list[bool] = []

    def run_experiment(config: Any, hydra_files: dict[str, str], command: str, *, wait: bool) -> None:
        reached.append(True)
        raise Reached

    @hypothesis.settings(
        max_examples=count, deadline=None, database=None, suppress_health_check=list(hypothesis.HealthCheck),
        phases=[hypothesis.Phase.generate, hypothesis.Phase.shrink], derandomize=False,
    )  # fmt: skip
    @hypothesis.seed(seed)
    @hypothesis.given(overrides)
    def each(arguments: list[str]) -> None:
        reached.clear()
        status, out, err = command_line(arguments)
        if reached:
            outcomes["composed"] += 1
            return
        outcomes["refused"] += 1
        assert status == 2, (arguments, status, out, err)
        assert err.startswith("rgan-train: error: "), (arguments, err)
        assert err.count("\n") == 1, (arguments, err)
        assert len(err) < 2000, (arguments, err)
        assert not list(Path().iterdir()), (arguments, list(Path().iterdir()))

    assert Outcome  # the command imports it
    wrong = []
    original = rgan_bench.run.experiment.run_experiment
    rgan_bench.run.experiment.run_experiment = run_experiment
    here = Path.cwd()
    try:
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            each()
    except AssertionError as error:
        wrong.append(str(error)[:2000])
    finally:
        os.chdir(here)
        rgan_bench.run.experiment.run_experiment = original
    return {**outcomes, "wrong": wrong}


class Reached(BaseException):
    """The command has come to the run: it took all that it was given."""


def command_line(arguments: list[str]) -> tuple[int, str, str]:
    """rgan-train's main in this process: (exit status, stdout, stderr)."""
    from hydra.core.global_hydra import GlobalHydra

    from rgan_bench.cli.train import main

    out, err, given = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = ["rgan-train", *arguments]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
        status: Any = 0
    except SystemExit as leaving:
        status = leaving.code
    except Reached:
        status = 0
    except Exception as error:
        status, _ = 1, err.write(f"{type(error).__name__}: {error}")
    finally:
        sys.argv = given
        GlobalHydra.instance().clear()
    return status, out.getvalue(), err.getvalue()


# --- main -------------------------------------------------------------------------------------------------------------

TARGETS: dict[str, Callable[[int, int], dict[str, Any]]] = {
    "images": fuzz_images,
    "checkpoints": fuzz_checkpoints,
    "commands": fuzz_commands,
    "stops": fuzz_stops,
    "results": fuzz_results,
}


def in_own_process(target: str, count: int, seed: int) -> dict[str, Any]:
    """A crash of the interpreter is then a result too."""
    command = [sys.executable, "-m", "scripts.fuzz", target, "--count", str(count), "--seed", str(seed), "--json"]
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run(command, capture_output=True, text=True, cwd=root, timeout=60 + 60 * count)
    if not done.stdout:
        return {"wrong": [f"ended with status {done.returncode}: {done.stderr[-1000:]}"]}
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="in this process, and one JSON object on stdout")
    arguments = parser.parse_args()
    if arguments.json:
        print(json.dumps(TARGETS[arguments.target](arguments.count, arguments.seed)))
        return
    report = in_own_process(arguments.target, arguments.count, arguments.seed)
    wrong = report.pop("wrong")
    for name, value in report.items():
        print(f"{name:<45}{value:>10}")
    print(*wrong or ["nothing wrong"], sep="\n")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
