"""The Dockerfile names what there is. (What it builds needs a network: docs/clusters.md.)"""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_the_image_gets_what_the_package_needs_and_only_that() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    dockerfile = (ROOT / "Dockerfile").read_text()
    everything, *let_in = (ROOT / ".dockerignore").read_text().splitlines()[1:]
    let_in = {line.removeprefix("!") for line in let_in if line.startswith("!")}
    assert everything == "*"
    assert all((ROOT / path).exists() for path in let_in)
    assert let_in >= {*wheel["packages"], *wheel["force-include"], "Makefile", "constraints.txt", "pyproject.toml"}
    copied = re.findall(r"^COPY (.+) \S+$", dockerfile, re.MULTILINE)
    assert {path.split("/")[0] for line in copied for path in line.split()} <= {*let_in, "."}
    extras = re.search(r"^ARG EXTRAS=(\S+)$", dockerfile, re.MULTILINE).group(1)
    assert {*extras.split(",")} <= {*project["project"]["optional-dependencies"]}
