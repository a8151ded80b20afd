"""Hydra 1.3 on Python 3.14, whose argparse looks into help texts: Hydra's lazy one is none, and every command fails."""

import argparse


def let_lazy_help_pass() -> None:
    """Has argparse check texts only, and gives Hydra's object what argparse asks of a text when it prints it.

    Does nothing before Python 3.14, which brought the check, nor where Hydra (1.4) goes round it itself.
    """
    check = getattr(argparse.ArgumentParser, "_check_help", None)
    if check is None:
        return

    def check_texts(parser: argparse.ArgumentParser, action: argparse.Action) -> None:
        text: object = action.help
        if isinstance(text, str | None):
            check(parser, action)
        elif not hasattr(text, "__contains__"):
            setattr(type(text), "__contains__", lambda self, part: part in repr(self))  # noqa: B010

    setattr(argparse.ArgumentParser, "_check_help", check_texts)  # noqa: B010 # Python before 3.14 has none to assign to
