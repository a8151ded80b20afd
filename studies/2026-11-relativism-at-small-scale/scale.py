"""What a score looks like: python scale.py RESULTS [OUTPUTS] prints the scores of four runs of part 3.

With OUTPUTS, the folder of part 3's runs, it also puts their last grids below each other: figures/scale.png.
"""

import sys
from pathlib import Path

from PIL import Image

from rgan_bench.report.reading import find_runs

SCORE = "fd_efficientnet-lite0"
RUNS = (("rasgan_gp", 101), ("rsgan_gp", 102), ("rasgan_gp", 105), ("rsgan_gp", 104))
ROWS, CELL = 2, 34  # of each grid; pixels of an image with its frame


def main(results: str, outputs: str = "") -> None:
    found = {(run.config["loss"]["name"], run.seed): run for run in find_runs([Path(results)])}
    chosen = [found[each] for each in RUNS]
    told = [f"{run.scores[SCORE].final[1]:,.0f} ({run.row}, seed {run.seed})" for run in chosen]
    print("; ".join(told))
    if outputs:
        high = ROWS * CELL
        picture = Image.new("RGB", (8 * CELL + 2, (high + 6) * len(chosen) - 4), "white")
        for index, run in enumerate(chosen):
            grid = Image.open(sorted((Path(outputs) / run.folder.name / "samples").glob("*.png"))[-1])
            picture.paste(grid.crop((0, 0, 8 * CELL + 2, high + 2)), (0, index * (high + 6)))
        picture.save(Path(__file__).parent / "figures/scale.png", optimize=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
