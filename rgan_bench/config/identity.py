"""Which settings decide the trained weights, and the name of a run after them."""

import hashlib
import json
from dataclasses import asdict, fields
from functools import reduce
from pathlib import Path
from typing import Any

from rgan_bench import register
from rgan_bench.config.combinations import as_list
from rgan_bench.config.schema import PENALTY_PARTS, Config, ScheduleConfig

# What decides the trained weights, the seed aside (which folder names show by itself). Frozen: folder names hash these
# keys and their values, so that a key taken away or renamed would orphan every run that anybody has.
COUNTED = {
    "loss": ("comparison", "function", "generator", "penalty", "penalty_weight"),
    "arch": ("name", "image_size", "latent_dim", "width", "pac", "spectral_norm", "batch_norm", "activation"),
    "data": ("name", "image_size", "root", "num_images", "data_seed"),
    "optim": ("lr", "betas", "n_d"),
}
# Younger keys that decide them too: the value at which the feature does not exist, and the release that brought it.
# At that value a key is no part of the identity, so that the runs of before keep their names.
SCHEDULED = tuple(each.name for each in fields(ScheduleConfig))
NEUTRAL: dict[str, tuple[Any, str]] = {
    "loss.estimator": ("plain", "0.2.0"),
    "precision": ("tf32", "0.2.0"),
    "data.flip": (False, "0.2.0"),
    **{f"loss.penalty_{part}": (None, "0.2.0") for part in PENALTY_PARTS},
    "optim.lr_generator": (None, "0.2.0"),
    "optim.lr_discriminator": (None, "0.2.0"),
    "ema.half_life": (0, "0.2.0"),
    **{f"schedule.{what}.to": (None, "0.2.0") for what in SCHEDULED},
    **{f"schedule.{what}.start": (0, "0.2.0") for what in SCHEDULED},
    **{f"schedule.{what}.end": (None, "0.2.0") for what in SCHEDULED},
    **{f"schedule.{what}.shape": ("cosine", "0.2.0") for what in SCHEDULED},
}
# What does not: names, cadences, scoring, how the same numbers are computed, where things are kept.
WITHOUT_EFFECT = (
    *("loss.name", "data.on_corrupt", "train.iterations", "train.log_every", "train.sample_every"),
    *("train.checkpoint_every", "train.keep", "train.on_divergence", "fid.*", "limits.*"),
    *("deterministic", "accelerate", "seed", "device", "devices", "cells_per_gpu", "output_root", "plugins", "logger"),
)


def plugins_used(config: dict[str, Any]) -> dict[str, str]:
    """Name of each thing of a plugin that decides the trained weights → digest of the plugin's source."""
    loss = config["loss"]
    used = [(kind, loss[kind]) for kind in ("comparison", "function")]
    used += [("penalty", name) for name in as_list(loss["penalty"])]
    used += [("network", config["arch"]["name"]), ("dataset", config["data"]["name"])]
    found = {f"{kind} {name}": register.plugin_of(kind, name) for kind, name in used}
    return {name: plugin.digest for name, plugin in found.items() if plugin is not None}


def identity_of(config: dict[str, Any], plugins: dict[str, str]) -> dict[str, Any]:
    """Exactly the settings that change the trained weights, the seed aside.

    Args:
        config: nested, as `dataclasses.asdict` and result.json have it; keys that are younger than it may be missing.
        plugins: as `plugins_used` gives it.
    """
    found = {
        group: {key: config[group][key] for key in keys if key in config[group]} for group, keys in COUNTED.items()
    }
    if found["loss"]["penalty"] == "none":
        del found["loss"]["penalty_weight"]
    if found["data"]["name"] == "folder":
        found["data"]["root"] = str(Path(found["data"]["root"]).resolve())  # which images: two paths, two data sets
    else:
        found["data"].pop("root", None)
    if f"dataset {found['data']['name']}" in plugins:  # its own keys
        known = (*COUNTED["data"], "flip", "on_corrupt")
        found["data"] |= {key: value for key, value in config["data"].items() if key not in known}
    found["batch_size"] = config["train"]["batch_size"]
    for key, (neutral, _) in NEUTRAL.items():
        *groups, last = key.split(".")
        value = reduce(lambda part, group: part.get(group, {}), groups, config).get(last, neutral)
        if value != neutral:
            found[key] = value
    return found | ({"plugins": plugins} if plugins else {})


def run_name(config: Config) -> str:
    """<data>_<arch>_<loss>_<hash>_seed<seed>."""
    settings = asdict(config)
    identity = identity_of(settings, plugins_used(settings))
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:8]
    return f"{config.data.name}_{config.arch.name}_{config.loss.name}_{digest}_seed{config.seed}"
