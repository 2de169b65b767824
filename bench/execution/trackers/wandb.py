"""Weights & Biases: a run there for each run here."""

from __future__ import annotations

import importlib
from typing import Any, ClassVar, Literal

from bench.contracts.tracker import FinishedRun, Tracker, TrackerConfig, register_tracker


class WandbConfig(TrackerConfig):
    """Options of the tracker of Weights & Biases.

    Attributes:
        project: Name of the project; empty takes the experiment's.
        entity: User or team; empty takes the default of the account.
        mode: ``online``, or ``offline``, which writes to disk and sends nothing.
    """

    project: str = ""
    entity: str = ""
    mode: Literal["online", "offline"] = "online"


@register_tracker("wandb")
class Wandb(Tracker):
    """Runs, with parameters, errors and times, in a project of Weights & Biases."""

    Config: ClassVar[type[TrackerConfig]] = WandbConfig
    package: ClassVar[str] = "wandb"

    def log(self, run: FinishedRun) -> None:
        """Write a run: what came of it as its summary, the error of each lead as its history."""
        wandb: Any = importlib.import_module("wandb")
        made = wandb.init(
            project=self.config.project or run.experiment,
            entity=self.config.entity or None,
            name=run.name,
            config=dict(run.parameters) | {"run_id": run.run_id},
            mode=self.config.mode,
            reinit="create_new",
        )
        leads = zip(*run.curves.values(), strict=True) if run.curves else ()
        for lead, errors in enumerate(leads, start=1):
            made.log({"lead": lead, **dict(zip(run.curves, errors, strict=True))})
        made.summary.update({**run.values, "status": run.status, "reason": run.reason})
        made.finish(exit_code=int(run.status == "failed"))
