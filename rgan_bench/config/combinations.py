"""What may be set, each by itself, and cannot go together."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from omegaconf import OmegaConf

from rgan_bench import register
from rgan_bench.config.schema import PENALTY_PARTS, ArchConfig, Config, FidConfig
from rgan_bench.errors import UserError


def check_combinations(config: Config) -> None:
    """
    Raises:
        UserError: one line with key, value and remedy.
    """
    check_points(config)
    check_sizes(config)
    check_estimator(config)
    check_network(config.arch)
    check_schedules(config)
    check_devices(config)
    if config.loss.name == "spectral_sgan" and not config.arch.spectral_norm:
        raise UserError(
            "loss.name=spectral_sgan: means a discriminator with spectral norm; set arch.spectral_norm=true"
        )
    check_penalties(config)


def check_penalties(config: Config) -> None:
    loss, names = config.loss, as_list(config.loss.penalty)
    parts = {part: getattr(loss, f"penalty_{part}") for part in PENALTY_PARTS}
    for part, value in parts.items():
        try:
            for name in names:
                parts_of(name, {part: value})
        except ValueError as error:
            raise UserError(f"loss.penalty_{part}={shown(value)}: {error}") from None
        if value is not None and len(names) > 1:
            raise UserError(
                f"loss.penalty_{part}={shown(value)}: of which one of loss.penalty={shown(names)}? Parts can be set of "
                "a single penalty"
            )
    for name in names:
        if config.accelerate == "compile" and not register.attributes("penalty", name).get("first_order"):
            raise UserError(
                f"accelerate=compile: loss.penalty={name} differentiates twice, which torch.compile cannot do; "
                "use accelerate=auto"
            )
    if config.schedule.penalty_weight.to is not None and (len(names) > 1 or names == ["none"]):
        raise UserError(
            f"schedule.penalty_weight.to={config.schedule.penalty_weight.to:g}: needs one penalty, and there is "
            f"loss.penalty={shown(loss.penalty)}"
        )


def check_points(config: Config) -> None:
    """Points and images: networks make the one or the other, and are scored by it."""
    data, arch = config.data, config.arch
    mine, theirs = kind_of("dataset", data.name), kind_of("network", arch.name)
    if mine != theirs:
        fitting = [
            name
            for name in register.names("network")
            if kind_of("network", name) == mine
            and register.attributes("network", name)["image_size"] == data.image_size
        ]
        remedy = f"arch={' or '.join(fitting)}" if fitting else f"data of {theirs}"
        raise UserError(f"arch={arch.name}: makes {theirs}, and data={data.name} holds {mine}; choose {remedy}")
    if mine == "points" and data.flip:
        raise UserError(f"data.flip=true: the points of data={data.name} cannot be mirrored; set data.flip=false")
    check_scoring(config.fid, data.name, mine)


def kind_of(kind: str, name: str) -> str:
    """What a data set holds, or a network makes: images or points."""
    told: str | None = register.attributes(kind, name).get("of")
    return told or "images"


def own_features(data: str) -> list[str]:
    """What `fid.features=null` means for a data set."""
    return ["points"] if kind_of("dataset", data) == "points" else ["inception"]


def features_problem(features: list[str], data: str, kind: str) -> str | None:
    """What is wrong with scoring a data set of images or of points so, and what would work; None: nothing."""
    if kind == "points":
        right = features == ["points"]
        return None if right else f"data={data} holds points, which are scored by their coordinates; use points alone"
    return f"data={data} holds images; use inception, or pixels" if "points" in features else None


def check_scoring(fid: FidConfig, data: str, kind: str) -> None:
    """That what is asked for can be computed from these features of this data.

    Args:
        data: a data set's name.
        kind: images or points.

    Raises:
        UserError: it cannot.
    """
    problem = features_problem(fid.features, data, kind)
    if problem:
        raise UserError(f"fid.features={shown(fid.features)}: {problem}")
    problem = metrics_problem(fid.metrics, fid.features)
    if problem:
        raise UserError(f"fid.metrics={shown(fid.metrics)}: {problem}")


def metrics_problem(metrics: list[str], features: list[str]) -> str | None:
    """What is wrong with computing these from these features, and what would work; None: nothing."""
    if features == ["points"]:
        return (
            None if metrics == ["frechet"] else "points have scores of their own, and always all of them; leave it out"
        )
    left_over = [metric for metric in metrics if not any(computed_from(name, [metric]) for name in features)]
    useless = [name for name in features if not computed_from(name, metrics)]
    if left_over or useless:
        return (
            f"inception_score needs classes, which {' and '.join(useless or features)} has none of; "
            "use fid.features=inception, or other metrics"
        )
    return None


def computed_from(features: str, metrics: Sequence[str]) -> list[str]:
    """Those of `fid.metrics` that an extractor's features give: only with classes there is an Inception score."""
    has_classes = register.attributes("extractor", features).get("inception_score")
    return [metric for metric in metrics if metric != "inception_score" or has_classes]


def as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def own_weights(names: list[str]) -> list[float]:
    """Of each penalty, where none is asked for."""
    found = [register.attributes("penalty", name).get("weight") for name in names]
    return [10.0 if weight is None else weight for weight in found]


def parts_of(name: str, asked: dict[str, Any]) -> tuple[tuple[str, ...], dict[str, str]]:
    """(points, other parts) of a penalty: those that are asked for, else its own. Empty: it has none.

    Raises:
        ValueError: it has no such part.
    """
    told = register.attributes("penalty", name)
    own = {part: told[part] for part in PENALTY_PARTS if told.get(part)}
    for part, value in asked.items():
        if value is not None and part not in own:
            raise ValueError(f"loss.penalty={name} has no such part" + (f", but {', '.join(own)}" if own else ""))
        if value is not None:
            own[part] = value
    return tuple(own.pop("points", ())), own


def check_schedules(config: Config) -> None:
    for each in fields(config.schedule):
        key, ramp = f"schedule.{each.name}", getattr(config.schedule, each.name)
        if ramp.to is None:
            for part, unset in (("start", 0), ("end", None), ("shape", "cosine")):
                if getattr(ramp, part) != unset:
                    raise UserError(
                        f"{key}.{part}={shown(getattr(ramp, part))}: of a schedule that leads nowhere; set {key}.to too"
                    )
        elif ramp.end is None:
            raise UserError(f"{key}.to={ramp.to:g}: from which iteration on? Set {key}.end too")
        elif ramp.end <= ramp.start:
            raise UserError(
                f"{key}.end={ramp.end}: the schedule ends before it starts ({key}.start={ramp.start}); "
                f"set {key}.end={ramp.start + 1} or more"
            )


def check_estimator(config: Config) -> None:
    """Each is derived for some comparisons and functions only (arXiv 1901.02474)."""
    loss = config.loss
    problem = estimator_problem(loss.estimator, loss.comparison, loss.function, loss.generator)
    if problem:
        raise UserError(f"loss.estimator={loss.estimator}: {problem}")
    if loss.estimator == "unbiased" and config.train.batch_size < 2:
        raise UserError("loss.estimator=unbiased: estimates variances within a batch; set train.batch_size=2 or more")


def estimator_problem(estimator: str, comparison: str, function: str, generator: str) -> str | None:
    """What is wrong with the combination, and what would work; None: nothing."""
    if estimator == "mvue" and comparison != "pair":
        return f"takes all pairs, and loss.comparison={comparison} makes none; use loss.comparison=pair, or plain"
    if estimator == "unbiased":
        if comparison not in ("average", "centered") or function != "least_squares":
            return (
                "is known for loss.function=least_squares with loss.comparison=average or centered only, not for "
                f"{function} with {comparison}; use one of these, or plain"
            )
        if generator != "non_saturating":
            return f"is known for loss.generator=non_saturating only, not for {generator}; use that, or plain"
    return None


def check_sizes(config: Config) -> None:
    for group, kind, part in (("arch", "network", config.arch), ("data", "dataset", config.data)):
        fixed = register.attributes(kind, part.name).get("image_size")
        if fixed is not None and part.image_size != fixed:
            raise UserError(
                f"{group}.image_size={part.image_size}: {group}={part.name} is {fixed}×{fixed} only; "
                f"set {group}.image_size={fixed} or choose another {group}"
            )
    if config.data.image_size < 8 and kind_of("dataset", config.data.name) == "images":
        raise UserError(f"data.image_size={config.data.image_size}: must be at least 8")
    if config.arch.image_size != config.data.image_size:
        raise UserError(
            f"data.image_size={config.data.image_size}: arch={config.arch.name} makes images of "
            f"{config.arch.image_size}×{config.arch.image_size}; set data.image_size={config.arch.image_size} "
            "or choose another arch"
        )


def check_devices(config: Config, devices: int | None = None) -> None:
    """
    Args:
        devices: None: as many as the config says.
    """
    devices = devices or config.devices
    if devices > 1 and ":" in config.device:
        raise UserError(
            f"device={config.device}: is one device, and devices={devices}; set device=cuda, or leave it out"
        )
    if devices > 1 and config.cells_per_gpu is not None:
        raise UserError(
            f"cells_per_gpu={config.cells_per_gpu}: with devices={devices} each rank has the GPU of its number, and "
            "waits for no other run; leave it out"
        )
    if config.train.batch_size % devices:
        raise UserError(
            f"train.batch_size={config.train.batch_size}: cannot be shared out evenly among devices={devices}; "
            "another number of them computes the same"
        )


def check_network(arch: ArchConfig) -> None:
    """What its decorator says that this network cannot be."""
    told = register.attributes("network", arch.name)
    values = vars(arch)
    choices, multiple_of = (told.get(limit) or {} for limit in ("choices", "multiple_of"))
    for key in [*choices, *multiple_of]:
        if key not in values:
            raise UserError(f"arch.name={arch.name}: its decorator limits {key}, and there is no key arch.{key}")
    for key, possible in choices.items():
        if values[key] not in possible:
            only = " or ".join(map(shown, possible))
            raise UserError(
                f"arch.{key}={shown(values[key])}: arch={arch.name} can only have {only}; "
                f"set arch.{key}={shown(possible[0])} or choose another arch"
            )
    for key, factor in multiple_of.items():
        if values[key] % factor:
            above = values[key] + -values[key] % factor
            raise UserError(
                f"arch.{key}={values[key]}: arch={arch.name} needs a multiple of {factor}; "
                f"set arch.{key}={above} or choose another arch"
            )


def shown(value: Any) -> str:
    if isinstance(value, (list, tuple)) or OmegaConf.is_list(value):
        return "[" + ",".join(str(item) for item in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else str(value)
