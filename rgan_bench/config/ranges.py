"""What each key may be, by itself: key → what is wrong with a value, for people. Imports no torch."""

import difflib
import importlib.util
import math
import re
from collections.abc import Callable, Iterable
from typing import Any

from rgan_bench import register
from rgan_bench.config.schema import ESTIMATORS, FAMILIES, GENERATOR_FORMS, PENALTY_PARTS, PRECISIONS

Check = Callable[[Any], str | None]  # value → what is wrong with it, or None


def at_least(minimum: int) -> Check:
    return lambda value: None if value >= minimum else f"must be at least {minimum}"


def at_least_or_null(minimum: int) -> Check:
    return lambda value: None if value is None or value >= minimum else f"must be at least {minimum}, or null for never"


def one_of(*choices: str) -> Check:
    return lambda value: None if value in choices else not_among(value, choices)


def registered(kind: str) -> Check:
    """One of the names that there are, plugins' among them."""
    return lambda value: None if value in register.names(kind) else not_among(value, register.names(kind))


def positive(value: float) -> str | None:
    return None if math.isfinite(value) and value > 0 else "must be a number above 0"


def not_negative(value: float) -> str | None:
    return None if math.isfinite(value) and value >= 0 else "must be a number of at least 0"


def two_betas(value: list[float]) -> str | None:
    if len(value) != 2:
        return "must be two numbers, as in [0.5,0.999]"
    return None if all(0 <= beta < 1 for beta in value) else "each must be at least 0 and below 1"


def some_to_score(check: Check) -> Check:
    def of_list(value: list[str]) -> str | None:
        if not value:
            return "must name at least one; to score never, set fid.every=null"
        if len(set(value)) != len(value):
            return "names one twice"
        return next((complaint for complaint in map(check, value) if complaint), None)

    return of_list


def some_penalties(value: Any) -> str | None:
    if not isinstance(value, str | list) or not all(isinstance(name, str) for name in value):
        return "must be a name, or a list of names that are added up, as in [gp,r1]"
    names = [value] if isinstance(value, str) else value
    if not names or ("none" in names and len(names) > 1):
        return "must name at least one; to have none, set loss.penalty=none"
    if len(set(names)) != len(names):
        return "names one twice"
    complaints = map(registered("penalty"), names)
    return next((complaint for complaint in complaints if complaint), None)


def some_weights(value: Any) -> str | None:
    for each in value if isinstance(value, list) else [value]:
        if each is not None and (isinstance(each, bool) or not isinstance(each, int | float)):
            return "must be a number, or null, or a list of as many as there are penalties"
        complaint = None if each is None else not_negative(each)
        if complaint:
            return complaint
    return None


def some_points(value: list[str] | None) -> str | None:
    if value is None:
        return None
    if not value or len(set(value)) != len(value):
        return "must name some, each once"
    complaints = map(one_of(*PENALTY_PARTS["points"]), value)
    return next((complaint for complaint in complaints if complaint), None)


def some_loggers(value: list[str]) -> str | None:
    if len(set(value)) != len(value):
        return "names one twice"
    complaints = (registered("sink")(name) or not_installed(name) for name in value)
    return next((complaint for complaint in complaints if complaint), None)


def not_installed(sink: str) -> str | None:
    needed = register.attributes("sink", sink).get("needs")
    # Where nothing of the name is installed, a folder of the name is found: wandb makes one.
    found = importlib.util.find_spec(needed) if needed else None
    if needed is None or (found is not None and found.origin is not None):
        return None
    remedy = needed if register.plugin_of("sink", sink) else f"'rgan-bench[{sink}]'"
    return f"{needed} is not installed; pip install {remedy}"


def or_null(check: Check) -> Check:
    return lambda value: None if value is None else check(value)


def file_name(value: str) -> str | None:
    ok = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", value)
    return None if ok else "becomes part of a folder's name: use letters, digits, '.', '_' and '-' only"


def device_name(value: str) -> str | None:
    return None if re.fullmatch(r"auto|cpu|cuda(:\d+)?", value) else "must be auto, cpu, cuda or cuda:N"


def not_empty(value: str) -> str | None:
    return None if value.strip() else "must not be empty"


def a_beta(value: float) -> str | None:
    return None if 0 <= value < 1 else "must be at least 0 and below 1"


# What a schedule may lead to: name → check of its value.
SCHEDULED = {
    "lr": or_null(positive),
    "beta1": or_null(a_beta),
    "beta2": or_null(a_beta),
    "penalty_weight": or_null(not_negative),
    "half_life": or_null(not_negative),
}
CHECKS: dict[str, Check] = {
    "loss.name": file_name,
    "loss.comparison": registered("comparison"),
    "loss.function": registered("function"),
    "loss.generator": one_of(*GENERATOR_FORMS),
    "loss.penalty": some_penalties,
    "loss.penalty_weight": some_weights,
    "loss.penalty_points": some_points,
    **{f"loss.penalty_{part}": or_null(one_of(*PENALTY_PARTS[part])) for part in ("norm", "shape", "reduce")},
    "loss.estimator": one_of(*ESTIMATORS),
    "arch.width": at_least(1),
    "arch.latent_dim": at_least(1),
    "arch.pac": at_least(1),
    "arch.batch_norm": one_of("generator", "both", "none"),
    "arch.activation": one_of("default", "tanh"),
    "data.root": not_empty,
    "data.image_size": at_least(1),
    "data.on_corrupt": one_of("error", "skip"),
    "data.num_images": at_least(2),
    "data.data_seed": at_least(0),
    "optim.lr": positive,
    "optim.lr_generator": or_null(positive),
    "optim.lr_discriminator": or_null(positive),
    "optim.betas": two_betas,
    "optim.n_d": at_least(1),
    "train.iterations": at_least(1),
    "train.batch_size": at_least(1),
    "train.log_every": at_least(1),
    "train.sample_every": at_least_or_null(1),
    "train.checkpoint_every": at_least_or_null(1),
    "train.keep": lambda value: None if value is None or value >= 0 else "must be at least 0, or null for all",
    "train.on_divergence": one_of("stop", "continue"),
    "ema.half_life": not_negative,
    **{f"schedule.{name}.to": check for name, check in SCHEDULED.items()},
    **{f"schedule.{name}.start": at_least(0) for name in SCHEDULED},
    **{f"schedule.{name}.shape": one_of("cosine", "linear") for name in SCHEDULED},
    "limits.image_pixels": at_least(1),
    "limits.file_bytes": at_least(1),
    "limits.dataset_bytes": at_least(1),
    "fid.features": some_to_score(registered("extractor")),
    "fid.metrics": some_to_score(one_of(*FAMILIES)),
    "fid.sampling_seeds": at_least(1),
    "fid.every": at_least_or_null(1),
    "fid.num_samples": at_least(2),
    "fid.num_real": lambda value: None if value is None or value >= 2 else "must be at least 2, or null for all",
    "fid.batch_norm": one_of("batch", "running"),
    "fid.batch_size": at_least(1),
    "seed": at_least(0),
    "device": device_name,
    "devices": at_least(1),
    "cells_per_gpu": lambda value: None if value is None or value >= 1 else "must be at least 1, or null for no limit",
    "accelerate": one_of("auto", "none", "layout", "graphs", "compile"),
    "precision": one_of(*PRECISIONS),
    "logger": some_loggers,
    "output_root": not_empty,
}


def not_among(value: object, choices: Iterable[str]) -> str:
    choices = list(choices)
    near = difflib.get_close_matches(str(value), choices, n=1, cutoff=0.5)
    return (f"did you mean {near[0]}? " if near else "") + f"one of: {', '.join(choices)}"
