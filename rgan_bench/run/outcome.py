"""The end of a run, for people."""

from typing import Any

from rgan_bench.console import RANK_DEFICIENT, print_block, score_label, tell
from rgan_bench.run.folder import RunFolder

BARS = {"se_over_subsets": "standard error over subsets", "sd_over_splits": "SD over splits"}


def print_outcome(result: dict[str, Any], folder: RunFolder) -> None:
    """The end of a run, from its result.json."""
    rows = []
    iteration, reached = result["iteration"], result["status"]
    rate = result.get("iterations_per_second")
    speed = f", {rate:.2f} it/s" if rate else ""
    rows.append(("status", f"{reached} at iteration {iteration:,}{speed}"))
    for name, score in result["scores"].items():
        rows.append((score_label(name, result["protocol"][name]), score_line(score)))
    for which in ("raw", "ema"):
        grids = folder.grids(which)
        if grids:
            rows.append((grids[-1].parent.name, str(grids[-1])))
    rows.append(("result", str(folder.result)))
    print_block(rows)
    if any(protocol["rank_deficient"] for protocol in result["protocol"].values()):
        tell(RANK_DEFICIENT)


def error_bar(entry: dict[str, Any]) -> str:
    """ " ± 0.02 (SD over 3 draws, whose mean is 0.61)"; where there is one, that which the metric brings."""
    if "draws" in entry:
        return f" ± {entry['sd']:.2g} (SD over {entry['draws']} draws, whose mean is {entry['mean']:.4g})"
    return next((f" ± {entry[key]:.2g} ({text})" for key, text in BARS.items() if key in entry), "")


def score_line(score: dict[str, Any]) -> str:
    """ "5.33 untrained → 0.64 at iteration 800 (best 0.61 at 700)"."""
    final, best, history = score["final"], score["best"], score["history"]
    parts = []
    if history and history[0][0] == 0 and len(history) > 1:
        parts.append(f"{history[0][1]:.4g} untrained →")
    parts.append(f"{final['value']:.4g}{error_bar(final)} at iteration {final['iteration']:,}")
    if best["iteration"] != final["iteration"]:
        parts.append(f"(best {best['value']:.4g} at {best['iteration']:,})")
    return " ".join(parts)
