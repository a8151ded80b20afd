import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from rgan_bench import register
from rgan_bench.config.identity import run_name
from rgan_bench.config.ranges import CHECKS
from rgan_bench.config.schema import Config, LossConfig, OptimConfig
from rgan_bench.config.validate import config_dir, group_options, known_keys, load_group_option, validate
from rgan_bench.errors import UserError
from rgan_bench.gan.losses import loss_of
from rgan_bench.gan.networks import build_networks

Compose = Callable[..., Config]
FILES = sorted(p.relative_to(config_dir()) for p in config_dir().rglob("*.yaml"))
APPLIED_BY_NAME = ("exception", "setting")
FILES = [path for path in FILES if path.parts[0] not in ("hydra", *APPLIED_BY_NAME)]


@pytest.mark.parametrize("file", FILES, ids=str)
def test_every_file_composes_and_builds(file: Path, compose_config: Compose) -> None:
    group = [] if file.parent == Path() else [f"{file.parent}={file.stem}"]
    width = 8 if "r3gan" in file.stem else 2
    config = compose_config(
        *group, f"arch.width={width}", *(["data.root=x"] if file.stem == "folder" else []), *matching(file)
    )
    build_networks(config.arch, config.seed)
    loss_of(config.loss)
    assert run_name(config)


def matching(file: Path) -> list[str]:
    """Data and architecture of one size, where the file sets only one of them."""
    if file == Path("arch/mlp2d.yaml"):
        return ["data=ring8"]
    size = file.stem.removeprefix("cat").removeprefix("dcgan")
    if not size.isdigit() or file.parent == Path("experiment"):
        return []
    return [f"arch=dcgan{size}"] if file.parent == Path("data") else [f"data=cat{size}"]


def test_options_are_named_as_their_files() -> None:
    for group in ("loss", "arch", "data"):
        for option in group_options(group):
            assert OmegaConf.load(config_dir() / group / f"{option}.yaml").name == option


def test_defaults_are_the_paper_s(compose_config: Compose) -> None:
    config = compose_config()
    assert (config.loss.name, config.arch.name, config.data.name) == ("rasgan", "cnn32", "cifar10")
    assert (config.optim.lr, config.optim.betas, config.optim.n_d) == (2e-4, [0.5, 0.999], 1)
    assert (config.train.iterations, config.train.batch_size, config.seed) == (100_000, 32, 1)
    assert (config.arch.width, config.arch.spectral_norm, config.arch.batch_norm) == (64, True, "generator")
    assert (config.fid.features, config.fid.num_samples) == (["inception"], 50_000)
    assert (config.fid.batch_norm, config.fid.batch_size, config.loss.penalty_weight) == ("batch", 100, 10)
    wgangp = compose_config("loss=wgangp", "optim=wgangp")
    assert (wgangp.optim.lr, wgangp.optim.betas, wgangp.optim.n_d) == (1e-4, [0.5, 0.9], 5)


@pytest.mark.parametrize(
    ("key", "kind"), [("loss.comparison", "comparison"), ("loss.function", "function"), ("loss.penalty", "penalty")]
)
def test_choices_are_what_is_registered_and_every_one_can_be_had(key: str, kind: str) -> None:
    assert re.search(r"one of: (.*)", CHECKS[key]("")).group(1).split(", ") == register.names(kind)
    for name in register.names(kind):
        assert CHECKS[key](name) is None
        assert callable(register.get(kind, name))


def test_every_network_and_data_set_has_its_yaml_and_the_other_way_round() -> None:
    assert sorted(register.names("network")) == group_options("arch")
    assert sorted(register.names("dataset")) == group_options("data")
    for group, kind in (("arch", "network"), ("data", "dataset")):
        for name in register.names(kind):
            fixed = register.attributes(kind, name).get("image_size")
            assert load_group_option(group, name)["image_size"] == (fixed or 32)


def test_every_key_of_a_loss_may_be_set_on_every_loss(compose_config: Compose) -> None:
    for name in group_options("loss"):
        options = load_group_option("loss", name)
        assert options.keys() == {each.name for each in fields(LossConfig)}, name
    config = compose_config(
        "loss=rsgan", "loss.estimator=mvue", "loss.penalty=r1", "loss.penalty_weight=0.5", "data.flip=true"
    )
    assert (config.loss.estimator, config.loss.penalty, config.loss.penalty_weight) == ("mvue", "r1", 0.5)
    assert config.data.flip
    assert compose_config("loss=sgan", "loss.penalty=magan").loss.penalty_weight == 20


def test_every_key_of_optim_may_be_set_on_every_option() -> None:
    for name in group_options("optim"):
        assert load_group_option("optim", name).keys() == {each.name for each in fields(OptimConfig)}, name


def test_every_check_is_of_a_key_that_exists() -> None:
    assert set(CHECKS) <= set(known_keys())


def test_composing_imports_no_torch() -> None:
    code = (
        "import sys; from hydra import compose, initialize_config_dir; from rgan_bench.config.validate import *; "
        "from rgan_bench.config.identity import run_name; "
        "initialize_config_dir(str(config_dir()), version_base='1.3'); "
        "run_name(validate(compose('config'))); print('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


@pytest.mark.parametrize(
    ("size", "width", "pac", "fakes"), [(64, 64, 1, 10_000), (128, 64, 1, 10_000), (256, 32, 2, 2_000)]
)
def test_experiments_are_the_rows_of_table_3(
    size: int, width: int, pac: int, fakes: int, compose_config: Compose
) -> None:
    config = compose_config(f"experiment=cat{size}")
    assert (config.data.name, config.data.root, config.data.image_size) == (f"cat{size}", f"data/cat/{size}", size)
    assert (config.arch.name, config.arch.width, config.arch.pac) == (f"dcgan{size}", width, pac)
    assert (config.arch.batch_norm, config.arch.spectral_norm) == ("both", False)
    assert (config.optim.lr, config.optim.betas, config.optim.n_d) == (2e-4, [0.5, 0.999], 1)
    assert (config.fid.features, config.fid.every, config.fid.num_samples) == (["inception"], 10_000, fakes)
    assert (config.train.iterations, config.train.batch_size, config.fid.num_real) == (100_000, 32, None)
    for loss in ("sgan", "lsgan", "rasgan", "hinge"):
        wanted = 64 if size == 64 and loss in ("sgan", "lsgan") else 32  # as the author's script does
        assert compose_config(f"experiment=cat{size}", f"loss={loss}").train.batch_size == wanted
    assert compose_config(f"experiment=cat{size}", "loss=sgan", "train.batch_size=8").train.batch_size == 8


# What is refused, and what the line says: key, value, remedy.
REFUSED = [
    ("optim.lr=-1", r"optim\.lr=-1\.0: must be a number above 0"),
    ("optim.lr=0", r"optim\.lr=0\.0: must be"),
    ("optim.lr=nan", r"optim\.lr=nan: must be"),
    ("optim.lr=inf", r"optim\.lr=inf: must be"),
    ("optim.lr=fast", r"optim\.lr=fast: must be a number"),
    ("optim.betas=[0.5,1.0]", r"optim\.betas=\[0\.5,1\.0\]: each must be at least 0 and below 1"),
    ("optim.betas=[-0.1,0.9]", r"optim\.betas=\[-0\.1,0\.9\]: each"),
    ("optim.betas=[0.5]", r"optim\.betas=\[0\.5\]: must be two numbers"),
    ("optim.betas=0.5", r"optim\.betas=0\.5: must be a list"),
    ("optim.n_d=0", r"optim\.n_d=0: must be at least 1"),
    ("train.batch_size=0", r"train\.batch_size=0: must be at least 1"),
    ("train.batch_size=2.5", r"train\.batch_size=2\.5: must be an integer"),
    ("train.iterations=1e5", r"train\.iterations=100000\.0: must be an integer; write 100000"),
    ("train.iterations=many", r"train\.iterations=many: must be an integer"),
    ("train.iterations=null", r"train\.iterations=null: must be an integer"),
    ("train.sample_every=0", r"train\.sample_every=0: must be at least 1, or null for never"),
    ("fid.every=0", r"fid\.every=0: must be at least 1, or null for never"),
    ("fid.num_samples=1", r"fid\.num_samples=1: must be at least 2"),
    ("fid.num_real=1", r"fid\.num_real=1: must be at least 2, or null for all"),
    ("fid.features=[]", r"fid\.features=\[\]: must name at least one"),
    ("fid.features=[pixels,pixels]", r"fid\.features=\[pixels,pixels\]: names one twice"),
    ("fid.features=incepton", r"fid\.features=\[incepton\]: did you mean inception\?"),
    ("fid.batch_norm=none", r"fid\.batch_norm=none: one of: batch, running"),
    ("arch.width=0", r"arch\.width=0: must be at least 1"),
    ("arch.spectral_norm=maybe", r"arch\.spectral_norm=maybe: must be true or false"),
    ("arch.batch_norm=all", r"arch\.batch_norm=all: one of: generator, both, none"),
    ("arch.activation=relu", r"arch\.activation=relu: one of: default, tanh"),
    ("arch.name=biggan", r"arch\.name=biggan: .*cnn32, dcgan64"),
    ("loss.comparison=paired", r"loss\.comparison=paired: did you mean pair\?"),
    ("loss=ralsgan loss.estimator=mvue", r"loss\.estimator=mvue: takes all pairs, and loss\.comparison=average makes"),
    ("loss=rahinge loss.estimator=unbiased", r"loss\.estimator=unbiased: is known for loss\.function=least_squares"),
    (
        "loss=ralsgan loss.estimator=unbiased train.batch_size=1",
        r"loss\.estimator=unbiased: .* set train\.batch_size=2 or more",
    ),
    ("loss.penalty=r3", r"loss\.penalty=r3: did you mean r2\? one of: none, gp, "),
    ("loss.penalty_weight=-1", r"loss\.penalty_weight=-1: must be a number of at least 0"),
    ("loss.penalty_weight=much", r"loss\.penalty_weight=much: must be a number, or null, or a list"),
    ("loss.penalty=[gp,r3]", r"loss\.penalty=\[gp,r3\]: did you mean r2\?"),
    ("loss.penalty=[gp,gp]", r"loss\.penalty=\[gp,gp\]: names one twice"),
    ("loss.penalty=[none,gp]", r"loss\.penalty=\[none,gp\]: .* to have none, set loss\.penalty=none"),
    ("loss.penalty=[]", r"loss\.penalty=\[\]: must name at least one"),
    ("loss.penalty=5", r"loss\.penalty=5: must be a name, or a list of names"),
    ("loss.penalty=[gp,r1] loss.penalty_weight=3", r"loss\.penalty_weight=3: must be as many as loss\.penalty=\[gp,r1"),
    ("loss.penalty=gp loss.penalty_norm=l3", r"loss\.penalty_norm=l3: did you mean l2\? one of: l1, l2, linf"),
    ("loss.penalty=gp loss.penalty_points=[real,real]", r"loss\.penalty_points=\[real,real\]: .* each once"),
    ("loss.penalty=gp loss.penalty_points=reals", r"loss\.penalty_points=\[reals\]: did you mean real\?"),
    ("loss.penalty=lecam loss.penalty_norm=l1", r"loss\.penalty_norm=l1: loss\.penalty=lecam has no such part"),
    ("loss.penalty_shape=square", r"loss\.penalty_shape=square: loss\.penalty=none has no such part"),
    ("loss.penalty=[gp,r1] loss.penalty_norm=l1", r"loss\.penalty_norm=l1: of which one of loss\.penalty=\[gp,r1\]"),
    ("ema.half_life=-1", r"ema\.half_life=-1\.0: must be a number of at least 0"),
    ("optim.lr_generator=0", r"optim\.lr_generator=0\.0: must be a number above 0"),
    ("schedule.lr.to=0 schedule.lr.end=9", r"schedule\.lr\.to=0\.0: must be a number above 0"),
    ("schedule.beta2.to=1 schedule.beta2.end=9", r"schedule\.beta2\.to=1\.0: must be at least 0 and below 1"),
    ("schedule.lr.to=1e-5", r"schedule\.lr\.to=1e-05: from which iteration on\? Set schedule\.lr\.end too"),
    ("schedule.lr.end=9", r"schedule\.lr\.end=9: of a schedule that leads nowhere; set schedule\.lr\.to too"),
    (
        "schedule.lr.to=1e-5 schedule.lr.start=9 schedule.lr.end=5",
        r"schedule\.lr\.end=5: the schedule ends before it starts \(schedule\.lr\.start=9\); set .*=10 or more",
    ),
    ("schedule.lr.to=1e-5 schedule.lr.end=9 schedule.lr.shape=s", r"schedule\.lr\.shape=s: one of: cosine, linear"),
    ("schedule.penalty_weight.to=1 schedule.penalty_weight.end=9", r"needs one penalty, and there is loss\.penalty"),
    ("schedule.lr=cosine", r"schedule\.lr=cosine: it has no value, but keys of its own: schedule\.lr\.end, schedule"),
    ("fid=3", r"fid=3: it has no value, but keys of its own: fid\.batch_norm, "),
    ("loss.name=../../x", r"loss\.name=\.\./\.\./x: becomes part of a folder's name"),
    ("data.name=../../x", r"data\.name=\.\./\.\./x: one of: cat64, .*, folder, ring8, grid25"),
    ("data.image_size=64", r"data\.image_size=64: data=cifar10 is 32×32 only"),
    ("data=demo data.image_size=64", r"data\.image_size=64: arch=cnn32 makes images of 32×32; set data\.image_size=32"),
    ("arch.image_size=64", r"arch\.image_size=64: arch=cnn32 is 32×32 only"),
    ("data=demo data.num_images=1", r"data\.num_images=1: must be at least 2"),
    ("data=folder", r"data\.root: has no value; set data\.root=… \(a folder or a \.zip of images\)"),
    ("data=folder data.root=x data.on_corrupt=ignore", r"data\.on_corrupt=ignore: one of: error, skip"),
    ("seed=-1", r"seed=-1: must be at least 0"),
    ("seed=null", r"seed=null: must be an integer"),
    ("device=gpu", r"device=gpu: must be auto, cpu, cuda or cuda:N"),
    ("output_root=''", r"output_root=: must not be empty"),
    ("accelerate=fast", r"accelerate=fast: did you mean auto\? one of: auto, none, layout, graphs, compile"),
    ("accelerate=compile loss.penalty=[lecam,r1]", r"accelerate=compile: loss\.penalty=r1 differentiates twice"),
    ("accelerate=compile loss=wgangp", r"accelerate=compile: loss\.penalty=gp differentiates twice"),
    ("+train.stpes=3", r"train\.stpes=3: there is no key train\.stpes; did you mean train\."),
    ("+optm.lr=3", r"optm.*there is no key optm; did you mean optim\?"),
    ("+data.rooot=x", r"data\.rooot=x: there is no key data\.rooot; did you mean data\.root\?"),
    ("optim.lr=${nope}", r"nope"),
]  # fmt: skip


@pytest.mark.parametrize(("overrides", "message"), REFUSED, ids=[overrides for overrides, _ in REFUSED])
def test_refused(overrides: str, message: str, compose_config: Compose) -> None:
    with pytest.raises(UserError, match=message) as refusal:
        compose_config(*overrides.split())
    assert "\n" not in str(refusal.value)


def test_zero_is_a_value_and_null_means_absent(compose_config: Compose) -> None:
    config = compose_config("seed=0", "fid.every=null", "train.sample_every=null", "loss.penalty_weight=0")
    assert (config.seed, config.fid.every, config.train.sample_every, config.loss.penalty_weight) == (0, None, None, 0)


def test_one_training_has_one_name_however_it_is_written(compose_config: Compose) -> None:
    def name(*overrides: str) -> str:
        return run_name(compose_config("loss=wgangp", *overrides))

    for same in (
        "loss.penalty=[gp]",
        "loss.penalty_weight=10",
        "loss.penalty_weight=[10.0]",
        "optim.lr_generator=null",
    ):
        assert name(same) == name()
    others = [
        ("loss.penalty=[gp,r1]",), ("loss.penalty=[gp,r1]", "loss.penalty_weight=[10,1]"), ("loss.penalty_norm=l1",),
        ("loss.penalty_points=real",), ("loss.penalty_shape=square",), ("loss.penalty_reduce=max",),
        ("optim.lr_generator=1e-3",), ("optim.lr_discriminator=1e-3",), ("ema.half_life=100",),
        ("schedule.lr.to=1e-5", "schedule.lr.end=9"), ("schedule.lr.to=1e-5", "schedule.lr.end=8"),
        ("schedule.lr.to=1e-5", "schedule.lr.end=9", "schedule.lr.start=1"),
        ("schedule.lr.to=1e-5", "schedule.lr.end=9", "schedule.lr.shape=linear"),
    ]  # fmt: skip
    assert len({name(), *(name(*other) for other in others)}) == len(others) + 1
    assert compose_config("loss.penalty=[gp,lecam,r1]", "loss.penalty_weight=[1,null,2]").loss.penalty_weight == [
        1,
        0.3,
        2,
    ]
    assert compose_config("accelerate=compile").accelerate == "compile"
    assert compose_config("accelerate=compile", "loss.penalty=[ar1r2,lecam]").loss.penalty_weight == [1000, 0.3]


def test_one_extractor_needs_no_brackets(compose_config: Compose) -> None:
    assert compose_config("fid.features=pixels").fid.features == ["pixels"]


def test_a_typo_in_a_user_s_yaml_is_found(compose_config: Compose) -> None:
    composed = OmegaConf.create({"train": {"itertions": 3}})
    whole = OmegaConf.merge(OmegaConf.load(config_dir() / "config.yaml"), composed)
    for group, option in (("loss", "sgan"), ("arch", "cnn32"), ("data", "demo"), ("optim", "stable")):
        whole[group] = OmegaConf.load(config_dir() / group / f"{option}.yaml")
    for meta in ("defaults", "hydra"):
        del whole[meta]
    with pytest.raises(UserError, match=r"train\.itertions=3: .*did you mean train\.iterations\?"):
        validate(whole)


def test_validated_configs_pass_again(compose_config: Compose) -> None:
    """What a checkpoint or a result.json holds composes to the same config."""
    from dataclasses import asdict

    config = compose_config("data=demo", "seed=3", "fid.features=pixels")
    assert validate(OmegaConf.create(asdict(config))) == config
