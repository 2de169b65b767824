"""TensorBoard: an event file for each run."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from bench.contracts.tracker import FinishedRun, Tracker, TrackerConfig, register_tracker


class TensorBoardConfig(TrackerConfig):
    """Options of TensorBoard's tracker.

    Attributes:
        folder: Where event files go, a folder for each run; empty takes ``tensorboard/`` in the working folder.
    """

    folder: str = ""


@register_tracker("tensorboard")
class TensorBoard(Tracker):
    """Errors and times as scalars, the error of each lead as a curve, parameters as text."""

    Config: ClassVar[type[TrackerConfig]] = TensorBoardConfig
    package: ClassVar[str] = "tensorboard"

    def log(self, run: FinishedRun) -> None:
        """Write a run's event file."""
        from torch.utils.tensorboard import SummaryWriter

        folder = Path(self.config.folder or "tensorboard") / run.experiment / run.run_id
        writer: Any = SummaryWriter(str(folder))
        lines = {"run": run.name, "status": run.status, "reason": run.reason} | dict(run.parameters)
        writer.add_text("run", "\n".join(f"- {name}: `{value}`" for name, value in lines.items()))
        for name, value in run.values.items():
            writer.add_scalar(name, value, 0)
        for name, curve in run.curves.items():
            for lead, value in enumerate(curve, start=1):
                writer.add_scalar(name, value, lead)
        writer.close()
