"""The steps against the same step written without the house's parts, and what the loop draws."""

import random
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from rgan_bench.config.schema import Config
from rgan_bench.config.validate import group_options
from rgan_bench.data.dataset import ImageDataset
from rgan_bench.data.load import load_data
from rgan_bench.gan.losses import get_loss
from rgan_bench.gan.penalties import Penalties
from rgan_bench.gan.steps import discriminator_step, generator_step, pack
from rgan_bench.scoring.sampling import sample
from rgan_bench.training.loop import train
from rgan_bench.training.state import TrainState

CPU = torch.device("cpu")
Tiny = Callable[..., Config]


def trained(config: Config, iterations: int, state: TrainState | None = None) -> TrainState:
    state = state or TrainState.new(config, CPU)
    config.train.iterations = iterations
    for _ in train(state, load_data(config.data, config.limits), config):
        pass
    return state


def tensors_of(value: object) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        return [tensor for item in value.values() for tensor in tensors_of(item)]
    if isinstance(value, (list, tuple)):
        return [tensor for item in value for tensor in tensors_of(item)]
    return []


def assert_same_state(one: TrainState, two: TrainState) -> None:
    first, second = tensors_of(one.state_dict()), tensors_of(two.state_dict())
    assert len(first) == len(second) > 50
    for a, b in zip(first, second, strict=True):
        assert torch.equal(a, b)


DCGAN = ("data.image_size=64", "arch=dcgan64", "arch.width=2", "arch.pac=2")
SETUPS = {
    "rasgan": (),
    "wgangp": ("loss=wgangp", "optim.n_d=3"),
    "dcgan with pac 2": (*DCGAN, "train.batch_size=4"),
    "average, schedules, memory and noise": (
        *("loss=rsgan", "loss.penalty=[r1,lecam,dragan,ar1r2]", "ema.half_life=20", "schedule.half_life.to=5"),
        *("schedule.half_life.end=4", "schedule.lr.to=1e-5", "schedule.lr.end=3", "schedule.beta2.to=0.9"),
        *("schedule.beta2.end=4", "optim.lr_discriminator=1e-3"),
    ),
    "unstable": ("arch.spectral_norm=false", "arch.batch_norm=both", "loss=hinge"),
}


@pytest.mark.parametrize("overrides", SETUPS.values(), ids=SETUPS)
def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit(overrides: tuple[str, ...], tiny_config: Tiny) -> None:
    config = tiny_config(*overrides)
    whole = trained(config, 5)
    saved = trained(config, 2).state_dict()
    resumed = TrainState.new(config, CPU)
    resumed.load_state_dict(saved)
    assert_same_state(trained(config, 5, resumed), whole)


@pytest.mark.parametrize("case", range(8))
def test_resuming_is_bitwise_for_odd_shapes_too(case: int, tiny_config: Tiny) -> None:
    """Kernels choose by alignment: `arch.latent_dim=5 train.batch_size=3` from 5 to 16 differed from 0 to 16."""
    chance = random.Random(case)
    shapes = {
        "arch.latent_dim": chance.choice((1, 3, 5, 7, 13, 33)),
        "train.batch_size": chance.choice((1, 2, 3, 5, 7)),
        "arch.width": chance.randint(1, 7),
        "arch.pac": chance.choice((1, 1, 2, 3)),
        "optim.n_d": chance.choice((1, 1, 2)),
        "loss": chance.choice(("sgan", "rasgan", "wgangp", "rsgan_gp")),
    }
    settings = [f"{key}={value}" for key, value in shapes.items()]
    stop = chance.randint(1, 34)  # within the first block of draws, and beyond it
    config = tiny_config("arch.latent_dim=5", "train.batch_size=3", *(settings if case else ()), "train.iterations=36")
    resumed = TrainState.new(config, CPU)
    resumed.load_state_dict(trained(config, stop).state_dict())
    assert_same_state(trained(config, 36, resumed), trained(config, 36))


@pytest.mark.parametrize("norm", ["generator", "none"])
def test_the_average_is_that_of_the_weights_after_each_iteration(norm: str, tiny_config: Tiny) -> None:
    """Recomputed in float64; an iteration takes batch_size × pac images. Turning it on changes nothing else."""
    config = tiny_config("ema.half_life=50", "arch.pac=2", f"arch.batch_norm={norm}", "train.iterations=6")
    state, without = TrainState.new(config, CPU), TrainState.new(config, CPU)
    without.ema = None
    beta = 0.5 ** (8 * 2 / 50)
    wanted = {key: value.double().clone() for key, value in state.generator.state_dict().items()}
    data, parameters = load_data(config.data, config.limits), dict(state.generator.named_parameters())
    for _ in train(state, data, config):
        for key, value in state.generator.state_dict().items():
            mean = beta * wanted[key] + (1 - beta) * value.double()
            wanted[key] = mean if key in parameters else value.double()  # running statistics are taken over
    for key, value in state.ema.state_dict().items():
        torch.testing.assert_close(value.double(), wanted[key], rtol=1e-5, atol=1e-7)
    assert not torch.equal(state.ema.project.weight, state.generator.project.weight)
    trained(config, 6, without)
    saved = state.state_dict()
    del saved["generator_ema"]
    assert set(saved) == set(without.state_dict())
    pairs = zip(tensors_of(saved), tensors_of(without.state_dict()), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("name", ["rasgan", "sgan", "rsgan_gp"])
def test_steps_are_adam_on_the_losses(name: str, tiny_config: Tiny) -> None:
    """The same two steps with plain PyTorch: fresh forward passes, full backward, unfused Adam."""
    config = tiny_config(f"loss={name}")
    loss = get_loss(name)
    ours, plain = TrainState.new(config, CPU), TrainState.new(config, CPU)
    for network in (ours.generator, ours.discriminator, plain.generator, plain.discriminator):
        network.double()  # Adam's first step is the sign of the gradient: rounding must not decide it
    generator = torch.Generator().manual_seed(0)
    real = torch.rand(8, 3, 32, 32, generator=generator).double() * 2 - 1
    z, u = (draw.double() for draw in (torch.randn(2, 8, 128, generator=generator), torch.rand(8, 1, 1, 1)))
    measured = discriminator_step(ours, loss, real, z[0], u)
    measured |= generator_step(ours, loss, real if loss.needs_real_for_generator else None, z[1])

    def adam(network: torch.nn.Module) -> torch.optim.Adam:
        return torch.optim.Adam(network.parameters(), lr=2e-4, betas=(0.5, 0.999))

    discriminator_adam, generator_adam = adam(plain.discriminator), adam(plain.generator)
    fake = plain.generator(z[0]).detach()
    real_logits, fake_logits = plain.discriminator(real), plain.discriminator(fake)
    value = loss.discriminator(real_logits, fake_logits)
    penalised = value + loss.penalty(plain.discriminator, real, fake, u)
    discriminator_adam.zero_grad()
    penalised.backward()
    norm = torch.cat([p.grad.flatten() for p in plain.discriminator.parameters()]).norm()
    discriminator_adam.step()
    torch.testing.assert_close(measured["loss/discriminator"], value.detach())
    torch.testing.assert_close(measured["loss/penalty"], (penalised - value).detach())
    torch.testing.assert_close(measured["logits/real"], real_logits.detach().mean())
    torch.testing.assert_close(measured["logits/fake"], fake_logits.detach().mean())
    torch.testing.assert_close(measured["gradient_norm/discriminator"], norm)

    fake_logits = plain.discriminator(plain.generator(z[1]))
    value = loss.generator(plain.discriminator(real) if loss.needs_real_for_generator else None, fake_logits)
    generator_adam.zero_grad()
    value.backward()
    generator_adam.step()
    torch.testing.assert_close(measured["loss/generator"], value.detach())
    for a, b in zip(ours.discriminator.parameters(), plain.discriminator.parameters(), strict=True):
        torch.testing.assert_close(a, b)
    for key, wanted in plain.generator.state_dict().items():
        torch.testing.assert_close(ours.generator.state_dict()[key], wanted)


@pytest.mark.parametrize(
    ("overrides", "passes"),
    [
        (("loss=sgan",), 3),  # real, fake; fake
        (("loss=rasgan",), 4),  # real, fake; fake, real
        (("loss=rasgan", "optim.n_d=3"), 8),
        (("loss=wgangp",), 4),  # real, fake, mixed; fake
        (("loss=rsgan", "loss.penalty=r1r2"), 4),  # real, fake; fake, real: the penalty takes the logits that are there
        (("loss=rsgan", "loss.penalty=[r1,r2,lecam]"), 4),
        (("loss=rsgan", "loss.penalty=[gp,magan]"), 5),  # one at the points that both look at
        (("loss=rsgan", "loss.penalty=dragan"), 5),
        (("loss=rsgan", "loss.penalty=ar1r2"), 6),  # shifted reals, shifted fakes
        (("loss=rsgan", "loss.penalty=gp", "loss.penalty_points=[real,near]"), 5),
    ],
)
def test_power_iterations_are_as_many_as_separate_passes(
    overrides: tuple[str, ...], passes: int, tiny_config: Tiny
) -> None:
    config = tiny_config(*overrides, "train.iterations=1")
    state = TrainState.new(config, CPU)
    sizes = []
    state.discriminator.register_forward_hook(lambda module, inputs, output: sizes.append(len(inputs[0])))
    trained(config, 1, state)
    assert sizes == [8] * passes  # each pass holds one batch: never real and fake together


@pytest.mark.parametrize("loss", group_options("loss"))
@pytest.mark.parametrize("overrides", [("arch.pac=2",), DCGAN], ids=["cnn32", "dcgan64"])
def test_a_batch_of_verdicts_takes_pac_times_as_many_images(
    loss: str, overrides: tuple[str, ...], tiny_config: Tiny
) -> None:
    config = tiny_config(
        *overrides, f"loss={loss}", "train.batch_size=3", "train.iterations=1",
        f"arch.spectral_norm={loss == 'spectral_sgan'}",
    )  # fmt: skip
    state = TrainState.new(config, CPU)
    stacks, latents, size = [], [], config.arch.image_size
    state.discriminator.register_forward_hook(lambda module, inputs, output: stacks.append(inputs[0].shape))
    state.generator.register_forward_hook(lambda module, inputs, output: latents.append(inputs[0].clone()))
    (measured,) = train(state, load_data(config.data, config.limits), config)
    assert set(stacks) == {(3, 6, size, size)}
    assert [z.shape for z in latents] == [(6, 128), (6, 128)]
    assert not torch.equal(*latents)  # the generator's step draws anew
    assert all(torch.isfinite(value) for value in measured.values())


def test_stacks_are_of_neighbours() -> None:
    images = torch.arange(4 * 3 * 2 * 2).view(4, 3, 2, 2).float()
    stacked = pack(images, 2)
    assert stacked.shape == (2, 6, 2, 2)
    assert torch.equal(stacked[1, :3], images[2])
    assert torch.equal(stacked[1, 3:], images[3])
    assert pack(images, 1) is images


def test_the_gradient_penalty_is_on_stacks(tiny_config: Tiny) -> None:
    """One u and one norm a stack of two, not one an image."""
    config = tiny_config(*DCGAN, "loss=wgangp", "train.batch_size=3", "train.iterations=1")
    seen = []

    class Watch(Penalties):
        def __call__(
            self, discriminator: object, real: torch.Tensor, fake: torch.Tensor, u: torch.Tensor, **others: object
        ) -> torch.Tensor:
            seen.append((real.shape, fake.shape, u.shape))
            return real.new_zeros(())

    watch = Watch()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rgan_bench.training.loop.loss_of", lambda config: replace(get_loss("wgangp"), penalty=watch))
        list(train(TrainState.new(config, CPU), load_data(config.data, config.limits), config))
    assert seen == [((3, 6, 64, 64), (3, 6, 64, 64), (3, 1, 1, 1))]


def test_draws_are_fresh_in_every_step_and_distinct_within_a_batch(tiny_config: Tiny) -> None:
    config = tiny_config("optim.n_d=2", "train.iterations=3")
    data = load_data(config.data, config.limits)
    drawn: list[list[int]] = []

    class Watched:
        images = data.images

        def __len__(self) -> int:
            return len(data)

        def batch(self, indices: torch.Tensor, memory_format: torch.memory_format) -> torch.Tensor:
            drawn.append(indices.tolist())
            return data.batch(indices, memory_format)

    for _ in train(TrainState.new(config, CPU), Watched(), config):
        pass
    assert len(drawn) == 3 * (2 + 1)
    assert all(len(set(batch)) == 8 for batch in drawn)
    assert len({tuple(batch) for batch in drawn}) == len(drawn)


def test_a_loss_that_looks_at_no_reals_draws_none_for_the_generator(tiny_config: Tiny) -> None:
    config = tiny_config("loss=sgan", "train.iterations=1")
    state, calls = TrainState.new(config, CPU), []
    data = load_data(config.data, config.limits)

    class Watched:
        images = data.images

        def __len__(self) -> int:
            return len(data)

        def batch(self, indices: torch.Tensor, memory_format: torch.memory_format) -> torch.Tensor:
            calls.append(indices)
            return data.batch(indices, memory_format)

    for _ in train(state, Watched(), config):
        pass
    assert len(calls) == 1


def test_training_moves_towards_the_data(tiny_config: Tiny) -> None:
    """A real, if small, run: images of one colour are learnt in a moment."""
    config = tiny_config("arch.width=4", "optim.lr=1e-3", "train.iterations=60")
    colour = torch.tensor([200, 30, 90], dtype=torch.uint8)
    data = ImageDataset.from_images("colour", "one colour", colour.view(1, 3, 1, 1).repeat(8, 1, 32, 32))
    state = TrainState.new(config, CPU)

    def distance() -> float:
        (images,) = sample(state.generator, 64, seed=0, purpose="test", batch_norm="batch", batch_size=64)
        return (images.double().mean(dim=(0, 2, 3)) - colour).norm().item()

    before = distance()
    for _ in train(state, data, config):
        pass
    assert distance() < before / 2


@pytest.mark.gpu
def test_a_gpu_trains_as_the_cpu_does(tiny_config: Tiny) -> None:
    config = tiny_config("train.iterations=2")
    cpu, gpu = TrainState.new(config, CPU), TrainState.new(config, torch.device("cuda"))
    data = load_data(config.data, config.limits)
    torch.backends.cudnn.allow_tf32 = False
    for _ in train(cpu, data, config):
        pass
    for _ in train(gpu, data.to(torch.device("cuda")), config):
        pass
    for a, b in zip(cpu.generator.parameters(), gpu.generator.parameters(), strict=True):
        torch.testing.assert_close(a, b.cpu(), rtol=1e-2, atol=1e-4)
