import copy
import json
import math
from collections.abc import Callable

import pytest
import torch

from rgan_bench.config.schema import Config, RampConfig
from rgan_bench.data.load import load_data
from rgan_bench.run.experiment import run_experiment
from rgan_bench.run.folder import RunFolder
from rgan_bench.training.adam import MovingBetas
from rgan_bench.training.loop import train
from rgan_bench.training.schedules import Dials, curve, curves_of
from rgan_bench.training.state import TrainState

CPU = torch.device("cpu")
Tiny = Callable[..., Config]


@pytest.mark.parametrize(
    ("shape", "quarter", "middle"), [("linear", 3.5, 3.0), ("cosine", 2 + 1 + math.cos(math.pi / 4), 3.0)]
)
def test_a_curve_goes_from_one_value_to_the_other(shape: str, quarter: float, middle: float) -> None:
    at = curve(4.0, RampConfig(to=2.0, start=100, end=140, shape=shape))
    assert [at(0), at(100), at(140), at(10**9)] == [4.0, 4.0, 2.0, 2.0]
    assert at(110) == pytest.approx(quarter)
    assert at(120) == pytest.approx(middle)


def test_r3gan_s_recipe(compose_config: Tiny) -> None:
    """Huang et al. 2024: everything moves over 20 million images, of 250."""
    config = compose_config("experiment=r3gan_cifar10")
    curves = curves_of(config)
    assert {name: at(0) for name, at in curves.items()} == {
        "lr": 2e-4, "beta2": 0.9, "penalty_weight": 0.05, "half_life": 0,
    }  # fmt: skip
    twenty_million = math.ceil(20e6 / config.train.batch_size)
    assert {name: at(twenty_million) for name, at in curves.items()} == {
        "lr": 5e-5, "beta2": 0.99, "penalty_weight": 0.005, "half_life": 5e6,
    }  # fmt: skip
    assert curves["lr"](twenty_million // 2) == pytest.approx(1.25e-4, rel=1e-3)
    assert curves["lr"](twenty_million - 1) != 5e-5
    assert config.train.iterations == math.ceil(250e6 / config.train.batch_size)
    assert (config.arch.width, config.optim.betas[0], config.loss.penalty) == (768, 0, "r1r2")


def test_the_step_reads_what_is_due(tiny_config: Tiny) -> None:
    config = tiny_config(
        "loss=wgangp", "optim.lr_discriminator=4e-4", "train.iterations=5", "ema.half_life=16",
        "schedule.lr.to=1e-4", "schedule.lr.start=1", "schedule.lr.end=3", "schedule.lr.shape=linear",
        "schedule.beta1.to=0", "schedule.beta1.end=2", "schedule.beta2.to=0.9", "schedule.beta2.end=4",
        "schedule.penalty_weight.to=1", "schedule.penalty_weight.end=3", "schedule.penalty_weight.shape=linear",
    )  # fmt: skip
    state = TrainState.new(config, CPU)
    seen = []
    for _ in train(state, load_data(config.data, config.limits), config):
        groups = [each.param_groups[0] for each in (state.generator_optimizer, state.discriminator_optimizer)]
        seen.append([*(group["lr"] for group in groups), *groups[0]["betas"]])
        assert groups[0]["betas"] == groups[1]["betas"]
    curves = curves_of(config)
    # 2e-4 → 1e-4 for the generator; the discriminator's own rate goes to its half too.
    assert [rates[0] for rates in seen] == pytest.approx([2e-4, 2e-4, 1.5e-4, 1e-4, 1e-4])
    assert [rates[1] for rates in seen] == pytest.approx([4e-4, 4e-4, 3e-4, 2e-4, 2e-4])
    assert [rates[2:] for rates in seen] == [[curves["beta1"](n), curves["beta2"](n)] for n in range(5)]
    dials = Dials(config, state)
    for iteration, weight in enumerate([10, 7, 4, 1, 1]):
        dials.set(iteration)
        assert dials.penalty_weight == pytest.approx(weight)
        assert dials.ema_weight == pytest.approx(1 - 0.5 ** (8 / 16))


def test_a_scheduled_weight_is_that_of_the_penalty(tiny_config: Tiny) -> None:
    """At the end of its way a run's step is that of the weight there."""
    ends = ("schedule.penalty_weight.to=3", "schedule.penalty_weight.end=1")
    one, other = (tiny_config("loss=wgangp", *more) for more in (ends, ("loss.penalty_weight=3",)))
    states = [TrainState.new(config, CPU) for config in (one, other)]
    for state, config in zip(states, (one, other), strict=True):
        state.iteration = 1  # past the end
        next(train(state, load_data(config.data, config.limits), config))
    for a, b in zip(states[0].discriminator.parameters(), states[1].discriminator.parameters(), strict=True):
        assert torch.equal(a, b)


def test_metrics_show_what_is_scheduled(tiny_config: Tiny) -> None:
    config = tiny_config(
        "schedule.lr.to=1e-4", "schedule.lr.end=4", "schedule.half_life.to=8", "schedule.half_life.end=2"
    )
    run_experiment(config)
    lines = [json.loads(line) for line in RunFolder.of(config).metrics.read_text().splitlines()]
    told = {line["iteration"]: line for line in lines if "schedule/lr" in line}
    curves = curves_of(config)
    assert {n: line["schedule/lr"] for n, line in told.items()} == {n: curves["lr"](n - 1) for n in (1, 2, 3, 4)}
    assert {n: line["schedule/half_life"] for n, line in told.items()} == {n: curves["half_life"](n - 1) for n in told}
    assert "schedule/beta1" not in told[1]


def test_checkpoints_hold_what_a_schedule_begins_with(tiny_config: Tiny) -> None:
    config = tiny_config("schedule.lr.to=1e-4", "schedule.lr.end=2", "schedule.beta1.to=0", "schedule.beta1.end=2")
    state = TrainState.new(config, CPU)
    for _ in train(state, load_data(config.data, config.limits), config):
        pass
    assert state.generator_optimizer.param_groups[0]["lr"] == 1e-4
    saved = state.state_dict()["generator_optimizer"]["param_groups"][0]
    assert (saved["lr"], saved["betas"]) == (2e-4, (0.5, 0.999))
    plain = tiny_config("optim.lr=1e-4")
    with pytest.raises(ValueError, match="has lr="):
        TrainState.new(plain, CPU).load_state_dict(state.state_dict())


def test_adam_with_moving_betas_is_adam() -> None:
    """PyTorch's with numbers, set anew before each step, against ours with tensors."""
    torch.manual_seed(0)
    ours = [torch.randn(3, 4).double().requires_grad_(True), torch.randn(5).double().requires_grad_(True)]
    theirs = copy.deepcopy(ours)
    plain = torch.optim.Adam(theirs, lr=1e-2, betas=(0.5, 0.9))
    moving = MovingBetas(ours, lr=1e-2, betas=(0.5, 0.9))
    (group,) = moving.param_groups
    group["betas"] = (torch.tensor(0.5).double(), torch.tensor(0.9).double())
    for step in range(6):
        betas, lr = (0.5 - 0.1 * step, 0.9 + 0.01 * step), 1e-2 / (1 + step)
        plain.param_groups[0] |= {"betas": betas, "lr": lr}
        group["lr"] = lr
        for dial, beta in zip(group["betas"], betas, strict=True):
            dial.fill_(beta)
        for parameter, same in zip(ours, theirs, strict=True):
            gradient = torch.randn_like(parameter)
            parameter.grad, same.grad = gradient.clone(), gradient.clone()
        ours[0].grad = theirs[0].grad = None if step == 3 else ours[0].grad
        plain.step()
        moving.step()
        for parameter, same in zip(ours, theirs, strict=True):
            torch.testing.assert_close(parameter, same)
    for parameter, same in zip(ours, theirs, strict=True):
        for name, value in plain.state[same].items():
            torch.testing.assert_close(moving.state[parameter][name].double(), value.double())
