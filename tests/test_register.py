"""Plugins: each kind of thing added from a file outside the package, and docs/extending.md word for word."""

import json
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

import pytest
import torch

from rgan_bench import load_generator, register
from rgan_bench.cli import fid, table
from rgan_bench.cli import train as cli
from rgan_bench.config.identity import identity_of
from rgan_bench.config.schema import Config
from rgan_bench.config.validate import group_node, load_group_option
from rgan_bench.errors import UserError
from rgan_bench.plugins import forget_plugins
from tests.conftest import GOLDEN, TINY

PAGE = (GOLDEN.parent.parent / "docs" / "extending.md").read_text()
FILES = dict(re.findall(r"```python\n# (\w+\.py)\n(.*?)```", PAGE, flags=re.DOTALL))
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, flags=re.DOTALL) for line in block.splitlines()]
# Of a run of a second; what an example chooses itself comes last and counts.
QUICK = [*TINY, "train.iterations=2", "train.checkpoint_every=null", "train.sample_every=null"]


@pytest.fixture(autouse=True)
def no_plugins() -> Iterator[None]:
    forget_plugins()
    yield
    forget_plugins()


@pytest.fixture
def rgan_train(run_command: Callable) -> Callable[..., tuple[int, str, str]]:
    return partial(run_command, cli.main)


@pytest.fixture
def page_files() -> None:
    for name, text in FILES.items():
        Path(name).write_text(text)
    Path("my_losses.py").write_text(FILES["my_functions.py"])


def only_run(root: str = "outputs") -> Path:
    (folder,) = [path for path in Path(root).iterdir() if path.name != "multirun"]
    return folder


def result(root: str = "outputs") -> dict:
    return json.loads((only_run(root) / "result.json").read_text())


# --- the page ---------------------------------------------------------------------------------------------------------


def test_the_page_has_an_example_of_each_kind() -> None:
    written = "".join(FILES.values())
    for kind in register.OWN:
        assert f"@{kind}(" in written


@pytest.mark.parametrize("command", COMMANDS)
def test_each_example_trains_resumes_scores_and_is_tabled(
    command: str, page_files: None, rgan_train: Callable, run_command: Callable
) -> None:
    program, *arguments = shlex.split(command)
    assert program == "rgan-train"
    named = {argument.partition("=")[0] for argument in arguments}
    settings = [each for each in QUICK if each.partition("=")[0] not in named]
    if "arch" in named:
        settings = [each for each in settings if not each.startswith("arch.")]
    if "data" in named:
        settings = [each for each in settings if not each.startswith("data")]
    status, _, err = rgan_train(*settings, *arguments)
    assert status == 0, err
    status, out, err = rgan_train(*settings, *arguments, "train.iterations=3")
    assert status == 0, err
    assert "from iteration 2 to iteration 3" in out
    (plugin,) = [re.match(r"plugins=\[(.*)\]", argument)[1] for argument in arguments if "plugins" in argument]
    assert result()["plugins"].keys() == {plugin}
    (copied,) = (only_run() / "plugins").rglob("*.py")
    assert copied.read_text() == Path(plugin).read_text()
    score = next(iter(result()["scores"]))
    forget_plugins()  # as another process would begin
    status, out, err = run_command(fid.main, only_run(), "--json", "--plugins", plugin)
    assert status == 0, err
    found = {entry["score"]: entry["value"] for entry in json.loads(out)}
    assert found[score] == pytest.approx(result()["scores"][score]["final"]["value"], rel=1e-6)
    status, out, err = run_command(table.main, "outputs", "--table", "sweep")
    assert status == 0, err
    assert "| " in out


# --- as good as built in ----------------------------------------------------------------------------------------------


def test_a_plugins_names_are_checked_offered_and_listed(page_files: None, rgan_train: Callable) -> None:
    status, out, _ = rgan_train("plugins=[my_functions.py,my_networks.py,my_data.py,my_features.py]", "--help")
    assert status == 0
    for line in (
        "loss.function: standard, least_squares, hinge, wasserstein, softhinge",
        "fid.features: .*inception, .*mean-colour",
    ):
        assert re.search(line, out)
    assert re.search(r"arch: cnn32, .*mlp16", out)
    assert re.search(r"data: cat128, .*checkers", out)
    status, _, err = rgan_train(*QUICK, "plugins=my_functions.py", "loss.function=softhing")
    assert status == 2
    assert "loss.function=softhing: did you mean softhinge?" in err
    status, _, err = rgan_train(*QUICK, "plugins=my_data.py", "data=checkers", "~data.num_images", "data.cell=x")
    assert status == 2


def test_a_module_by_name_is_a_plugin_too(page_files: None, rgan_train: Callable) -> None:
    assert rgan_train(*QUICK, "plugins=my_functions", "loss.function=softhinge")[0] == 0
    assert list(result()["plugins"]) == ["my_functions"]


def test_a_data_set_s_own_keys_are_part_of_the_identity(compose_config: Callable[..., Config]) -> None:
    config = asdict(compose_config("data=demo"))
    plugins = {"dataset checkers": "0123456789abcdef"}
    fine, coarse = (
        identity_of(config | {"data": {**config["data"], "name": "checkers", "cell": cell}}, plugins) for cell in (4, 8)
    )
    assert fine != coarse
    assert "cell" not in identity_of(config | {"data": {**config["data"], "cell": 4}}, {})["data"]


def test_the_source_is_part_of_the_identity_of_what_uses_it(page_files: None, rgan_train: Callable) -> None:
    rgan_train(*QUICK, "plugins=my_functions.py", "loss.function=softhinge", "output_root=one")
    rgan_train(*QUICK, "plugins=[my_functions.py,my_penalties.py]", "loss.function=softhinge", "output_root=two")
    assert only_run("one").name == only_run("two").name  # a plugin that is not used changes nothing
    rgan_train(*QUICK, "plugins=my_functions.py", "output_root=unused")
    rgan_train(*QUICK, "output_root=plain")
    assert only_run("unused").name == only_run("plain").name
    forget_plugins()
    Path("my_functions.py").write_text(FILES["my_functions.py"].replace("1 - logits", "2 - logits"))
    rgan_train(*QUICK, "plugins=my_functions.py", "loss.function=softhinge", "output_root=changed")
    assert only_run("changed").name != only_run("one").name
    assert result("changed")["identity"]["plugins"] != result("one")["identity"]["plugins"]


def test_an_edited_extractor_is_another_score(page_files: None, rgan_train: Callable) -> None:
    arguments = [*QUICK, "plugins=my_features.py", "fid.features=[mean-colour]"]
    rgan_train(*arguments)
    assert "already finished at 2" in rgan_train(*arguments)[1]
    before = result()["scores"]["fd_mean-colour"]["final"]["value"]
    forget_plugins()
    Path("my_features.py").write_text(FILES["my_features.py"].replace("/ 255", "/ 25"))
    status, out, _ = rgan_train(*arguments)
    assert status == 0
    assert "already finished" not in out
    assert result()["scores"]["fd_mean-colour"]["final"]["value"] == pytest.approx(before * 10.2**2, rel=1e-3)


def test_a_sweep_over_a_plugins_networks_runs_side_by_side(page_files: None, rgan_train: Callable) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="the extra `joblib` is not installed")
    settings = [each for each in QUICK if not each.startswith("arch.")]
    arguments = ["plugins=my_networks.py", "data.image_size=16", "arch=mlp16", "loss=sgan,lsgan"]
    status, out, err = rgan_train("-m", *settings, *arguments, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    assert status == 0, (out, err)


# --- refusals ---------------------------------------------------------------------------------------------------------

BROKEN = {
    "nowhere.py": (None, r"plugins=\[nowhere\.py\]: there is no such file of Python"),
    "no_such_module": (None, r"plugins=\[no_such_module\]: there is no such module of Python"),
    "raises.py": ("1 / 0", r"plugins=\[raises\.py\]: cannot be imported \(ZeroDivisionError: division by zero\)"),
    "typo.py": ("def f(:", r"plugins=\[typo\.py\]: cannot be imported \(SyntaxError: "),
    "twice.py": (
        "from rgan_bench.register import function\n@function('x')\ndef a(): ...\n@function('x')\ndef b(): ...",
        r"plugins=\[twice\.py\]: cannot be imported \(the function x is registered twice",
    ),
    "taken.py": (
        "from rgan_bench.register import function\n@function('hinge')\ndef a(): ...",
        r"plugins=\[taken\.py\]: cannot be imported \(the function hinge is there already, from rgan_bench itself",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_plugin_that_cannot_be_had_is_one_line_and_leaves_nothing(name: str, rgan_train: Callable) -> None:
    text, message = BROKEN[name]
    if text is not None:
        Path(name).write_text(text)
    for _ in range(2):  # and the second time too
        status, out, err = rgan_train(*QUICK, f"plugins=[{name}]")
        assert (status, out) == (2, "")
        assert re.match(rf"rgan-train: error: {message}", err), err
        assert err.count("\n") == 1
    assert not Path("outputs").exists()
    assert "x" not in register.names("function")


LIMITED = """
from rgan_bench.register import network

@network("limited", image_size=32, batch_norm="none", width=4, choices={"batch_norm": ("none",)}, multiple_of={%r: 4})
def limited(arch): ...
"""


def test_what_a_network_cannot_be_is_refused_in_one_line(compose_config: Callable) -> None:
    Path("limited.py").write_text(LIMITED % "width")
    Path("misspelt.py").write_text((LIMITED % "widht").replace("limited", "misspelt"))
    settings = ["plugins=[limited.py]", "arch.name=limited"]
    assert compose_config(*settings, "arch.batch_norm=none").arch.width == 64
    for override, message in {
        "arch.batch_norm=both": "arch.batch_norm=both: arch=limited can only have none; set arch.batch_norm=none",
        "arch.width=6": "arch.width=6: arch=limited needs a multiple of 4; set arch.width=8 or choose another arch",
    }.items():
        with pytest.raises(UserError, match=re.escape(message)) as refusal:
            compose_config(*settings, "arch.batch_norm=none", override)
        assert "\n" not in str(refusal.value)
    assert group_node("arch", "limited").keys() == load_group_option("arch", "cnn32").keys()
    with pytest.raises(
        UserError, match=r"arch\.name=misspelt: its decorator limits widht, and there is no key arch\.wid"
    ):
        compose_config("plugins=[misspelt.py]", "arch.name=misspelt", "arch.batch_norm=none")


def test_a_checkpoint_imports_no_plugin_and_says_which_it_needs(
    page_files: None, rgan_train: Callable, run_command: Callable
) -> None:
    settings = [each for each in QUICK if not each.startswith("arch.")]
    assert rgan_train(*settings, "plugins=my_networks.py", "arch=mlp16", "data.image_size=16")[0] == 0
    forget_plugins()
    with pytest.raises(UserError, match=r"was trained with plugins=\['my_networks\.py'\] .*plugins=\['my_networks"):
        load_generator(only_run())
    status, _, err = run_command(fid.main, only_run())
    assert status == 2
    assert "name them: --plugins my_networks.py" in err
    generator = load_generator(only_run(), plugins=["my_networks.py"])
    assert generator(torch.zeros(2, generator.latent_dim)).shape == (2, 3, 16, 16)
    forget_plugins()
    (copied,) = (only_run() / "plugins").rglob("*.py")
    Path("my_networks.py").write_text(FILES["my_networks.py"] + "\n# later\n")
    with pytest.raises(UserError, match=r"its network mlp16 was that of another plugin, or of this one before"):
        load_generator(only_run(), plugins=["my_networks.py"])
    forget_plugins()
    load_generator(only_run(), plugins=[str(copied)])


def test_the_packages_own_names_are_read_from_its_source() -> None:
    """What the source says is what the modules announce when they are imported."""
    for kind in register.OWN:
        for name in register.names(kind):
            read = register._own(kind)[name]
            register.get(kind, name)
            assert register.announced[kind, name].module == read.module
            told = {key: value for key, value in register.announced[kind, name].attributes.items() if value is not None}
            assert told == {key: value for key, value in read.attributes.items() if value is not None}
