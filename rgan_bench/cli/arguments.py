"""What people type who know other tools, and what the commands say to it."""

import argparse
from collections.abc import Sequence

import rgan_bench
from rgan_bench.errors import UserError

VERSION = f"rgan_bench {rgan_bench.__version__}"


def add_version(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--version", action="version", version=VERSION)


def seconds(text: str) -> float:
    """Of `--watch`."""
    value = float(text)
    if not 0.1 <= value <= 86_400:
        raise argparse.ArgumentTypeError(f"{text} is not between 0.1 and 86400 seconds")
    return value


def for_hydra(arguments: Sequence[str], flags: Sequence[str]) -> list[str]:
    """The arguments in an order that Hydra's parser takes: it wants all overrides together.

    Args:
        flags: Hydra's own.

    Raises:
        UserError: something else is written with dashes.
    """
    from rgan_bench.config.validate import known_keys  # takes its time; other commands have only the version from here

    for number, argument in enumerate(arguments):
        name, _, value = argument.partition("=")
        if not name.startswith("--") or any(flag.startswith(name) for flag in flags):
            continue
        key = name.removeprefix("--").replace("-", "_")
        value = value or next(iter(arguments[number + 1 :]), "")
        shown = value if value and not value.startswith("-") and "=" not in value else "VALUE"
        meant = [known for known in known_keys() if known == key or known.endswith(f".{key}")]
        remedy = f"write {' or '.join(f'{name}={shown}' for name in meant or ['KEY'])}"
        raise UserError(
            f"{argument}: no option of rgan-train, whose settings have no dashes; {remedy} (--help has all)"
        )
    multirun = [argument for argument in arguments if argument in ("-m", "--multirun")]
    return [argument for argument in arguments if argument not in multirun] + multirun[:1]
