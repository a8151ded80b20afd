"""What each penalty, the generator's average and schedules cost: iterations beside those of the plain loss.

    python scripts/bench_penalties.py --arch cnn32 --loss rsgan --batch 32

All loops live in one process and take turns; rounds alternate their order. Shown is the time of an iteration relative
to that without a penalty, taken within each round: the median, the smallest and the largest.
"""

import argparse
import statistics
import time
from collections.abc import Iterator
from typing import Any

OTHERS = {
    "[r1,lecam]": ("loss.penalty=[r1,lecam]",),
    "average": ("ema.half_life=10000",),
    "average, scheduled lr, beta2 and half-life": (
        *("schedule.lr.to=1e-5", "schedule.beta2.to=0.9", "schedule.half_life.to=10000"),
        *(f"schedule.{name}.end=100000" for name in ("lr", "beta2", "half_life")),
    ),
}


def loop(overrides: list[str], images: Any, device: Any) -> Iterator[Any]:
    from rgan_bench.data.dataset import ImageDataset
    from rgan_bench.training.accelerate import Accelerator
    from rgan_bench.training.loop import train
    from rgan_bench.training.state import TrainState
    from scripts.bench_train import composed

    config = composed(overrides)
    accelerator = Accelerator(config.accelerate, device)
    state = TrainState.new(config, device, **accelerator.of_state)
    return train(state, ImageDataset.from_images("noise", "noise", images).to(device), config, accelerator)


def timed(iterations: Iterator[Any], count: int, device: Any) -> float:
    import torch

    started = time.perf_counter()
    for _ in range(count):
        next(iterations)
    if device.type == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - started) / count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("override", nargs="*", help="further KEY=VALUE of rgan-train, as in arch.width=16")
    add("--arch", default="cnn32")
    add("--loss", default="rsgan")
    add("--batch", type=int, default=32)
    add("--device", default="auto")
    add("--rounds", type=int, default=5)
    add("--iterations", type=int, default=4, help="of each loop in each round")
    arguments = parser.parse_intermixed_args()

    import torch

    from rgan_bench import register
    from rgan_bench.errors import shown_as_one_line
    from rgan_bench.training.devices import device_title, resolve_device, set_numerics

    with shown_as_one_line("bench_penalties"):
        device = resolve_device(arguments.device)
        set_numerics(False)
        common = [f"arch={arguments.arch}", f"loss={arguments.loss}", f"train.batch_size={arguments.batch}"]
        common += ["data=folder", "data.root=none", *arguments.override]
        images = torch.randint(0, 256, (2000, 3, 32, 32), dtype=torch.uint8)
        kinds = {name: (f"loss.penalty={name}",) for name in register.names("penalty")} | OTHERS
        loops = {name: loop([*common, *kind], images, device) for name, kind in kinds.items()}
        for each in loops.values():
            timed(each, 2, device)
        seconds: dict[str, list[float]] = {name: [] for name in loops}
        for number in range(arguments.rounds):
            for name in list(loops) if number % 2 == 0 else reversed(loops):
                seconds[name].append(timed(loops[name], arguments.iterations, device))
    print(f"{' '.join([*common[:3], *arguments.override])}; {device_title(device)}, torch {torch.__version__}")
    print(f"{'':<44}{'ms':>8}{'to none':>9}{'smallest':>10}{'largest':>9}")
    for name, each in seconds.items():
        ratios = [mine / plain for mine, plain in zip(each, seconds["none"], strict=True)]
        numbers = f"{statistics.median(ratios):>9.2f}{min(ratios):>10.2f}{max(ratios):>9.2f}"
        print(f"{name:<44}{1e3 * statistics.median(each):>8.1f}{numbers}")


if __name__ == "__main__":
    main()
