"""The paper's claims, from runs that were made up so that the answer is known."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path

import pytest
from scipy import stats

from rgan_bench.cli import table as cli
from rgan_bench.config.schema import Config
from rgan_bench.report.claims.checks import claims_of
from rgan_bench.report.claims.claim import CONTRADICTED, SUPPORTED, UNDECIDED, Claim, claims_data, claims_text
from rgan_bench.report.runs import Run, Score
from rgan_bench.scoring.protocol import Protocol

Make = Callable[..., Run]
SMALL = ("data=demo", "fid.features=[pixels]", "train.iterations=100")


@pytest.fixture(scope="module")
def composed() -> Callable[..., dict]:
    from hydra import compose, initialize_config_dir

    from rgan_bench.config.validate import config_dir, validate

    @cache
    def config(*overrides: str) -> str:
        with initialize_config_dir(str(config_dir()), version_base="1.3"):
            return json.dumps(asdict(validate(compose("config", overrides=list(overrides)))))

    return lambda *overrides: json.loads(config(*overrides))


@pytest.fixture
def make(composed: Callable[..., dict]) -> Make:
    def made(*overrides: str, seed: int, value: float | None, metric: str = "frechet", **more: object) -> Run:
        """
        Args:
            value: final score; None: it diverged.
        """
        config = composed(*overrides) | {"seed": seed}
        iterations = config["train"]["iterations"]
        protocol = Protocol(
            "inception" if "cat" in config["data"]["name"] else "pixels", "none", 50, 50, "batch", 50, "d", metric
        )
        history = [(0, 99.0), (iterations // 10, 50.0), (iterations, value)] if value is not None else [(0, 99.0)]
        history = more.pop("history", history)
        score = Score(protocol.score_name, protocol.as_dict(), history[-1], history)
        status = "diverged" if value is None else "finished"
        command = " ".join(["rgan-train", *overrides, f"seed={seed}"])
        return Run(
            Path(f"{'-'.join(overrides)}-{seed}"), "title", status, history[-1][0], config, {score.name: score},
            command=command, images="d", **more,
        )  # fmt: skip

    return made


def claim(runs: list[Run], name: str) -> Claim:
    return next(each for each in claims_of(runs) if each.name == name)


def seeds(make: Make, *overrides: str, values: list[float | None], **more: object) -> list[Run]:
    return [make(*overrides, seed=index, value=value, **more) for index, value in enumerate(values, 1)]


ONE, TWO = [10.0, 10.4, 9.8, 10.1, 10.2], [12.0, 12.3, 11.9, 12.2, 12.1]


def test_a_clear_difference_decides_either_way(make: Make) -> None:
    for first, second, state in ((ONE, TWO, SUPPORTED), (TWO, ONE, CONTRADICTED)):
        runs = seeds(make, *SMALL, "loss=rasgan", values=first) + seeds(make, *SMALL, "loss=sgan", values=second)
        found = claim(runs, "better")
        assert (found.state, found.missing) == (state, [])
        (one,) = found.findings
        test = stats.ttest_rel(first, second)
        low, high = test.confidence_interval()
        assert f"p = {test.pvalue:.2g}" in one.text
        difference = (sum(first) - sum(second)) / 5
        assert f"difference {'+' if difference > 0 else '−'}{abs(difference):.4g}" in one.text
        assert f"{abs(low):.4g}" in one.text
        assert f"{abs(high):.4g}" in one.text


def test_where_higher_is_better_the_higher_one_is(make: Make) -> None:
    runs = seeds(make, *SMALL, "loss=rasgan", values=TWO, metric="modes")
    runs += seeds(make, *SMALL, "loss=sgan", values=ONE, metric="modes")
    # Tables are of distances; points have but one.
    for run in runs:
        (score,) = run.scores.values()
        run.scores.clear()
        run.scores["wasserstein"] = Score(
            "wasserstein", score.protocol | {"metric": "wasserstein"}, score.final, score.history
        )
    assert claim(runs, "better").state == CONTRADICTED


def test_a_small_difference_is_undecided_and_says_how_many_seeds_would_do(make: Make) -> None:
    close = [value + 0.1 * (-1) ** index + 0.04 for index, value in enumerate(ONE)]
    runs = seeds(make, *SMALL, "loss=rasgan", values=ONE) + seeds(make, *SMALL, "loss=sgan", values=close)
    (found,) = claim(runs, "better").findings
    assert found.state == UNDECIDED
    told = "seeds of each, if the difference is as it seems"
    assert found.missing.endswith(told)  # these runs have no folders here, and no command continues them
    for run in runs:
        run.folder.mkdir()
    (found,) = claim(runs, "better").findings
    assert f"{told}: rgan-train -m" in found.missing
    assert "loss=rasgan,sgan" in found.missing


def test_of_several_draws_the_mean_counts_as_in_tables(make: Make) -> None:
    runs = seeds(make, *SMALL, "loss=rasgan", values=ONE) + seeds(make, *SMALL, "loss=sgan", values=TWO)
    for run in runs:
        (name, score), *_ = run.scores.items()
        mean = score.final[1] + (5.0 if run.loss == "rasgan" else 0.0)
        run.scores[name] = replace(score, draws=3, mean=mean)
    (found,) = claim(runs, "better").findings
    assert (found.state, "rasgan 15.1 (5 seeds)" in found.text) == (CONTRADICTED, True)


def test_one_seed_and_no_spread_decide_nothing(make: Make) -> None:
    one = [make(*SMALL, f"loss={loss}", seed=1, value=value) for loss, value in (("rasgan", 1.0), ("sgan", 99.0))]
    assert claim(one, "better").state == UNDECIDED
    flat = seeds(make, *SMALL, "loss=rasgan", values=[1.0] * 3) + seeds(make, *SMALL, "loss=sgan", values=[2.0] * 3)
    assert claim(flat, "better").state == UNDECIDED


def test_whoever_lost_runs_is_not_ahead_by_the_rest(make: Make) -> None:
    runs = seeds(make, *SMALL, "loss=rasgan", values=[*ONE[:4], None]) + seeds(make, *SMALL, "loss=sgan", values=TWO)
    (found,) = claim(runs, "better").findings
    assert found.state == UNDECIDED
    assert "1 of 5 seeds without one" in found.text


def test_one_against_it_contradicts_and_one_undecided_leaves_it_open(make: Make) -> None:
    runs = []
    for lr, values in (("1e-4", TWO), ("3e-4", ONE)):
        runs += seeds(make, *SMALL, "loss=rasgan", f"optim.lr={lr}", values=values)
        runs += seeds(make, *SMALL, "loss=sgan", f"optim.lr={lr}", values=[11.0, 11.2, 10.9, 11.1, 11.0])
    found = claim(runs, "better")
    assert [each.state for each in found.findings] == [CONTRADICTED, SUPPORTED]  # in the order of the values
    assert [each.text.split(":")[0] for each in found.findings] == ["optim.lr=0.0001", "optim.lr=0.0003"]
    assert (found.state, found.count) == (CONTRADICTED, "supported in 1, contradicted in 1, undecided in 0")


def test_a_counterpart_that_is_missing_is_named(make: Make) -> None:
    found = claim(seeds(make, *SMALL, "loss=rahinge", values=ONE), "better")
    assert found.state == UNDECIDED
    counterpart = "rahinge under the same settings: a loss of comparison=none, function=hinge, penalty=none"
    assert f"the counterpart of {counterpart}" in found.missing[0]


def test_other_widths_and_penalties_are_no_counterparts(make: Make) -> None:
    runs = seeds(make, *SMALL, "loss=rasgan", values=ONE)
    runs += seeds(make, *SMALL, "loss=sgan", "arch.width=8", values=TWO)
    runs += seeds(make, *SMALL, "loss=sgan", "loss.penalty=gp", values=TWO)
    assert claim(runs, "better").findings == []


def faster_runs(make: Make, ours: list[float | None], theirs: list[float | None], at: int, seconds: bool) -> list[Run]:
    runs = []
    for loss, values, speed in (("rsgan_gp", ours, 1.0), ("wgangp", theirs, 4.0)):
        optim = ("optim=wgangp",) if loss == "wgangp" else ()
        for seed, value in enumerate(values, 1):
            history = [(0, 99.0), (at, value), (100, value)] if loss == "rsgan_gp" else [(0, 99.0), (100, value)]
            spent = {iteration: speed * iteration for iteration, _ in history} if seconds else {}
            runs.append(make(*SMALL, f"loss={loss}", *optim, seed=seed, value=value, history=history, seconds=spent))
    return runs


def test_a_fifth_of_the_time(make: Make) -> None:
    found = claim(faster_runs(make, ONE, TWO, 40, seconds=True), "faster")
    assert [each.state for each in found.findings] == [SUPPORTED, SUPPORTED]
    assert "reached by 5 of 5 seeds, at the median of these in 10% of its seconds of training" in found.findings[1].text
    found = claim(faster_runs(make, ONE, TWO, 90, seconds=True), "faster")
    assert [each.state for each in found.findings] == [SUPPORTED, CONTRADICTED]  # 22 %
    found = claim(faster_runs(make, ONE, TWO, 90, seconds=False), "faster")
    assert "in 18% of its discriminator steps (seconds are not known)" in found.findings[1].text
    found = claim(faster_runs(make, TWO, ONE, 40, seconds=True), "faster")
    assert [each.state for each in found.findings] == [CONTRADICTED, CONTRADICTED]
    assert "reached by 0 of 5 seeds" in found.findings[1].text
    assert claim(seeds(make, *SMALL, "loss=rsgan_gp", values=ONE), "faster").missing


def test_the_time_is_undecided_by_one_seed_and_where_only_some_are_so_fast(make: Make) -> None:
    slow = make(
        *SMALL, "loss=rsgan_gp", seed=6, value=11.0, history=[(0, 99.0), (100, 11.0)], seconds={0: 0.0, 100: 99.0}
    )
    runs = faster_runs(make, ONE, TWO, 40, seconds=True)
    one, fast = (
        claim(each, "faster").findings[1] for each in (faster_runs(make, ONE[:1], TWO[:1], 40, True), [*runs, slow])
    )
    assert (one.state, fast.state) == (UNDECIDED, UNDECIDED)
    assert "two seeds of each at least" in one.missing
    assert "reached by 6 of 6 seeds" in fast.text
    assert fast.text.endswith("in a fifth by 5")


def test_runs_that_were_stopped_say_nothing_on_time(make: Make) -> None:
    """They stand between two scores, and may still get there."""
    runs = faster_runs(make, ONE, TWO, 40, seconds=True)
    for loss, optim in (("rsgan_gp", ()), ("wgangp", ("optim=wgangp",))):
        stopped = make(*SMALL, f"loss={loss}", *optim, seed=6, value=50.0, history=[(0, 99.0)], seconds={0: 0.0})
        runs.append(replace(stopped, status="interrupted", iteration=57))
    found = claim(runs, "faster").findings[1]
    assert (found.state, "reached by 5 of 5 seeds" in found.text) == (SUPPORTED, True)


def test_stability_is_the_range_over_the_four_settings(make: Make) -> None:
    settings = ("table2_lr1e-3", "table2_betas0.9", "table2_no_bn", "table2_tanh")
    runs = []
    for loss, width in (("rasgan", 1.0), ("sgan", 5.0)):
        for place, setting in enumerate(settings):
            values = [20 + width * place + 0.1 * seed * place for seed in range(3)]
            runs += seeds(make, f"experiment={setting}", *SMALL, f"loss={loss}", values=values)
    found = claim(runs, "stabler")
    (one,) = found.findings
    assert one.state == UNDECIDED  # equal differences in every seed: no spread to test against
    assert "range of rasgan 3.3 (3 seeds) against sgan 15.3 (3 seeds)" in one.text
    varied = [make(*run.command.split()[1:-1], seed=run.seed, value=run.final("fd_pixels") + 0.01 * run.seed**2 * (run.config["loss"]["name"] == "sgan") * (run.config["optim"]["lr"] == 1e-3)) for run in runs]  # fmt: skip # noqa: E501
    assert claim(varied, "stabler").state == SUPPORTED
    incomplete = [run for run in runs if "tanh" not in str(run.folder) or run.config["loss"]["name"] == "sgan"]
    assert claim(incomplete, "stabler").state == UNDECIDED


def test_cat_256(make: Make) -> None:
    runs = [
        make("experiment=cat256", "loss=rasgan", seed=1, value=60.0, history=[(10_000, 70.0), (100_000, 60.0)]),
        make("experiment=cat256", "loss=sgan", seed=1, value=None),
        make("experiment=cat256", "loss=lsgan", seed=1, value=300.0, history=[(10_000, 310.0), (100_000, 300.0)]),
    ]
    found = claim(runs, "few images")
    assert (found.state, len(found.findings)) == (SUPPORTED, 3)
    runs.append(make("experiment=cat256", "loss=wgangp", seed=1, value=90.0, history=[(100_000, 90.0)]))
    assert claim(runs, "few images").state == CONTRADICTED
    assert claim([], "few images").missing == ["both kinds of losses on CAT 256: rgan-train -m sweep=table3_cat256"]


def test_as_text_and_as_data(make: Make) -> None:
    runs = seeds(make, *SMALL, "loss=rasgan", values=ONE) + seeds(make, *SMALL, "loss=sgan", values=TWO)
    found = claims_of(runs)
    text = claims_text(found)
    assert text.startswith("### supported: a relativistic loss gives better images")
    where = "in the manner of table1, lr 2e-4, betas (.5, .999), n_d 1, at another size"
    assert f"- supported: {where}: rasgan 10.1 (5 seeds) against sgan 12.1 (5 seeds); difference −2 [" in text
    rest = text.split("### nothing at hand on:\n")[1].splitlines()
    assert [line.startswith("- ") and ". Missing: " in line for line in rest if line] == [True] * 3
    assert "nothing at hand" not in claims_text(claims_of([]))  # but all of them, with what would answer them
    assert json.loads(json.dumps(claims_data(found)))[0]["findings"][0]["state"] == SUPPORTED


def test_the_command(tiny_config: Callable[..., Config], run_command: Callable[..., tuple[int, str, str]]) -> None:
    from rgan_bench.run.experiment import run_experiment

    for loss in ("sgan", "rasgan"):
        run_experiment(tiny_config(f"loss={loss}"), command=f"rgan-train loss={loss} seed=1")
    status, out, _ = run_command(cli.main, "outputs", "--claims")
    assert status == 0
    assert "Missing: two seeds of each at least" in out
    assert "rgan-train -m loss=rasgan,sgan 'seed=range(1,6)'" in out
    status, out, _ = run_command(cli.main, "outputs", "--claims", "--format", "json", "--out", "claims.json")
    assert (status, out) == (0, "")
    assert [each["claim"] for each in json.loads(Path("claims.json").read_text())] == ["better", "faster", "stabler", "few images"]  # fmt: skip # noqa: E501
    status, _, err = run_command(cli.main, "outputs", "--claims", "--format", "html")
    assert (status, "claims are written as markdown or json" in err) == (2, True)
