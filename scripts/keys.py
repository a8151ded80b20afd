"""docs/keys.md, made of the values and comments of the YAML files, and of what schema, ranges and register know.

    python -m scripts.keys           # writes it
    python -m scripts.keys --check   # exit status 1 where it is not what would be written

A key's explanation is the comment above it or behind it, in the option of its group that configs/config.yaml chooses;
what other options say otherwise stands beside it. A comment that lists choices, `a (why) | b (why) | c`, must list
those that there are.
"""

import argparse
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_type_hints

import yaml

from rgan_bench import register
from rgan_bench.config.ranges import CHECKS, Check, one_of
from rgan_bench.config.schema import ArchConfig, Config
from rgan_bench.config.validate import config_dir, data_schema, group_options
from rgan_bench.files import write_text_atomically

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "keys.md"
BEHIND = re.compile(r":?[ \t]*(#.*)")  # a value, or a key that has keys
GROUPS = ("loss", "arch", "data", "optim")  # whose options have the same keys
SECTIONS = ("ema", "schedule", "train", "fid", "limits")
COMPOSED = ("experiment", "sweep", "setting", "exception")  # whose options set keys of everywhere
INTRODUCTION = """\
# Keys

<!-- Made by `python -m scripts.keys` of the files in configs/: change their comments, not this page. -->

Every key is set on the command line, `rgan-train KEY=VALUE`, and `GROUP=OPTION` chooses one of a group's files in
`configs/`, whose keys can be set as well. Defaults are the paper's, as far as it states them. What a key may be stands
in italics, or as a list of choices with what each means; anything else is refused. `rgan-train --cfg job` prints what
a command line composes to."""


@dataclass(frozen=True)
class Entry:
    """A key in a file: its value as it is written there, and its comment."""

    value: str
    comment: str


RUNNING = Entry("", "how a run is run, and what of yours takes part")


@dataclass(frozen=True)
class File:
    """
    Attributes:
        about: the comment at its top.
        chosen: group → the option that its defaults list takes, with the comment there.
        keys: dotted key → what the file says of it; of a key with keys of its own, without a value.
    """

    about: str
    chosen: dict[str, Entry]
    keys: dict[str, Entry]


# --- reading ----------------------------------------------------------------------------------------------------------


def read(path: Path) -> File:
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    top = next(number for number, line in enumerate(lines) if not line.startswith("#"))
    entries: dict[str, Entry] = {}
    chosen: dict[str, Entry] = {}

    def above(line: int) -> list[str]:
        first = line
        while first > top and lines[first - 1].lstrip().startswith("#"):
            first -= 1
        return [each.lstrip() for each in lines[first:line]]

    def entry(key: yaml.Node, value: yaml.Node) -> Entry:
        nested = isinstance(value, yaml.MappingNode) and not value.flow_style
        mark = key.end_mark if nested else value.end_mark
        behind = BEHIND.match(text, mark.index)
        comment = [*above(key.start_mark.line), *(behind.groups() if behind else ())]
        written = "" if nested else text[value.start_mark.index : value.end_mark.index]
        return Entry(written, uncommented(comment))

    def collect(mapping: yaml.Node, prefix: str) -> None:
        for key, value in mapping.value:
            name = prefix + key.value
            if name == "defaults":
                pairs = (pair for each in value.value if isinstance(each, yaml.MappingNode) for pair in each.value)
                chosen.update({group.value: entry(group, option) for group, option in pairs})
                continue
            entries[name] = entry(key, value)
            if isinstance(value, yaml.MappingNode) and value.value:
                collect(value, f"{name}.")

    collect(yaml.compose(text), "")
    return File(uncommented(line for line in lines[:top] if "@package" not in line), chosen, entries)


def uncommented(lines: Iterable[str]) -> str:
    return " ".join(line.lstrip("#").strip() for line in lines)


def group_files(group: str, default: str) -> dict[str, File]:
    """Option → its file, the default one first."""
    options = sorted(group_options(group), key=lambda option: (option != default, option))
    return {option: read(config_dir() / group / f"{option}.yaml") for option in options}


# --- what a key may be ------------------------------------------------------------------------------------------------


def types() -> dict[str, Any]:
    """Dotted key → its type, of every key that there is."""

    def of(schema: type, prefix: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, kind in get_type_hints(schema).items():
            found |= of(kind, f"{prefix}{name}.") if is_dataclass(kind) else {f"{prefix}{name}": kind}
        return found

    found = {key: kind for key, kind in of(Config, "").items() if key not in ("arch", "data")} | of(ArchConfig, "arch.")
    for name in register.names("dataset"):
        found |= of(data_schema(name), "data.")
    return found


def complaint(check: Check | None, kind: Any) -> str:
    """Of a key's check about a value that no key may have: it says what is allowed."""
    wrong: Any = ["?"] if "list" in str(kind) else -1 if {int, float} & set(members(kind)) else "?"
    return (check(wrong) if check else None) or ""


def members(kind: Any) -> tuple[Any, ...]:
    """Of a union; of another type, itself."""
    return get_args(kind) if isinstance(kind, UnionType) else (kind,)


def choices(check: Check | None, kind: Any) -> list[str]:
    _, there, names = complaint(check, kind).partition("one of: ")
    return names.split(", ") if there else []


def allowed(check: Check | None, kind: Any) -> str:
    """In the words of the refusal, with the type where it does not tell."""
    said = complaint(check, kind).removeprefix("must be ").replace("one of: ", "")
    kinds = members(kind)
    for each, word in ((int, "integer"), (float, "number"), (bool, "true or false")):
        if each in kinds and word not in said:
            said = f"{word}, {said}" if said else word
    return f"{said}, or null" if said and type(None) in kinds and "null" not in said else said


def listed(comment: str) -> list[str]:
    """The choices that a comment lists: `of what: a (why) | b | c; and so on` → a, b, c."""
    first, *others = re.sub(r"\s*\([^()]*\)", "", comment).split(" | ")
    return [first.split()[-1], *(re.findall(r"[\w-]+", each)[0] for each in others)] if others else []


def of_network(option: str, key: str, check: Check | None) -> Check | None:
    """What a network can have, where that is less than what its key can be."""
    limits = register.attributes("network", option).get("choices") or {}
    key = key.removeprefix("arch.")
    return one_of(*map(str, limits[key])) if key in limits else check


# --- writing ----------------------------------------------------------------------------------------------------------


def page() -> str:
    """
    Raises:
        ValueError: a key has no explanation, or a comment lists other choices than there are.
    """
    root, kinds = read(config_dir() / "config.yaml"), types()
    chosen = {name.removeprefix("optional "): entry for name, entry in root.chosen.items()}
    names = (*GROUPS, *SECTIONS, "running", *COMPOSED)
    lines = [INTRODUCTION, "", "Sections: " + " · ".join(f"[{name}](#{name})" for name in names) + "."]
    explained: set[str] = set()
    for name in names:
        comment = (chosen.get(name) or root.keys.get(name) or RUNNING).comment
        lines += ["", f"## {name}", "", *([f"{comment[0].upper()}{comment[1:]}.", ""] if comment else [])]
        options = group_files(name, chosen[name].value) if name in chosen else {"": root}
        if name in COMPOSED:
            rows = [[f"`{option}`", file.about, " ".join(sets(file))] for option, file in options.items()]
            lines += table([name, "what it is", "what it sets"], rows)
            continue
        named = dict.fromkeys(key for file in options.values() for key in file.keys)
        if name in GROUPS:
            keys = {f"{name}.{key}": key for key in named}
        elif name in SECTIONS:
            keys = {key: key for key in named if key.startswith(f"{name}.")}
        else:
            keys = {key: key for key in named if key in kinds and "." not in key}
        rows = []
        for key, inside in keys.items():
            entries = {option: file.keys[inside] for option, file in options.items() if inside in file.keys}
            if any(entry.comment for entry in entries.values()):
                rows.append(row(key, entries, next(iter(options)), kinds))
                explained.add(key)
        lines += table(["key", "default", "meaning"], rows)
        if name in GROUPS:
            lines += ["", *options_table(name, options)]
    # The parts of a schedule are explained once, at the first.
    unexplained = [key for key in kinds if re.sub(r"^schedule\.\w+", "schedule.lr", key) not in explained]
    if unexplained:
        raise ValueError(f"configs/: no comment explains {', '.join(unexplained)}")
    return linked("\n".join(lines), kinds) + "\n"


def row(key: str, entries: dict[str, Entry], default: str, kinds: dict[str, Any]) -> list[str]:
    """entries: option → what its file says of the key. What the first one says holds where nothing else is said."""
    leaf = key if key in kinds else f"{key}.to"  # of a schedule as a whole
    check, kind = CHECKS.get(leaf), kinds[leaf]
    for option, entry in entries.items():
        there = choices(of_network(option, key, check), kind)
        if there and listed(entry.comment) and set(there) != set(listed(entry.comment)):
            raise ValueError(f"configs/: {key} {option}: the comment has {listed(entry.comment)}, there are {there}")
    comments = grouped({option: entry.comment for option, entry in entries.items() if entry.comment})
    values = grouped({option: entry.value for option, entry in entries.items() if entry.value != "???"})
    first = next(iter(entries))
    told = [text if first in options else f"`{'`, `'.join(options)}`: {text}" for text, options in comments.items()]
    if allowed(check, kind) and not any(map(listed, comments)):
        told.append(f"*{allowed(check, kind)}*")
    shown = [f"{value} ({', '.join(options)})" for value, options in values.items()]
    written = entries[default].value if default in entries else ", ".join(shown)
    return [f"`{key}`", "" if written.startswith("{") else written, ". ".join(told).replace(" | ", ", ")]


def grouped(of: dict[str, str]) -> dict[str, list[str]]:
    """Text → the options that have it."""
    found: dict[str, list[str]] = {}
    for option, text in of.items():
        found.setdefault(text, []).append(option)
    return found


def options_table(group: str, options: dict[str, File]) -> list[str]:
    """What the options of a group set where they differ."""
    values = {option: {key: entry.value for key, entry in file.keys.items()} for option, file in options.items()}
    keys = dict.fromkeys(key for of_option in values.values() for key in of_option if key != "name")
    differ = [key for key in keys if len({of_option.get(key) for of_option in values.values()}) > 1]
    rows = []
    for option, file in options.items():
        network = register.attributes("network", option) if group == "arch" else {}
        cells = []
        for key in differ:
            only = len((network.get("choices") or {}).get(key, ())) == 1
            multiple = (network.get("multiple_of") or {}).get(key)
            value = values[option].get(key, "").replace("???", "(must be set)")
            cells.append(value + " only" * only + (f", a multiple of {multiple}" if multiple else ""))
        brings = f" Brings {' '.join(sets(File('', file.chosen, {})))}." if file.chosen else ""
        rows.append([f"`{option}`", *cells, file.about + brings])
    return table([f"`{group}=`", *differ, "what it is"], rows)


def sets(file: File) -> list[str]:
    """The options and values that a file sets, as they would be typed."""
    groups = {re.sub(r"^override /|@.*", "", group): entry.value for group, entry in file.chosen.items()}
    values = {key: entry.value for key, entry in file.keys.items() if entry.value and not entry.value.startswith("{")}
    return [f"`{key.removeprefix('hydra.sweeper.params.')}={value}`" for key, value in (groups | values).items()]


def table(heads: list[str], rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *rows)]


def linked(text: str, keys: Iterable[str]) -> str:
    """Keys as code, papers and pages as links."""
    dotted = "|".join(re.escape(key) for key in keys if "." in key)
    pattern = rf"`[^`]*`|(?<![\w.])(?:{dotted})(?:=\S*[^\s:;,.)])?(?!\w|\.\w|=)"
    text = re.sub(pattern, lambda found: found[0] if found[0].startswith("`") else f"`{found[0]}`", text)
    text = re.sub(r"arXiv (\d{4}\.\d{5})", r"[arXiv \1](https://arxiv.org/abs/\1)", text)
    text = re.sub(r"docs/(\w+\.md)(#[\w-]+)?(?!\w)", r"[\1](\1\2)", text)
    return re.sub(r"benchmarks/README\.md(#[\w-]+)?", r"[benchmarks](../benchmarks/README.md\1)", text)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m scripts.keys", description="Writes docs/keys.md.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit status 1 where it would change")
    arguments = parser.parse_args()
    text = page()
    if not arguments.check:
        write_text_atomically(PAGE, text)
    elif PAGE.read_text(encoding="utf-8") != text:
        sys.exit("docs/keys.md is not what configs/ says; python -m scripts.keys writes it")


if __name__ == "__main__":
    main()
