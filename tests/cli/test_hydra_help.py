"""Python 3.14's check of help texts, on the Python at hand."""

import argparse
import subprocess
import sys

import pytest

# What argparse does there when an argument is added and when help is printed (CPython 3.14, Lib/argparse.py).
PYTHON_3_14 = """
import argparse
def _check_help(self, action):
    if action.help:
        try:
            self._get_formatter()._expand_help(action)
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError('badly formed help string') from error
def add_argument(self, *names, **settings):
    action = original(self, *names, **settings)
    if isinstance(self, argparse.ArgumentParser):
        self._check_help(action)
    return action
original_expand = argparse.HelpFormatter._expand_help
def _expand_help(self, action):
    if '%' not in action.help:
        return action.help
    return original_expand(self, action)
if not hasattr(argparse.ArgumentParser, '_check_help'):
    original = argparse._ActionsContainer.add_argument
    argparse.HelpFormatter._expand_help = _expand_help
    argparse.ArgumentParser._check_help = _check_help
    argparse._ActionsContainer.add_argument = add_argument
"""
COMMANDS = [("--help",), ("--cfg", "job"), ("--hydra-help",), ("--info", "plugins")]


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", f"{PYTHON_3_14}\n{code}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("arguments", COMMANDS)
def test_every_command_works_on_python_3_14(arguments: tuple[str, ...]) -> None:
    done = run("from rgan_bench.cli.start import train; train()", *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_without_it_hydra_1_3_fails_there() -> None:
    """Once this does not hold any more, the remedy can go."""
    done = run("from hydra._internal.utils import get_args_parser; get_args_parser()")
    assert "badly formed help string" in done.stderr


def test_before_3_14_nothing_is_changed() -> None:
    code = "import argparse; from rgan_bench.cli.hydra_help import let_lazy_help_pass as let; let(); "
    code += "print(hasattr(argparse.ArgumentParser, '_check_help'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(hasattr(argparse.ArgumentParser, "_check_help"))
