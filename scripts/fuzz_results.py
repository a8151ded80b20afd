"""`python scripts/fuzz.py results`: rgan-table on a folder with a whole result.json and a damaged one, in every format.

The damaged one must be read, or named in one line; the whole one must be in the table; JSON must be JSON; and nothing
that stands in the damaged one may become markup or a formula.
"""

import collections
import contextlib
import copy
import csv
import io
import json
import random
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scripts.damage import damage

SECONDS = 5.0

HOSTILE = (
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "</title><script>", '"><script>',
    r"$\input{x}$ \\ [1]", "=cmd|' /C calc'!A0", "\ud800", "two\nlines", "\x1b[31m\x00", "a|b||", "x" * 5000,
    "文\u202e🐈", "", "NaN",
)  # fmt: skip
WRONG: tuple[Any, ...] = (
    None, True, False, -1, 0, 7, 10**30, 10**400, -0.5, 1e-320, 1e300, float("nan"), float("inf"), "", "7", [], {},
    [[]], [1, 2], {"a": None}, "deep",
)  # fmt: skip


def fuzz_results(count: int, seed: int) -> dict[str, Any]:
    """In this process: to be called in one of its own, which may die."""
    from rgan_bench.cli.table import FORMATS

    chance = random.Random(seed)
    outcomes: collections.Counter[str] = collections.Counter()
    wrong: list[str] = []
    slowest = 0.0
    with tempfile.TemporaryDirectory() as name:
        whole, damaged = Path(name) / "a_whole" / "result.json", Path(name) / "b_damaged" / "result.json"
        for path in (whole, damaged):
            path.parent.mkdir()
        whole.write_text(json.dumps(a_result("sgan", 54321, 6.28431)))
        original = a_result("rasgan", 1, 7.5)
        for index in range(count):
            damaged.write_bytes(damaged_result(original, chance))
            kind = chance.choice(("auto", "sweep"))
            started = time.perf_counter()
            for form in FORMATS:
                arguments = [name, "--table", kind, "--format", form]
                try:
                    out, err = table(arguments)
                    complaint = what_is_wrong(form, out, err, str(damaged))
                except Exception as error:
                    complaint, err = f"{type(error).__name__}: {error}", ""
                    outcomes["tracebacks"] += 1
                if complaint:
                    content = damaged.read_bytes()
                    wrong.append(f"file {index} as {form}: {complaint[:500]}: {content[:3000]!r}")
            outcomes["refused" if err else "read"] += 1
            slowest = max(slowest, time.perf_counter() - started)
    wrong += [f"slowest {slowest:.1f} s"] * (slowest > SECONDS)
    return {**outcomes, "slowest, s": round(slowest, 3), "wrong": wrong}


def a_result(loss: str, seed: int, value: float) -> dict[str, Any]:
    """As rgan-train writes it, with something in every part."""
    from dataclasses import asdict, replace

    from hydra import compose, initialize_config_dir

    from rgan_bench.config.validate import config_dir, validate
    from rgan_bench.scoring.protocol import Protocol, ScoreHistory

    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        overrides = ["data=demo", f"loss={loss}", f"seed={seed}", "ema.half_life=1000"]
        config = validate(compose("config", overrides=overrides))
    iterations = config.train.iterations
    history = ScoreHistory(Protocol("pixels", "none", 200, 300, "batch", 50, "afb57be98869eaa5"))
    for iteration in (0, *range(20_000, iterations + 1, 10_000)):
        history.add(iteration, value)
    average = ScoreHistory(replace(history.protocol, generator="ema"), history.entries)
    before = ScoreHistory(Protocol("pixels", "none", 100, 300, "batch", 50, "afb57be98869eaa5"), history.entries)
    return {
        "status": "finished",
        "command": "rgan-train data=demo",
        "iteration": iterations,
        "scores": {each.protocol.score_name: each.summary() for each in (history, average)},
        "protocol": {each.protocol.score_name: each.protocol.as_dict() for each in (history, average)},
        "scores_under_other_protocols": [
            {"score": "fd_pixels", "protocol": before.protocol.as_dict(), **before.summary()}
        ],
        "failed_scores": [{"iteration": 3, "reason": "out of memory"}],
        "diverged": {"iteration": 5, "not_finite": ["weights/generator"]},
        "diversity": {"iteration": iterations, "pixel_sd": 0.01, "real_pixel_sd": 0.2},
        "config": asdict(config),
        "data": {"name": "demo", "source": "drawn from data_seed 0", "images": 300, "fingerprint": "afb57be98869eaa5"},
        "versions": {"torch": "2.14.1", "device_name": "CPU", "num_threads": 1, "tf32": False},
    }


def damaged_result(original: dict[str, Any], chance: random.Random) -> bytes:
    """With bytes damaged, or with some values exchanged, taken away, added or renamed."""
    content = copy.deepcopy(original)

    kind = chance.choice(("bytes", "gentle", "gentle", "gentle", "rough"))
    if kind == "bytes":
        return damage(json.dumps(content).encode(), chance, [b"\xff\x00" * 4000])
    for _ in range(chance.choice((1, 2, 4))):
        alter(content, chance, gentle=kind == "gentle")
    return json.dumps(content).replace('"deep"', "[" * 2000 + "]" * 2000).encode()


def alter(content: dict[str, Any], chance: random.Random, *, gentle: bool) -> None:
    """
    Args:
        gentle: so that the file can most often be read: a text for a text, a number for a number.
    """
    places = list(all_places(content))
    rough = ("exchange", "exchange", "missing", "add", "rename")
    kind = chance.choice(("text", "text", "text", "number") if gentle else rough)
    wanted: dict[str, Any] = {"text": str, "number": (int, float), "add": (dict, list)}
    place, key = chance.choice([each for each in places if isinstance(each[0][each[1]], wanted.get(kind, object))])
    if kind == "text":
        place[key] = chance.choice(HOSTILE)
    elif kind == "number":
        place[key] = chance.choice((0, 1, 9, 50_000, 100_000, 0.0, 2.5, -1e-9, 1e29))
    elif kind == "exchange":
        place[key] = chance.choice(WRONG)
    elif kind == "add":
        if isinstance(place[key], dict):
            place[key][chance.choice(HOSTILE)] = chance.choice(WRONG)
        else:
            place[key].append(chance.choice(WRONG))
    elif kind == "rename" and isinstance(place, dict):
        place[chance.choice(HOSTILE)] = place.pop(key)
    else:
        del place[key]


def all_places(content: Any) -> Iterator[tuple[Any, Any]]:
    """(object or list, key or index) of everything in it."""
    for key in list(content) if isinstance(content, dict) else range(len(content)):
        yield content, key
        if isinstance(content[key], (dict, list)):
            yield from all_places(content[key])


def table(arguments: list[str]) -> tuple[str, str]:
    """rgan-table's main in this process: (stdout, stderr)."""
    from rgan_bench.cli.table import main

    out, err, given = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = ["rgan-table", *arguments]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as leaving:
        raise RuntimeError(f"exit status {leaving.code}: {err.getvalue()}") from leaving
    finally:
        sys.argv = given
    return out.getvalue(), err.getvalue()


def what_is_wrong(form: str, out: str, err: str, damaged: str) -> str | None:
    """With the table of a whole result and a damaged one; None: nothing."""
    if err and not (err.startswith(f"rgan-table: left out: {damaged}: ") and err.count("\n") == 1 and len(err) < 1000):
        return f"says {err}"
    if ("6.28431" if form in ("csv", "json") else "6.284") not in out:
        return f"the whole run is not in the table: {out}"
    if re.search(r"[\x00-\x09\x0b-\x1f\x7f\ud800-\udfff\u202e]", out):
        return "holds characters that do not print"
    if form == "json":
        json.loads(out, parse_constant=int)  # NaN and the like are none: it raises
    if form in ("html", "markdown") and re.search(r"""(?<!\\)<(script(?! id="own">)|img src=x)""", out):
        return "holds markup from the file"
    if form == "csv":
        rows = list(csv.DictReader(io.StringIO(out), strict=True))
        if any(text.startswith("=") for row in rows for text in row.values()):
            return "holds a formula from the file"
    return None
