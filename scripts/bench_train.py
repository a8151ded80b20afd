"""Training speed, side by side: a loop in the style of 2018, ours with nothing that makes it faster, ours as it ships.

    python scripts/bench_train.py --arch cnn32 --loss rasgan --batch 32

(a) reference: what the script of arXiv 1807.00734 does: images one by one from the host through PIL and torchvision's
    transforms, in the training process; contiguous tensors; PyTorch's older spectral norm; Adam one tensor at a time.
(b) plain: accelerate=none. (c) ships: accelerate=auto. Both with the data set on the device. --beside adds (c) under
other settings, of which the layout and how many algorithms cuDNN tries are the bench's own:

    python scripts/bench_train.py --only ships --beside precision=bfloat16 --beside layout=contiguous

On a CPU each runs in a process of its own, which waits while another is timed; on a GPU, where a start takes seconds,
those of one precision and one limit share one. Rounds alternate, in changing order. Shown are medians over the rounds,
with the slowest and the fastest; ratios, to the first loop, are taken within each round, so that a machine whose speed
changes from one to the next does not change them.

"peak memory" is a process's, or what PyTorch took of a GPU for this loop. "GPU busy" is how long the GPU works on an
iteration, as a part of how long the iteration takes. Of a CUDA graph it is the time between events around its replay:
from the first kernel to the last, with the gaps between them, and with the launch where the GPU waits for it. Of other
loops it is the sum of all kernels in a short profile.

"of floor" is F / (R · t): t is the time of an iteration, R the rate of a large matrix product (the best of some) at
the precision of the loop's convolutions (TF32 on a GPU by default), and F the floating-point operations of one
iteration as torch.utils.flop_counter counts them in (c), 2 for a multiply-add. For networks of f_D and f_G a forward
pass, without a penalty, and a backward pass at twice its forward pass, that is about

    F = n_d · (f_G + 2 · 3 f_D) + 3 f_G + r f_D + 2 f_D - w,

where r is 1 if the generator's loss looks at reals and w what backward passes leave out: gradients that nobody asks
for, of inputs in first layers and of weights of the discriminator in the generator's step.
"""

import argparse
import json
import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from unittest.mock import patch

IMAGES = {32: 50_000, 64: 9304, 128: 6645, 256: 2011}  # CIFAR-10 and the sizes of CAT
NAMES = {"reference": "(a) reference", "plain": "(b) plain", "ships": "(c) ships"}
# Of --beside, what is no key of rgan-train: the layout of images and weights, torch.backends.cudnn.benchmark_limit.
LAYOUTS = ("channels_last", "contiguous")
CHOICES = {"layout": LAYOUTS[0], "benchmark_limit": "10"}


# --- the three loops --------------------------------------------------------------------------------------------------


def reference(config: Any, images: Any, device: Any, workers: int) -> Iterator[None]:
    """As the script of 2018 does it. The networks are ours, with the spectral norm that it took from PyTorch.

    Args:
        workers: loader processes. It has none: where training takes all cores they only disturb it.
    """
    import torch
    from PIL import Image
    from torch.nn.utils import parametrize
    from torch.utils.data import DataLoader, Dataset
    from torchvision import transforms

    from rgan_bench.gan.losses import loss_of
    from rgan_bench.gan.networks import build_networks

    class Photos(Dataset):
        pixels = images.permute(0, 2, 3, 1).contiguous().numpy()
        transform = transforms.Compose(
            [transforms.Resize(images.shape[2:]), transforms.ToTensor(), transforms.Normalize((0.5,) * 3, (0.5,) * 3)]
        )

        def __len__(self) -> int:
            return len(self.pixels)

        def __getitem__(self, index: int) -> Any:
            return self.transform(Image.fromarray(self.pixels[index]))

    batch, pac = config.train.batch_size, config.arch.pac
    forked = "fork" if workers else None
    loader = DataLoader(
        Photos(), batch * pac, shuffle=True, num_workers=workers, drop_last=True, multiprocessing_context=forked
    )

    def endless() -> Iterator[Any]:
        while True:
            yield from loader

    def packed(x: Any) -> Any:
        return x.reshape(batch, -1, *x.shape[2:])

    generator, discriminator = build_networks(config.arch, config.seed)
    for layer in [module for module in discriminator.modules() if parametrize.is_parametrized(module)]:
        parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
        torch.nn.utils.spectral_norm(layer)
    generator.to(device).train()
    discriminator.to(device).train()
    settings = {"lr": config.optim.lr, "betas": tuple(config.optim.betas), "foreach": False, "fused": False}
    generator_adam = torch.optim.Adam(generator.parameters(), **settings)
    discriminator_adam = torch.optim.Adam(discriminator.parameters(), **settings)
    loss = loss_of(config.loss)
    reals = endless()
    while True:
        for parameter in discriminator.parameters():
            parameter.requires_grad_(True)
        for _ in range(config.optim.n_d):
            discriminator.zero_grad()
            real = packed(next(reals).to(device))
            fake = packed(generator(torch.randn(batch * pac, config.arch.latent_dim).to(device))).detach()
            value = loss.discriminator(discriminator(real), discriminator(fake))
            value = value + loss.penalty(discriminator, real, fake, torch.rand(batch, 1, 1, 1).to(device))
            value.backward()
            discriminator_adam.step()
        for parameter in discriminator.parameters():
            parameter.requires_grad_(False)
        generator.zero_grad()
        fake = packed(generator(torch.randn(batch * pac, config.arch.latent_dim).to(device)))
        fake_logits = discriminator(fake)
        real_logits = discriminator(packed(next(reals).to(device))) if loss.needs_real_for_generator else None
        loss.generator(real_logits, fake_logits).backward()
        generator_adam.step()
        yield


def ours(config: Any, images: Any, device: Any, mode: str, layout: str = LAYOUTS[0]) -> Iterator[None]:
    import torch

    from rgan_bench.data.dataset import ImageDataset
    from rgan_bench.training.accelerate import Accelerator
    from rgan_bench.training.loop import train
    from rgan_bench.training.state import TrainState

    accelerator = Accelerator(mode, device, lambda text: print(text, file=sys.stderr))
    state = TrainState.new(config, device, **accelerator.of_state)
    if layout == "contiguous":
        state.memory_format = torch.contiguous_format
        for network in (*state.generators().values(), state.discriminator):
            network.to(memory_format=torch.contiguous_format)
    data = ImageDataset.from_images("noise", "noise", images).to(device)
    for _ in train(state, data, config, accelerator):
        yield


# --- what is measured, in one process or several ----------------------------------------------------------------------


def composed(overrides: list[str]) -> Any:
    """
    Raises:
        UserError: they are not settings of rgan-train.
    """
    from hydra import compose, initialize_config_dir
    from hydra.errors import HydraException

    from rgan_bench.config.validate import config_dir, validate
    from rgan_bench.errors import UserError, one_line

    try:
        with initialize_config_dir(str(config_dir()), version_base="1.3"):
            return validate(compose("config", overrides=[*overrides, "train.iterations=1000000000"]))
    except HydraException as error:
        raise UserError(one_line(error)) from error


def parted(text: str) -> tuple[list[str], dict[str, str]]:
    """Of --beside: overrides of rgan-train, and the bench's own choices.

    Raises:
        UserError: there is no such choice.
    """
    from rgan_bench.errors import UserError

    pairs = [part.partition("=") for part in text.split()]
    choices = CHOICES | {key: value for key, _, value in pairs if key in CHOICES}
    if choices["layout"] not in LAYOUTS:
        raise UserError(f"--beside layout={choices['layout']}: must be {' or '.join(LAYOUTS)}")
    if not choices["benchmark_limit"].isdecimal():
        raise UserError(
            f"--beside benchmark_limit={choices['benchmark_limit']}: must be a number, 0 for all algorithms"
        )
    return ["".join(pair) for pair in pairs if pair[0] not in CHOICES], choices


def loop_of(
    name: str, overrides: list[str], choices: dict[str, str], device_name: str, workers: int
) -> dict[str, Callable[..., Any]]:
    """One of the loops in this process, by what it can be asked: run(iterations) → seconds; warm_up(iterations);
    device_seconds(iterations) → of each; memory() → bytes; flops() → of an iteration; precision(); rate() → operations
    a second; machine() → what it is."""
    import torch

    from rgan_bench.training.devices import keep_freed_memory, resolve_device, set_numerics

    config = composed(overrides)
    device = resolve_device(device_name)
    precision = "tf32" if name == "reference" else config.precision
    set_numerics(False, precision)
    if device.type == "cpu" and precision == "tf32":
        precision = "float32"  # the same there
    torch.backends.cudnn.benchmark_limit = int(choices["benchmark_limit"])
    if name not in ("reference", "plain") and device.type == "cpu":
        keep_freed_memory()
    size = config.arch.image_size
    images = torch.randint(0, 256, (IMAGES[size], 3, size, size), dtype=torch.uint8)
    loop = (
        reference(config, images, device, workers)
        if name == "reference"
        else ours(config, images, device, "none" if name == "plain" else config.accelerate, choices["layout"])
    )  # built in its first iteration
    taken = 0

    def run(iterations: int) -> float:
        started = time.perf_counter()
        for _ in range(iterations):
            next(loop)
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - started

    def warm_up(iterations: int) -> None:
        nonlocal taken
        if device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            taken = -torch.cuda.memory_reserved()
        run(iterations)
        if device.type == "cuda":
            taken += torch.cuda.max_memory_reserved()

    return {
        "run": run,
        "warm_up": warm_up,
        "device_seconds": partial(device_seconds, run),
        "memory": lambda: taken or memory_of_process(),
        "flops": lambda: count_flops(config, images, device),
        "precision": lambda: precision,
        "rate": lambda: matrix_rate(device, precision),
        "machine": lambda: machine(device_name),
    }


def worker(pipe: Connection, settings: dict[str, Any]) -> None:
    """Runs the loops that `settings` names; obeys (loop, request, argument …)."""
    loops = {name: loop_of(name, *each) for name, each in settings.items()}
    with suppress(EOFError):  # the bench itself was ended
        while True:
            name, request, *rest = pipe.recv()
            pipe.send(loops[name][request](*rest))


def count_flops(config: Any, images: Any, device: Any) -> float:
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils.flop_counter import flop_registry

    class Counter(TorchDispatchMode):
        """With the formulas of FlopCounterMode, whose hooks on modules do not bear a gradient penalty."""

        total = 0

        def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = operation(*args, **(kwargs or {}))
            if operation._overloadpacket in flop_registry:
                self.total += flop_registry[operation._overloadpacket](*args, **(kwargs or {}), out_val=result)
            return result

    loop = ours(config, images[: config.train.batch_size * config.arch.pac * 4], device, "none")
    next(loop)
    with Counter() as counter:
        next(loop)
    return counter.total


def matrix_rate(device: Any, precision: str) -> float:
    """Floating-point operations a second of the fastest of some large products, at the precision of convolutions.

    On a CPU a product is also taken as a convolution of 1×1: another library computes it, and on some the faster one.
    """
    import torch
    from torch.nn.functional import conv2d

    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32
    best = 0.0
    for size in (1024, 2048, 4096) if device.type == "cpu" else (4096, 8192):
        kind = torch.bfloat16 if precision == "bfloat16" else torch.float32
        one, two = torch.randn(2, size, size, device=device).to(kind)
        products = [lambda one=one, two=two: one @ two]
        if device.type == "cpu":
            pixels = one.view(16, size // 512, 32, size).permute(0, 3, 1, 2)  # channels last, as it lies
            products.append(lambda pixels=pixels, weight=two[:, :, None, None]: conv2d(pixels, weight))
        for product in products * 6:
            started = time.perf_counter()
            product()
            if device.type == "cuda":
                torch.cuda.synchronize()
            best = max(best, 2 * size**3 / (time.perf_counter() - started))
    torch.backends.cuda.matmul.allow_tf32 = before
    return best


def device_seconds(run: Callable[[int], float], iterations: int) -> float:
    """How long a GPU works on an iteration (see above)."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    replay, replays = torch.cuda.CUDAGraph.replay, []

    def timed(graph: Any) -> None:
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        replay(graph)
        end.record()
        replays.append((begin, end))

    with patch.object(torch.cuda.CUDAGraph, "replay", timed):
        run(iterations)
    if replays:
        return sum(begin.elapsed_time(end) for begin, end in replays) / 1e3 / iterations
    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        run(iterations)
    return sum(event.self_device_time_total for event in profiler.key_averages()) / 1e6 / iterations


def memory_of_process() -> int:
    """Peak bytes; its loader workers come on top."""
    own, children = (
        resource.getrusage(who).ru_maxrss * 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return own + children


# --- the bench --------------------------------------------------------------------------------------------------------


def bench(arguments: argparse.Namespace) -> dict[str, Any]:
    overrides = [
        f"arch={arguments.arch}", f"loss={arguments.loss}", f"train.batch_size={arguments.batch}",
        "data=folder", "data.root=none", "data.image_size=${arch.image_size}", *arguments.override,
    ]  # fmt: skip
    loops = {name: parted("") for name in arguments.only or NAMES}
    loops |= {text: parted(text) for text in arguments.beside}
    groups: dict[Any, dict[str, Any]] = {}
    for name, (more, choices) in loops.items():
        config = composed([*overrides, *more])  # a mistake shows here, and not in each of the processes
        process_wide = ("tf32" if name == "reference" else config.precision, choices["benchmark_limit"])
        settings = ([*overrides, *more], choices, arguments.device, arguments.workers)
        groups.setdefault(process_wide if arguments.device.startswith("cuda") else name, {})[name] = settings
    pipes, processes = {}, []
    context = multiprocessing.get_context("spawn")

    def ask(name: str, *request: Any) -> Any:
        pipes[name].send((name, *request))
        return pipes[name].recv()

    try:
        for group in groups.values():
            pipe, other = context.Pipe()
            pipes |= dict.fromkeys(group, pipe)
            processes.append(context.Process(target=worker, args=(other, group)))
            processes[-1].start()
            other.close()  # so that a worker's end is noticed
        return measure(arguments, list(loops), ask)
    finally:
        for process in processes:
            process.kill()


def measure(arguments: argparse.Namespace, names: list[str], ask: Callable[..., Any]) -> dict[str, Any]:
    counting = "ships" if "ships" in names else names[0]
    flops = ask(counting, "flops")
    precisions = {name: ask(name, "precision") for name in names}
    measuring = {precision: name for name, precision in precisions.items()}
    rates: dict[str, list[float]] = {precision: [] for precision in measuring}
    seconds: dict[str, list[float]] = {name: [] for name in names}
    each = {}
    for name in names:
        ask(name, "warm_up", arguments.warm_up)
        one = ask(name, "run", 3) / 3
        each[name] = max(1, round(arguments.seconds / one))
    for number in range(arguments.rounds):
        for precision, name in measuring.items():  # in every round: the machine's speed may change from one to the next
            rates[precision].append(ask(name, "rate"))
        for name in names if number % 2 == 0 else names[::-1]:
            seconds[name].append(ask(name, "run", each[name]) / each[name])
    working = {}
    if arguments.device.startswith("cuda"):
        for name in names[::-1]:  # (c) before anything is profiled
            working[name] = ask(name, "device_seconds", 20)
    rows = {}
    for name in names:
        typical = statistics.median(seconds[name])
        rows[name] = {
            "iterations_per_second": 1 / typical,
            "slowest": 1 / max(seconds[name]),
            "fastest": 1 / min(seconds[name]),
            "of_floor": statistics.median(
                flops / (r * t) for r, t in zip(rates[precisions[name]], seconds[name], strict=True)
            ),
            "peak_memory": ask(name, "memory"),
        }
        if working.get(name):  # without the right to profile there are no kernels
            rows[name]["gpu_busy"] = working[name] / typical
    first = next(iter(seconds.values()))
    for name, row in rows.items():
        row["ratio"] = statistics.median(a / t for a, t in zip(first, seconds[name], strict=True))
    return {
        "settings": {name: value for name, value in vars(arguments).items() if name != "json"},
        "flops": flops,
        "matrix_rates": rates,
        "rows": rows,
        **ask(counting, "machine"),
    }


def machine(device: str) -> dict[str, Any]:
    import torch

    from rgan_bench.training.devices import device_title, resolve_device

    return {
        "device": device_title(resolve_device(device)),
        "torch": torch.__version__,
        "python": sys.version.split()[0],
    }


def show(report: dict[str, Any]) -> None:
    settings = report["settings"]
    more = " ".join(settings["override"])
    print(f"{settings['arch']}, {settings['loss']}, batch {settings['batch']} {more}".strip())
    rates = [f"{statistics.median(each) / 1e9:,.0f} ({name})" for name, each in report["matrix_rates"].items()]
    print(
        f"{report['device']}, torch {report['torch']}; {report['flops'] / 1e9:.1f} GFLOP an iteration, "
        f"matrix rate {', '.join(rates)} GFLOP/s"
    )
    titles = NAMES | {text: f"({chr(ord('d') + index)}) {text}" for index, text in enumerate(settings["beside"])}
    first = titles[next(iter(report["rows"]))]
    header = ("", "it/s", "slowest", "fastest", f"to {first[:3]}", "of floor", "peak memory", "GPU busy")
    rows = [header]
    for name, row in report["rows"].items():
        numbers = [f"{row[key]:.4g}" for key in ("iterations_per_second", "slowest", "fastest")]
        ratio = f"{row['ratio']:.2f}"
        percent = [f"{row['of_floor']:.0%}", f"{row['peak_memory'] / 1e6:,.0f} MB"]
        rows.append((titles[name], *numbers, ratio, *percent, f"{row['gpu_busy']:.0%}" if "gpu_busy" in row else ""))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
        print("  ".join((row[0].ljust(widths[0]), *cells)).rstrip())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("override", nargs="*", help="further KEY=VALUE of rgan-train, as in optim.n_d=5")
    add("--arch", default="cnn32")
    add("--loss", default="rasgan")
    add("--batch", type=int, default=32)
    add("--device", default="auto")
    add("--rounds", type=int, default=5)
    add("--seconds", type=float, default=4.0, help="of each loop in each round")
    add("--warm-up", type=int, default=3, help="iterations before the first round")
    add("--workers", type=int, default=0, help="loader processes of (a), of which the script has none")
    add("--only", nargs="*", choices=NAMES, help="some of the loops")
    add(
        "--beside", metavar="KEY=VALUE …", action="append", default=[],
        help="a further loop: (c) under these settings; besides keys of rgan-train, layout=contiguous (or "
        "channels_last) and benchmark_limit=N (algorithms of cuDNN tried, 0: all)",
    )  # fmt: skip
    add("--json", type=Path, metavar="FILE")
    arguments = parser.parse_intermixed_args()
    if arguments.device == "auto":
        from rgan_bench.training.devices import resolve_device

        arguments.device = str(resolve_device("auto"))
    from rgan_bench.errors import shown_as_one_line

    with shown_as_one_line("bench_train"):
        report = bench(arguments)
    show(report)
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2, default=str) + "\n")


if __name__ == "__main__":
    main()
