"""The console scripts: each imports its command only once Ctrl-C leaves quietly, which takes a moment from then on."""

from importlib import import_module

from rgan_bench.run.stops import leave_at_once_on_interrupt


def train() -> None:
    _start("train")


def fid() -> None:
    _start("fid")


def table() -> None:
    _start("table")


def sample() -> None:
    _start("sample")


def runs() -> None:
    _start("runs")


def prepare_cat() -> None:
    _start("prepare_cat")


def _start(command: str) -> None:
    leave_at_once_on_interrupt()
    import_module(f"rgan_bench.cli.{command}").main()
