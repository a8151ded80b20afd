"""Weights & Biases: one W&B run for each run folder, however often it is stopped. Its environment variables decide
where: WANDB_PROJECT, WANDB_ENTITY, WANDB_MODE=offline, …"""

import contextlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rgan_bench.config.schema import Config
from rgan_bench.errors import UserError, one_line
from rgan_bench.files import append_whole, flush
from rgan_bench.register import sink
from rgan_bench.run.folder import RunFolder
from rgan_bench.run.sinks import Sink, Values

REMEDY = "call `wandb login`, set WANDB_MODE=offline, or leave it out"


@sink("wandb", needs="wandb")
class WeightsAndBiases(Sink):
    """Each row that is told is noted in a file beside W&B's own: W&B takes a row twice without a word, and tells only
    how many its server has."""

    def __init__(self, folder: RunFolder, config: Config) -> None:
        """
        Raises:
            UserError: W&B would have to be reached, and cannot be, or nobody is logged in.
        """
        import wandb

        self.folder, self.config, self.wandb = folder, config, wandb
        self.place = folder.path / "wandb"
        self.note = self.place / "told.jsonl"
        self.given = wandb.setup().settings
        if self.given.mode not in ("offline", "dryrun", "disabled"):
            try:
                logged_in = wandb.login(prompt=False, verify=True)
            except Exception as error:
                raise UserError(f"logger=wandb: {one_line(error)[:300].rstrip('.')}; {REMEDY}") from error
            if not logged_in:
                raise UserError(f"logger=wandb: nobody is logged in; {REMEDY}")

    def begin(self, iteration: int) -> dict[str, int]:
        self.place.mkdir(exist_ok=True)
        lines = []
        for line in self.note.read_text(errors="replace").splitlines() if self.note.exists() else ():
            with contextlib.suppress(ValueError):  # half a line: killed while it was written
                lines.append(json.loads(line))
        if not lines:
            lines = [{"id": secrets.token_hex(8)}]
            self._note(lines[0])
        ours: dict[str, Any] = {
            "project": "rgan_bench",
            "run_group": self.folder.path.name.rpartition("_seed")[0],  # the seeds of one setting
            "run_tags": (self.config.data.name, self.config.arch.name, self.config.loss.name),
            "max_end_of_run_history_metrics": 0,  # we print an end of our own
            "max_end_of_run_summary_metrics": 0,
            "console": "off",  # it would take the progress bar for lines of text
            "finish_timeout": 600.0,  # seconds: without a network a run would else never end
        }
        self.run = self.wandb.init(
            id=lines[0]["id"],
            name=self.folder.path.name,
            dir=self.folder.path,
            config=asdict(self.config),
            resume="allow",
            settings=self.wandb.Settings(
                **{key: value for key, value in ours.items() if key not in self.given.model_fields_set},
                # Else a process that is killed takes its last 15 seconds with it, after they were noted as told.
                x_transaction_log_flush_interval=0.001,
            ),
        )
        # An axis of our own: W&B's steps never go back, and numbers, grids and scores of one iteration come apart.
        self.run.define_metric("iteration", hidden=True)
        self.run.define_metric("*", step_metric="iteration")
        self.step = self.run.starting_step
        told: dict[str, int] = {}
        for row in lines[1:]:
            # What a kill kept from the server is told again. Without a server everything is in W&B's files.
            if self.run.offline or row["step"] < self.step:
                told |= {name: max(row["iteration"], told.get(name, 0)) for name in row["names"]}
        return told

    def log(self, iteration: int, values: Values) -> None:
        self._tell(iteration, values)

    def images(self, iteration: int, path: Path) -> None:
        self._tell(iteration, {path.parent.name: self.wandb.Image(str(path))})

    def scores(self, iteration: int, values: Values) -> None:
        self._tell(iteration, values, "score/")

    def save(self) -> None:
        flush(self.note)

    def finish(self, result: dict[str, Any]) -> None:
        self.run.summary["status"] = result["status"]
        self.run.finish(exit_code=0 if result["status"] == "finished" else 1)

    def _tell(self, iteration: int, values: Mapping[str, Any], group: str = "") -> None:
        known = {f"{group}{name}": value for name, value in values.items() if value is not None}
        self.run.log({**known, "iteration": iteration})
        self._note({"step": self.step, "iteration": iteration, "names": [*values]})
        self.step += 1

    def _note(self, line: dict[str, Any]) -> None:
        append_whole(self.note, (json.dumps(line) + "\n").encode())
